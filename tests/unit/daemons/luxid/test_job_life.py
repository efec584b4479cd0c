"""Jobs from submission to archive, with scripted processes."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import trio
from tests.unit.daemons.luxid.luxid_bench import NOW, PATIENCE_SECONDS, Bench, Client, bench, delay

from gantry.core.queue.attempts import DEATHS_MAX, ROLL_BACKS_MAX
from gantry.daemons.luxid import supervisor
from gantry.daemons.luxid.files import live_path
from gantry.daemons.luxid.store import journal_path
from gantry.protocols.identity import Attempt, JobId, Key
from gantry.protocols.jobproc import (
    Ended,
    JobsWanted,
    Logged,
    NotSubmitted,
    OpcodeChanged,
    Recorded,
    Submitted,
)
from gantry.protocols.jobs import load_job
from gantry.protocols.locks import LockOwner
from gantry.protocols.steps import Asked, Decided, Started
from gantry.protocols.wconfd import LivingJob
from gantry.runtime.job_archive import archived_path, course_path


async def test_a_job_runs_from_submission_to_its_result(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        job = await client.call("SubmitJob", [delay(), delay()])
        assert job == 1
        process = await world.launcher.process(1)
        await process.run()
        assert process.work is not None
        assert (process.work.mode, process.work.epoch) == ("run", world.wconfd.epoch)
        assert [op["OP_ID"] for op in process.work.opcodes] == ["OP_TEST_DELAY"] * 2
        assert await client.status(1) == "running"
        await process.say_all(
            OpcodeChanged(0, "success", NOW, 5),
            OpcodeChanged(1, "waiting", NOW),
            OpcodeChanged(1, "running", NOW),
            OpcodeChanged(1, "success", NOW, 6),
        )
        await process.finish()
        fields = ["status", "opstatus", "opresult", "priority", "summary"]
        assert await client.call("QueryJobs", [1], fields) == [
            ["success", ["success"] * 2, [5, 6], 0, ["TEST_DELAY(1.0e-3)"] * 2]
        ]


async def test_a_finished_job_is_released(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.run()
        await process.finish()
        await world.wconfd.until(lambda: world.wconfd.dropped == [1])


async def test_no_process_is_made_before_the_attempt_is_durable(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        flushed: list[bytes] = []
        spawn = world.launcher.spawn

        async def watched(request: object) -> object:
            flushed.append(await world.files.read(journal_path(world.env)))
            return await spawn(request)  # type: ignore[arg-type]  # passed on as it came

        world.launcher.spawn = watched  # type: ignore[method-assign,assignment]  # only looks
        await client.call("SubmitJob", [delay()])
        await world.launcher.process(1)
        assert b'"AttemptBegun","job":1' in flushed[0]


async def test_many_submissions_share_few_flushes(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SetDrainFlag", False)
        before = world.files.operations

        async def submit(answers: list[object]) -> None:
            async with world.client() as own:
                answers.append(await own.call("SubmitJob", [delay(depends=[[1, []]])]))

        await client.call("SubmitJob", [delay()])
        answers: list[object] = []
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(submit, answers)
        assert sorted(cast("list[int]", answers)) == list(range(2, 52))
        assert world.files.operations - before < 2 * 51


# --- waiting -------------------------------------------------------------------------------------


async def test_a_waiting_client_hears_of_every_change_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.assigned.wait()
        known = await client.call("WaitForJobChange", 1, ["status"], None, None, 80)
        assert known == [["queued"], []]
        async with world.client() as waiting:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(process.say_all, OpcodeChanged(0, "waiting", NOW))
                changed = await waiting.call(
                    "WaitForJobChange", 1, ["status"], ["queued"], None, 80
                )
            assert changed == [["waiting"], []]
            entry = Logged(0, NOW, "message", "hello")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(process.say_all, entry)
                logged = await waiting.call("WaitForJobChange", 1, ["status"], ["waiting"], 0, 80)
            assert logged == [["waiting"], [[1, [1795250100, 500000], "message", "hello"]]]


async def test_nothing_new_is_said_after_the_timeout(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        asked = await client.call("WaitForJobChange", 1, ["status"], ["queued"], 5, 0.01)
        assert asked == [["queued"], []]


async def test_a_finished_job_is_answered_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [])
        asked = await client.call("WaitForJobChange", "1", ["id", "status"], [1, "success"], 0, 80)
        assert asked == [[1, "success"], []]


# --- cancel and priority -------------------------------------------------------------------------


async def test_cancelling_a_waiting_job_waits_for_its_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.assigned.wait()
        await process.say_all(OpcodeChanged(0, "waiting", NOW))

        async def obey() -> None:
            await process.cancelled.wait()
            await process.say_all(OpcodeChanged(0, "canceled", NOW, "Job canceled by request"))

        world.nursery.start_soon(obey)
        answer = await client.call("CancelJob", 1)
        assert cast("list[object]", answer)[0] is True
        assert await client.status(1) == "canceled"


async def test_a_cancel_before_the_process_exists_is_not_lost(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client, world.client() as other:
        await client.call("SubmitJob", [delay()])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.call, "CancelJob", 1, False)
            process = await world.launcher.process(1)
            with trio.fail_after(PATIENCE_SECONDS):
                await process.cancelled.wait()
            await process.say_all(OpcodeChanged(0, "canceled", NOW))


async def test_a_killed_job_is_followed_by_a_process_that_is_told_to_undo(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.run()
        record = Started(0, 0, Attempt(1))
        await process.say_all(Recorded(record))
        killed = cast("list[object]", await client.call("CancelJob", 1, True))
        assert killed[0] is True
        undoing = await world.launcher.process(1, attempt=2)
        await undoing.assigned.wait()
        assert undoing.work is not None
        assert undoing.work.cancelled
        assert undoing.work.records == (record,)
        await undoing.say_all(OpcodeChanged(0, "canceled", NOW, "undone"))
        await undoing.finish()
        assert await client.call("QueryJobs", [1], ["status", "opresult"]) == [
            ["canceled", ["undone"]]
        ]


async def test_a_job_whose_process_dies_goes_on_three_times_and_is_undone_then(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        for attempt in range(1, DEATHS_MAX + 1):
            process = await world.launcher.process(1, attempt)
            await process.run()
            assert process.work is not None
            assert process.work.mode == "run"
            process.child.kill()
        last = await world.launcher.process(1, DEATHS_MAX + 1)
        await last.run()
        assert last.work is not None
        assert last.work.mode == "roll back"
        await last.finish()
        assert await client.status(1) == "success"


async def test_a_process_that_dies_before_it_says_anything_had_its_work_all_the_same(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        for attempt in range(1, DEATHS_MAX + 1):
            process = await world.launcher.process(1, attempt)
            await process.assigned.wait()
            process.child.kill()
        last = await world.launcher.process(1, DEATHS_MAX + 1)
        await last.assigned.wait()
        assert last.work is not None
        assert last.work.mode == "roll back"
        await last.finish()


async def test_that_there_is_a_process_is_written_with_what_it_says_first(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.assigned.wait()
        assert b"ProcessStarted" not in await world.files.read(journal_path(world.env))
        await process.run()
        assert b"ProcessStarted" in await world.files.read(journal_path(world.env))
        await process.finish()


async def test_a_process_that_leaves_for_the_lease_is_no_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ASK_AGAIN_SECONDS", 0.001)
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        for attempt in range(1, DEATHS_MAX + 3):
            process = await world.launcher.process(1, attempt)
            await process.assigned.wait()
            assert process.work is not None
            assert process.work.mode == "run"
            await leave(world, attempt)
            process.child.kill()


async def test_but_the_next_one_is_not_made_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may leave for the same reason: a lease can be away for long."""
    monkeypatch.setattr(supervisor, "ASK_AGAIN_SECONDS", 3600.0)
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.assigned.wait()
        await leave(world, 1)
        process.child.kill()
        await process.child.over.wait()
        await client.call("SubmitJob", [delay()])
        await world.launcher.process(2)
        assert (1, 2) not in world.launcher.processes


async def test_nor_is_it_if_luxid_is_away_at_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ASK_AGAIN_SECONDS", 0.001)
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        async with world.luxid(), world.client() as client:
            await world.known(client)
            await client.call("SubmitJob", [delay()])
            process = await world.launcher.process(1)
            await process.run()
        for attempt in range(1, DEATHS_MAX + 3):
            await leave(world, attempt)
            process.child.kill()
            await process.child.over.wait()
            async with world.luxid():
                process = await world.launcher.process(1, attempt + 1)
                await process.assigned.wait()
                assert process.work is not None
                assert process.work.mode == "run"


async def leave(world: Bench, attempt: int) -> None:
    """Be a process that leaves since nobody may act."""
    await world.files.make_folder(world.env.paths.step_journals)
    await world.files.write(world.env.paths.farewell(JobId(1)), str(attempt).encode())


async def test_a_job_that_asks_waits_however_often_its_process_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "ASK_AGAIN_SECONDS", 0.001)
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        for attempt in range(1, 2 * DEATHS_MAX):
            process = await world.launcher.process(1, attempt)
            await process.assigned.wait()
            assert process.work is not None
            assert process.work.mode == "run"
            if attempt == 1:
                await process.run()
                await process.say_all(Recorded(Asked(0, 3, "has it been done?", NOW)))
            process.child.kill()
        assert await client.call("DecideJob", 1, "skip") == [True, "Job 1 was told: skip"]


async def test_a_decision_reaches_the_process_and_the_one_after_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.run()
        assert await client.call("DecideJob", 1, "redo") == [
            False,
            "Job 1 does not wait for a decision",
        ]
        await process.say_all(Recorded(Asked(0, 3, "has it been done?", NOW)))
        assert await client.status(1) == "running"
        since = [1795250100, 500000]
        assert await client.call("QueryQuestions") == [[1, since, "has it been done?"]]
        assert await client.call("DecideJob", 1, "redo") == [True, "Job 1 was told: redo"]
        assert await client.call("QueryQuestions") == []
        made = Decided(0, 3, "redo", NOW)
        await process.until(lambda: process.decisions == [made])
        process.child.kill()
        later = await world.launcher.process(1, 2)
        await later.assigned.wait()
        assert later.work is not None
        assert later.work.records[-1] == made


async def test_a_job_whose_roll_back_dies_again_and_again_says_so(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        for attempt in range(1, DEATHS_MAX + ROLL_BACKS_MAX + 1):
            undoing = await world.launcher.process(1, attempt)
            await undoing.assigned.wait()
            undoing.child.kill()
        await world.eventually(lambda: _has_status(client, "error"))
        await world.wconfd.until(lambda: world.wconfd.dropped == [1])
        results = await client.call("QueryJobs", [1], ["opresult"])
        assert "job process died" in str(results)


async def _has_status(client: Client, status: str) -> bool:
    return await client.status(1) == status


async def test_the_process_hears_its_new_priority(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.run()
        await client.call("ChangeJobPriority", 1, -10)
        await process.until(lambda: process.priority == -10)
        assert await client.call("QueryJobs", [1], ["priority"]) == [[-10]]


async def test_a_process_that_can_not_be_made_fails_its_job(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        world.launcher.refusal = "no memory"
        await client.call("SubmitJob", [delay()])
        await world.eventually(lambda: _has_status(client, "error"))
        assert "no memory" in str(await client.call("QueryJobs", [1], ["opresult"]))


async def test_a_process_that_stays_after_the_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LEAVE_SECONDS_MAX", 0.01)
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.run()
        await process.say_all(OpcodeChanged(0, "success", NOW))
        process.say(Ended())
        with trio.fail_after(PATIENCE_SECONDS):
            await process.child.over.wait()


# --- what jobs want ------------------------------------------------------------------------------


async def test_a_job_gets_the_jobs_that_it_wants(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.run()
        key = Key(JobId(1), 0, 0)
        await process.say_all(JobsWanted(key, ((delay(),), ({"OP_ID": "OP_NO"},))))
        await process.until(lambda: key in process.outcomes)
        first, second = process.outcomes[key]
        assert first == Submitted(JobId(2))
        assert isinstance(second, NotSubmitted)
        await world.launcher.process(2)


async def test_secrets_reach_the_process_and_no_file(tmp_path: Path) -> None:
    create = {
        "OP_ID": "OP_INSTANCE_CREATE",
        "reason": [],
        "mode": "create",
        "instance_name": "web1",
        "disks": [],
        "nics": [],
        "osparams_secret": {"password": "planted-secret"},
    }
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay(), create])
        process = await world.launcher.process(1)
        await process.assigned.wait()
        assert process.work is not None
        assert process.work.secrets == ({}, {"password": "planted-secret"})
        assert "planted" not in repr(process.work)
        shown = await client.call("QueryJobs", [1], ["ops"])
        assert "planted" not in str(shown)
        assert "<redacted>" in str(shown)
        await process.run()
        await process.finish()
        for path in await _all_files(world):
            assert b"planted" not in await world.files.read(path), path


async def _all_files(world: Bench) -> list[Path]:
    found: list[Path] = []
    folders = [world.env.paths.root]
    for folder in folders:
        for name in await world.files.list(folder):
            path = folder / name
            (folders if await world.files.list(path) else found).append(path)
    return [path for path in found if await _is_file(world, path)]


async def _is_file(world: Bench, path: Path) -> bool:
    try:
        await world.files.read(path)
    except OSError:
        return False
    return True


# --- resends, drain, archive ---------------------------------------------------------------------


async def test_a_submission_sent_again_is_one_job(tmp_path: Path) -> None:
    stamped = delay(reason=[["gnt:client:gnt-debug", "delay", 1795250070233412608]])
    async with bench(tmp_path) as world, world.running() as client, world.client() as other:
        assert await client.call("SubmitJob", [stamped]) == 1
        assert await other.call("SubmitJob", [stamped]) == 1
        assert await client.call("SubmitJob", [stamped]) == 2
        assert await other.call("SubmitJob", [delay()]) == 3
        assert await client.call("SubmitJob", [delay()]) == 4


async def test_a_drained_queue(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        flag = world.env.paths.queue / "drain"
        assert await client.call("SetDrainFlag", True) is True
        assert await client.call("QueryConfigValues", ["drain_flag"]) == [True]
        assert await client.fail("SubmitJob", [delay()]) == ["GenericError", ["Queue drained"]]
        assert await client.call("SubmitJobToDrainedQueue", [delay()]) == 1
        await world.eventually(lambda: world.files.exists(flag))
        await client.call("SetDrainFlag", False)
        assert await client.call("SubmitJob", [delay()]) == 2


async def test_an_archived_job_is_found_by_its_number_only(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        for _ in range(3):
            await client.call("SubmitJob", [])
        assert await client.call("ArchiveJob", 2) is True
        assert await client.call("ArchiveJob", 2) is False
        assert await client.call("QueryJobs", None, ["id"]) == [[1], [3]]
        assert await client.call("QueryJobs", [2], ["id", "status", "archived"]) == [
            [2, "success", True]
        ]
        assert await client.call("QueryJobs", None, ["id", "archived"]) == [
            [1, False],
            [2, True],
            [3, False],
        ]
        error = await client.fail("WaitForJobChange", 2, ["status"], None, None, 1)
        assert cast("list[object]", error)[0] == "JobLost"
        stored = load_job(await world.files.read(archived_path(world.env, JobId(2))))
        assert stored.status == "success"
        assert not await world.files.exists(live_path(world.env, JobId(2)))


async def test_what_an_archived_job_has_gone_through_is_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        (await world.launcher.process(1)).child.kill()
        process = await world.launcher.process(1, 2)
        await process.run()
        await process.finish()
        fields = ["attempts", "opsteps", "paused", "blocked_by"]
        shown = cast("list[list[object]]", await client.call("QueryJobs", [1], fields))
        assert [each["attempt"] for each in cast("list[dict[str, int]]", shown[0][0])] == [1, 2]
        assert await client.call("ArchiveJob", 1) is True
        assert await client.call("QueryJobs", [1], fields) == shown
        history = await client.call("QueryJobs", None, ["id", "archived", *fields])
        assert history == [[1, True, *shown[0]]]
        stored = await world.files.read(archived_path(world.env, JobId(1)))
        assert load_job(stored).status == "success"
        assert b"attempt" not in stored  # it is Ganeti's
        await world.files.remove(course_path(world.env, JobId(1)))
        assert await client.call("QueryJobs", [1], ["status", "attempts"]) == [["success", None]]
        await world.files.write(course_path(world.env, JobId(1)), b"{")
        assert await client.call("QueryJobs", [1], ["status", "attempts"]) == [["success", None]]


async def test_old_jobs_are_archived_together(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitManyJobs", [[], [], [delay()]])
        assert await client.call("AutoArchiveJobs", 0, 10) == [0, 0]
        world.env.clock.time += 100  # type: ignore[attr-defined]  # the test's clock
        assert await client.call("AutoArchiveJobs", -1, 10) == [0, 0]
        assert await client.call("AutoArchiveJobs", 50, 10) == [2, 0]
        assert await client.call("QueryJobs", None, ["id"]) == [[3]]


async def test_job_files_follow_the_queue(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SubmitJob", [delay()])
        process = await world.launcher.process(1)
        await process.run()
        await process.finish(result=7)
        path = live_path(world.env, JobId(1))

        async def is_written() -> bool:
            if not await world.files.exists(path):
                return False
            return load_job(await world.files.read(path)).is_final

        await world.eventually(is_written)
        job = load_job(await world.files.read(path))
        assert job.ops[0].result == 7
        assert job.process_id == process.child.pid
        assert await world.files.read(world.env.paths.queue / "serial") == b"1\n"
        assert await world.files.read(world.env.paths.queue / "version") == b"1\n"


async def test_wconfd_hears_who_lives_each_time_it_starts(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await world.wconfd.until(lambda: world.wconfd.named == [()])
        await client.call("SubmitJob", [delay()])
        await (await world.launcher.process(1)).run()
        await world.stop_wconfd()
        await world.start_wconfd()
        named = (LivingJob(LockOwner(JobId(1), Attempt(1))),)
        await world.wconfd.until(lambda: world.wconfd.named == [(), named])
