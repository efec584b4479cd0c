"""Gaps in archives are closed: in messages of bounded size, from where the last try has ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import pytest
import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.daemons.luxid.archive_exchange import ArchiveExchange
from gantry.daemons.noded.archived_jobs import ArchiveService
from gantry.protocols.errors import ConnectionLost, StaleEpoch
from gantry.protocols.identity import Epoch, JobId, NodeUuid
from gantry.protocols.job_archive import ArchivedFile, JobArchive
from gantry.protocols.records import Index
from gantry.runtime.environment import Environment
from gantry.runtime.job_archive import (
    MESSAGE_BYTES,
    MESSAGE_FILES_MAX,
    archive_folders,
    archived_jobs,
    open_gap,
    read_archived,
    read_gap,
    write_archived,
)
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles

T = TypeVar("T")

TWO, THREE = NodeUuid("two"), NodeUuid("three")
EPOCH = Epoch(3)
OVER_TWO_FOLDERS = [JobId(number) for number in range(9_900, 10_150)]


def machine(name: str) -> Environment:
    files = MemoryFiles()
    env = memory_environment(name, files)
    files.put_folder(env.paths.data)
    return env


@define
class Nodes:
    """Nodes with archives, and the ways between them, which can break."""

    here: Environment = field(factory=lambda: machine("node1.gnt.test"))
    others: dict[NodeUuid, Environment] = field(
        factory=lambda: {name: machine(f"{name}.gnt.test") for name in (TWO, THREE)}
    )
    away: set[NodeUuid] = field(factory=set)
    promised: Epoch = EPOCH
    writes_until_cut: int = 1_000_000
    written: list[tuple[JobId, ...]] = field(factory=list)

    async def ask_archive(
        self,
        node: NodeUuid,
        question: Callable[[JobArchive], Awaitable[T]],
        deadline_seconds: float,
    ) -> T:
        del deadline_seconds
        if node in self.away:
            raise ConnectionLost("nobody listens")
        return await question(Watched(self.others[node], self.check, self))

    def check(self, epoch: Epoch) -> None:
        if epoch < self.promised:
            raise StaleEpoch(epoch, self.promised)

    def exchange(self) -> ArchiveExchange:
        return ArchiveExchange(self.here, EPOCH, self, lambda: self.others.keys())


@frozen
class Watched(ArchiveService):
    """Counts what is written, and fails where it is told to."""

    nodes: Nodes

    @override
    async def write_archived(self, epoch: Epoch, files: tuple[ArchivedFile, ...]) -> None:
        if len(self.nodes.written) >= self.nodes.writes_until_cut:
            raise ConnectionLost("cut off")
        self.nodes.written.append(tuple(file.job for file in files))
        await super().write_archived(epoch, files)


async def put(env: Environment, jobs: Iterable[JobId], content: str = "job") -> None:
    await write_archived(env, [ArchivedFile(job, f"{content} {job}") for job in jobs])


async def held(env: Environment) -> list[JobId]:
    found = [await archived_jobs(env, folder) for folder in await archive_folders(env)]
    return sorted(job for jobs in found for job in jobs)


async def for_a_while(exchange: ArchiveExchange, seconds: float = 60.0) -> None:
    with trio.move_on_after(seconds):
        await exchange.run()


async def test_a_candidate_with_a_gap_gets_what_it_lacks_and_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    nodes = Nodes()
    await put(nodes.here, OVER_TWO_FOLDERS)
    await put(nodes.others[TWO], OVER_TWO_FOLDERS[:20], "its own")
    await open_gap(nodes.others[TWO], Index(7))

    await for_a_while(nodes.exchange())

    assert await held(nodes.others[TWO]) == OVER_TWO_FOLDERS
    assert sorted(job for part in nodes.written for job in part) == OVER_TWO_FOLDERS[20:]
    assert max(map(len, nodes.written)) <= MESSAGE_FILES_MAX
    [first] = await read_archived(nodes.others[TWO], OVER_TWO_FOLDERS[:1])
    assert first.content == "its own 9900"
    assert await read_gap(nodes.others[TWO]) is None
    assert await held(nodes.others[THREE]) == []  # it has no gap


async def test_an_exchange_that_was_cut_off_goes_on_with_what_is_missing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    nodes = Nodes(writes_until_cut=2)
    await put(nodes.here, OVER_TWO_FOLDERS)
    await open_gap(nodes.others[TWO], Index(7))
    await for_a_while(nodes.exchange())
    assert len(await held(nodes.others[TWO])) == 200
    assert await read_gap(nodes.others[TWO]) == 7

    nodes.writes_until_cut = 1_000_000
    await for_a_while(nodes.exchange())  # of a LuxiD that was started again

    assert await held(nodes.others[TWO]) == OVER_TWO_FOLDERS
    assert len({job for part in nodes.written for job in part}) == sum(map(len, nodes.written))
    assert await read_gap(nodes.others[TWO]) is None


async def test_a_candidate_that_gets_a_snapshot_later_is_seen_to(
    autojump_clock: trio.testing.MockClock,
) -> None:
    nodes = Nodes()
    exchange = nodes.exchange()
    await put(nodes.here, [JobId(1)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.run)
        await trio.sleep(100)
        assert await held(nodes.others[TWO]) == []
        await open_gap(nodes.others[TWO], Index(7))
        exchange.see_to(TWO)
        await trio.sleep(1)
        assert await held(nodes.others[TWO]) == [1]
        nursery.cancel_scope.cancel()


async def test_a_new_master_asks_all_others_for_what_its_snapshot_lacked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    nodes = Nodes(away={THREE})
    await open_gap(nodes.here, Index(9))
    await open_gap(nodes.others[TWO], Index(8))
    await put(nodes.others[TWO], [JobId(1), JobId(2)])
    await put(nodes.others[THREE], [JobId(2), JobId(3)])
    exchange = nodes.exchange()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.run)
        await trio.sleep(30)
        assert await held(nodes.here) == [1, 2]
        assert await read_gap(nodes.here) == 9
        assert await read_gap(nodes.others[TWO]) == 8  # nobody knows whether it lacks something
        nodes.away.clear()
        await trio.sleep(30)
        nursery.cancel_scope.cancel()

    assert await held(nodes.here) == [1, 2, 3]
    assert await held(nodes.others[TWO]) == [1, 2, 3]
    assert await read_gap(nodes.here) is None
    assert await read_gap(nodes.others[TWO]) is None


async def test_who_is_no_voter_any_more_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    nodes = Nodes(away={THREE})
    await open_gap(nodes.here, Index(9))
    exchange = nodes.exchange()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.run)
        await trio.sleep(30)
        del nodes.others[THREE]
        await trio.sleep(30)
        assert await read_gap(nodes.here) is None
        nursery.cancel_scope.cancel()


async def test_a_gap_of_a_later_snapshot_stays_open() -> None:
    env = machine("node2.gnt.test")
    archive = ArchiveService(env, lambda _: None)
    await open_gap(env, Index(9))
    await archive.close_archive_gap(EPOCH, Index(8))
    assert await archive.archive_gap() == 9
    await archive.close_archive_gap(EPOCH, Index(9))
    assert await archive.archive_gap() is None


async def test_only_the_present_master_writes() -> None:
    nodes = Nodes(promised=Epoch(EPOCH + 1))
    archive = ArchiveService(nodes.others[TWO], nodes.check)
    await open_gap(nodes.others[TWO], Index(7))
    with pytest.raises(StaleEpoch):
        await archive.write_archived(EPOCH, (ArchivedFile(JobId(1), "job"),))
    with pytest.raises(StaleEpoch):
        await archive.close_archive_gap(EPOCH, Index(7))
    assert await held(nodes.others[TWO]) == []


async def test_a_message_is_full_by_bytes_too_and_tells_what_is_not_there() -> None:
    env = machine("node2.gnt.test")
    await put(env, [JobId(1), JobId(2), JobId(4)], "x" * (MESSAGE_BYTES // 2))
    files = await read_archived(env, [JobId(1), JobId(2), JobId(4)])
    assert [file.job for file in files] == [1, 2]
    absent = await read_archived(env, [JobId(3), JobId(4)])
    assert [file.content is None for file in absent] == [True, False]


async def test_what_a_job_has_gone_through_goes_with_its_file() -> None:
    env = machine("node2.gnt.test")
    files = (ArchivedFile(JobId(1), "{}", '{"attempts":[]}'), ArchivedFile(JobId(2), "{}"))
    await write_archived(env, files)
    assert await read_archived(env, [JobId(1), JobId(2)]) == files
