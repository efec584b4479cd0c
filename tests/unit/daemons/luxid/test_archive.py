"""The archive: what goes into it, and that a long history is no burden."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from tests.unit.daemons.luxid.luxid_bench import Bench, Client, bench, delay
from typing_extensions import override

from gantry.daemons.luxid import archive, job_calls
from gantry.daemons.luxid.files import live_path
from gantry.protocols.identity import JobId
from gantry.protocols.jobs import Job, QueuedOpcode, dump_job
from gantry.runtime.job_archive import archived_path
from gantry.runtime.testing.files import MemoryFiles


class WatchedFiles(MemoryFiles):
    """Remembers what of the archive was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_at: list[Path] = []

    @override
    async def read(self, path: Path) -> bytes:
        self._watch(path)
        return await super().read(path)

    @override
    async def list(self, path: Path) -> tuple[str, ...]:
        self._watch(path)
        return await super().list(path)

    def _watch(self, path: Path) -> None:
        if "archive" in path.parts:
            self.looked_at.append(path)


def over(job: int) -> Job:
    op = QueuedOpcode({"OP_ID": "OP_TEST_DELAY", "reason": []}, "success", end_timestamp=(job, 0))
    return Job(JobId(job), (op,), end_timestamp=(job, 0))


async def archived(world: Bench, jobs: Iterable[int]) -> None:
    """Write files into the archive, as an earlier LuxiD has left them."""
    for job in jobs:
        path = archived_path(world.env, JobId(job))
        await world.files.make_folder(path.parent)
        await world.files.write(path, dump_job(over(job)))
    await world.files.write(world.env.paths.queue / "serial", b"%d\n" % max(jobs))


async def ids(client: Client, *fields: str) -> list[Any]:
    return cast("list[Any]", await client.call("QueryJobs", None, ["id", *fields]))


async def test_a_history_is_not_looked_at_unless_it_is_asked_for(tmp_path: Path) -> None:
    files = WatchedFiles()
    async with bench(tmp_path, files) as world:
        await archived(world, [7, 20_000, 100_000])
        files.looked_at.clear()
        async with world.running() as client:
            assert await client.call("SubmitJob", []) == 100_001
            assert await ids(client, "status") == [[100_001, "success"]]
            assert await client.call("ArchiveJob", 100_001) is True
            assert await ids(client) == []
            assert files.looked_at == []
            assert await client.call("QueryJobs", [20_000], ["id", "archived"]) == [[20_000, True]]
            assert files.looked_at == [archived_path(world.env, JobId(20_000))]


async def test_a_history_is_shown_in_parts_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PART_JOBS", 2)
    async with bench(tmp_path) as world:
        await archived(world, [3, 4, 5, 9_999, 10_000, 30_000])
        async with world.running() as client:
            await client.call("SubmitManyJobs", [[], [delay()], []])
            await client.call("ArchiveJob", 30_001)
            away = [3, 4, 5, 9_999, 10_000, 30_000, 30_001]
            expected = [*([job, True] for job in away), [30_002, False], [30_003, False]]
            assert await ids(client, "archived") == expected
            query: Any = await client.call(
                "Query", "job", ["id", "archived"], ["|", ["<", "id", 5], [">", "id", 30_001]]
            )
            assert [row[0][1] for row in query["data"]] == [3, 4, 30_002, 30_003]
            assert [each["name"] for each in query["fields"]] == ["id", "archived"]
            none: Any = await client.call("Query", "job", ["id", "archived"], ["=", "id", 0])
            assert none["data"] == [[[0, 0], [3, None]]]


async def test_a_filter_that_can_not_compare_is_an_error_also_in_the_archive(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as world:
        await archived(world, [1, 2])
        async with world.running() as client:
            error: Any = await client.fail("Query", "job", ["archived"], ["=", "status", 5])
            assert error[0] == "ParameterError"
            assert await ids(client) == []


async def test_files_that_an_earlier_run_left_behind_are_removed(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        async with world.running() as client:
            await client.call("SubmitManyJobs", [[], []])
            await client.call("ArchiveJob", 1)
        left, kept = live_path(world.env, JobId(1)), live_path(world.env, JobId(2))
        await world.files.write(left, dump_job(over(1)))
        unknown = live_path(world.env, JobId(77))  # nobody's, and not in the archive: left alone
        await world.files.write(unknown, dump_job(over(77)))
        async with world.luxid():

            async def is_gone() -> bool:
                return not await world.files.exists(left)

            await world.eventually(is_gone)
            assert await world.files.exists(kept)
            assert await world.files.exists(unknown)


async def test_what_time_does_not_suffice_for_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_calls, "ARCHIVE_BATCH", 2)
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitManyJobs", [[]] * 5)
        world.env.clock.time += 100  # type: ignore[attr-defined] # the test's clock
        assert await client.call("AutoArchiveJobs", 50, 0) == [0, 5]
        assert await client.call("AutoArchiveJobs", 50, -1) == [0, 5]
        assert await client.call("AutoArchiveJobs", 50, 60) == [5, 0]
        for job in range(1, 6):
            assert await world.files.exists(archived_path(world.env, JobId(job)))
            assert not await world.files.exists(live_path(world.env, JobId(job)))
