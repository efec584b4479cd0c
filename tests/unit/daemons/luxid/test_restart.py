"""What LuxiD finds again after it, or something around it, was away."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import trio
from tests.unit.daemons.luxid.luxid_bench import (
    NOW,
    PATIENCE_SECONDS,
    SAMPLES,
    Bench,
    bench,
    delay,
)

from gantry.daemons.luxid import main as main_module
from gantry.daemons.luxid import store, supervisor
from gantry.daemons.luxid.calls import NOT_SHOWN
from gantry.daemons.luxid.files import live_path
from gantry.daemons.luxid.main import main
from gantry.daemons.luxid.store import journal_path, snapshot_path
from gantry.protocols.errors import NoLease
from gantry.protocols.identity import Attempt, JobId, Key
from gantry.protocols.jobproc import Ended, JobsWanted, OpcodeChanged, Recorded, Submitted
from gantry.protocols.jobs import dump_job, load_job
from gantry.protocols.locks import BGL, Held, LockOwner
from gantry.protocols.steps import Holds
from gantry.protocols.wconfd import LivingJob, Want
from gantry.runtime import comeback
from gantry.runtime.daemon import StartRefused
from gantry.runtime.testing.files import MemoryFiles


async def test_every_answered_submission_is_there_after_a_power_loss(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        for _ in range(5):
            await client.call("SubmitJob", [delay(depends=[[1, []]])])
        survivors = world.files.survivors(lambda unflushed: 0)
    async with bench(tmp_path, survivors) as world, world.running() as client:
        rows = await client.call("QueryJobs", None, ["id"])
        assert rows == [[1], [2], [3], [4], [5]]
        assert await client.call("SubmitJob", []) == 6


async def test_living_processes_are_adopted_and_go_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        async with world.luxid(), world.client() as client:
            await world.known(client)
            await client.call("SubmitJob", [delay()])
            process = await world.launcher.process(1)
            await process.run()
        process.say(OpcodeChanged(0, "success", NOW, 42))  # while LuxiD is away
        named = (LivingJob(LockOwner(JobId(1), Attempt(1))),)
        async with world.luxid(), world.client() as client:
            await world.wconfd.until(lambda: world.wconfd.named[-1] == named)
            await process.say_all(Ended())
            assert await client.call("QueryJobs", [1], ["status", "opresult"]) == [
                ["success", [42]]
            ]
        assert list(world.launcher.processes) == [(1, 1)]


async def test_a_process_that_died_meanwhile_is_followed_by_another(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        async with world.luxid(), world.client() as client:
            await world.known(client)
            await client.call("SubmitJob", [delay()])
            process = await world.launcher.process(1)
            await process.run()
        process.child.kill()
        await process.child.over.wait()
        async with world.luxid():
            going_on = await world.launcher.process(1, attempt=2)
            await going_on.assigned.wait()
            assert going_on.work is not None
            assert going_on.work.mode == "run"


async def test_what_an_unfinished_job_holds_is_named_to_wconfd(tmp_path: Path) -> None:
    holds = Holds(0, (Held(BGL, "shared"),), (Want("uuid", "1-2"),))
    living = LivingJob(LockOwner(JobId(1), Attempt(1)), holds.locks, holds.reserved)
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        async with world.luxid(), world.client() as client:
            await world.known(client)
            await client.call("SubmitJob", [delay()])
            process = await world.launcher.process(1)
            await process.run()
            await process.say_all(Recorded(holds))
        async with world.luxid():
            await world.wconfd.until(lambda: world.wconfd.named[-1] == (living,))
            await process.finish()


async def test_a_process_that_never_got_its_work_is_just_begun_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        async with world.luxid(), world.client() as client:
            await world.known(client)
            spawning = trio.Event()

            async def hang(_: object) -> object:
                spawning.set()
                await trio.sleep_forever()
                return None

            spawn = world.launcher.spawn
            world.launcher.spawn = hang  # type: ignore[method-assign,assignment]  # hangs once
            await client.call("SubmitJob", [delay()])
            await spawning.wait()
            world.launcher.spawn = spawn  # type: ignore[method-assign]  # as it was
        async with world.luxid():
            again = await world.launcher.process(1, attempt=2)
            await again.assigned.wait()
            assert again.work is not None
            assert again.work.mode == "run"


async def test_a_process_waiting_for_its_work_gets_it_from_the_next_luxid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        asked = trio.Event()

        async def never(*_: object) -> None:
            asked.set()
            await trio.sleep_forever()

        with monkeypatch.context() as patched:
            patched.setattr(supervisor.Supervisor, "_converse", never)
            async with world.luxid(), world.client() as client:
                await world.known(client)
                await client.call("SubmitJob", [delay()])
                await asked.wait()
        async with world.luxid():
            process = await world.launcher.process(1)
            with trio.fail_after(PATIENCE_SECONDS):
                await process.assigned.wait()
        assert list(world.launcher.processes) == [(1, 1)]


async def test_a_process_made_although_the_fork_server_died_is_adopted(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        world.launcher.loses_connection = True
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.run()
        assert await client.status(1) == "running"
        assert list(world.launcher.processes) == [(1, 1)]


async def test_an_answer_that_got_lost_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Key(JobId(1), 0, 0)
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        with monkeypatch.context() as patched:
            patched.setattr(supervisor.Supervisor, "_deliver", _drop)
            async with world.luxid(), world.client() as client:
                await world.known(client)
                await client.call("SubmitJob", [delay()])
                process = await world.launcher.process(1)
                await process.assigned.wait()
                process.say(
                    OpcodeChanged(0, "waiting", NOW),
                    OpcodeChanged(0, "running", NOW),
                    JobsWanted(key, ((delay(),),)),
                )
                await world.launcher.process(2)
        async with world.luxid():
            await process.until(lambda: key in process.outcomes)
            assert process.outcomes[key] == (Submitted(JobId(2)),)
            await process.until(lambda: process.committed_through == 3)


async def _drop(*_: object) -> None:
    await trio.lowlevel.checkpoint()


# --- disks ---------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_submissions_and_changes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [])
        journal = journal_path(world.env)
        world.files.fault = lambda operation, path: (
            OSError(28, "No space left on device") if path == journal else None
        )
        error = cast("list[object]", await client.fail("SubmitJob", [delay()]))
        assert error[0] == "GenericError"
        assert "No space left" in str(error)
        assert await client.call("QueryJobs", None, ["id"]) == [[1]]
        world.files.fault = None
        assert await client.call("SubmitJob", [delay()]) == 2


async def test_what_a_process_says_is_committed_once_the_disk_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "DISK_RETRY_SECONDS", 0.001)
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.run()
        failed = trio.Event()

        def full(operation: str, path: Path) -> OSError | None:
            if path == journal_path(world.env) and operation == "append":
                failed.set()
                return OSError(28, "No space left on device")
            return None

        world.files.fault = full
        process.say(OpcodeChanged(0, "success", NOW, 1), Ended())
        await failed.wait()
        assert await client.status(1) == "running"
        world.files.fault = None
        await process.until(lambda: process.committed_through == 4)
        assert await client.status(1) == "success"


async def test_a_long_journal_becomes_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "COMPACT_BYTES", 2000)
    files = MemoryFiles()
    async with bench(tmp_path, files) as world, world.running() as client:
        before = await files.read(snapshot_path(world.env))
        for _ in range(30):
            await client.call("SubmitJob", [delay(depends=[[1, []]])])

        async def is_taken() -> bool:
            return await files.read(snapshot_path(world.env)) != before

        await world.eventually(is_taken)
        rows = await client.call("QueryJobs", None, ["id", "ops"])
    async with bench(tmp_path, files) as world, world.running() as client:
        assert await client.call("QueryJobs", None, ["id", "ops"]) == rows
        assert await client.call("SubmitJob", []) == 31


async def test_a_damaged_journal_is_a_clear_refusal_to_start(tmp_path: Path) -> None:
    files = MemoryFiles()
    async with bench(tmp_path, files) as world, world.running() as client:
        await client.call("SubmitJob", [])
        path = journal_path(world.env)
        data = await files.read(path)
    async with bench(tmp_path, files) as world:
        await files.write(path, data.replace(b"JobsSubmitted", b"JobsSubmottid"))
        with pytest.raises(StartRefused, match="byte"):
            await main(world.env, world.launcher)


# --- Ganeti's queue ------------------------------------------------------------------------------


async def test_the_queue_that_ganeti_left_is_taken_over(tmp_path: Path) -> None:
    files = MemoryFiles()
    async with bench(tmp_path, files) as world:
        folder = world.env.paths.queue
        await files.make_folder(folder)
        for name in SAMPLES.joinpath("queue").glob("job-*"):
            await files.write(folder / name.name, name.read_bytes())
        await files.write(folder / "serial", b"450\n")
        await files.write(folder / "drain", b"")
        await files.write(folder / "job-500", b"not a job")
        at_work = load_job(SAMPLES.joinpath("queue", "job-419").read_bytes())
        body = dump_job(at_work).replace(b'"status":"success"', b'"status":"running"')
        await files.write(folder / "job-430", body.replace(b'"id":419', b'"id":430'))
        async with world.running() as client:
            rows = await client.call("QueryJobs", None, ["id", "status"])
            found = dict(cast("list[tuple[int, str]]", rows))
            assert found[416] == "error"
            assert found[419] == "success"
            assert found[430] == "error"
            assert 500 not in found
            assert await client.call("QueryConfigValues", ["drain_flag"]) == [True]
            assert await client.call("SubmitJobToDrainedQueue", []) == 451
            assert await files.read(folder / "job-500") == b"not a job"
        # from then on the journal counts, not the files
        await files.remove(live_path(world.env, JobId(416)))
        async with world.luxid(), world.client() as client:
            await world.known(client)
            assert await client.status(416) == "error"


async def test_files_of_jobs_that_are_over_go_whoever_died_before(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        paths = world.env.paths
        await world.start_wconfd()
        await world.files.make_folder(paths.step_journals)
        for job in (1, 7):
            await world.files.write(paths.step_journal(JobId(job)), b"left")
        async with world.luxid(), world.client() as client:
            await world.known(client)
            assert await world.files.list(paths.step_journals) == ()
            await client.call("SubmitJob", [delay()])
            process = await world.launcher.process(1)
            await world.files.write(paths.step_journal(JobId(1)), b"its own")
            await process.run()
        async with world.luxid():  # the job still runs
            assert await world.files.list(paths.step_journals) == ("job-1",)
            await process.finish()

            async def is_gone() -> bool:
                return await world.files.list(paths.step_journals) == ()

            await world.eventually(is_gone)


async def test_a_job_that_wconfd_kept_waiting_begins_when_it_is_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        async with world.luxid(), world.client() as client:
            await world.known(client)
            await world.stop_wconfd()
            await client.call("SubmitJob", [delay()])
            for _ in range(3):  # it looks for WConfD, in vain
                await trio.sleep(comeback.RETRY_SECONDS_FIRST)
            await world.start_wconfd()
            with trio.fail_after(PATIENCE_SECONDS):
                process = await world.launcher.process(1)
            await process.run()
            await process.finish()


async def test_a_process_that_was_not_told_that_it_may_leave_is_ended(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        path = world.env.paths.step_journal(JobId(1))
        await world.files.make_folder(path.parent)
        async with world.luxid(), world.client() as client:
            await world.known(client)
            await client.call("SubmitJob", [delay()])
            process = await world.launcher.process(1)
            await world.files.write(path, b"its own")
            await process.run()
            await process.say_all(OpcodeChanged(0, "success", NOW, None), Ended())
        assert not process.child.over.is_set()
        assert await world.files.exists(path)
        async with world.luxid():
            with trio.fail_after(PATIENCE_SECONDS):
                await process.child.over.wait()

            async def is_gone() -> bool:
                return not await world.files.exists(path)

            await world.eventually(is_gone)


async def test_without_a_majority_what_needs_none_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        files = world.files
    async with bench(tmp_path, files) as world:
        # Two other candidates vote, and there is no way to them.
        files.put(world.env.paths.config, (SAMPLES / "config.data").read_bytes())
        monkeypatch.setattr(main_module, "CONFIRMATION_SECONDS_MAX", 0.1)
        monkeypatch.setattr(store, "LEASE_PATIENCE_SECONDS", 0.1)
        async with world.running() as client:
            assert (
                len(cast(list[object], await client.call("QueryNodes", [], ["name"], False))) == 3
            )
            for call in (
                ("QueryJobs", None, ["id"]),
                ("WaitForJobChange", 1, ["status"], None, None, 1),
                ("ArchiveJob", 1),
            ):
                assert NOT_SHOWN in str(await client.fail(*call))
            async with trio.open_nursery() as nursery:  # in crowds, too
                for _ in range(20):
                    nursery.start_soon(_refused, world)
            assert await client.call("QueryConfigValues", ["cluster_name"])


async def _refused(world: Bench) -> None:
    async with world.client() as client:
        assert NoLease().sentence() in str(await client.fail("SubmitJob", [delay()]))
