"""LuxiD and what people do to its jobs: pause, resume, cancel, look into them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import trio
from tests.unit.daemons.luxid.luxid_bench import NOW, Bench, Client, bench, delay

from gantry.daemons.luxid import supervisor
from gantry.daemons.luxid.store import QueueStore, journal_path
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.job_course import StepProgress
from gantry.protocols.jobproc import Advanced, BlockedBy, Recorded
from gantry.protocols.steps import Delay, Done, NoUndo, Plan, Planned, Started, Step, StepName

TOLD = "Job 1 stops before its next step, and keeps its locks, until it is resumed"


async def at_work(world: Bench, client: Client) -> None:
    await client.call("SubmitJob", [delay()])
    await (await world.launcher.process(1)).run()


async def test_a_running_job_is_paused_and_resumed(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await at_work(world, client)
        process = await world.launcher.process(1)
        assert await client.call("PauseJob", 1) == [True, TOLD]
        assert await client.status(1) == "running"
        assert await client.call("PauseJob", "1") == [True, "Job 1 is paused already"]
        assert await client.call("ResumeJob", 1) == [True, "Job 1 goes on"]
        await process.until(lambda: process.paused == [True, False])
        await process.finish()
        assert await client.call("ResumeJob", 1) == [False, "Job 1 not found in queue"]


async def test_a_restarted_luxid_says_again_that_a_job_is_paused(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        async with world.running() as client:
            await at_work(world, client)
            await client.call("PauseJob", 1)
        process = await world.launcher.process(1)
        async with world.luxid(), world.client() as client:
            await process.until(lambda: process.paused == [True, True])
            await client.call("ResumeJob", 1)
            await process.until(lambda: process.paused[-1] is False)


async def test_the_next_attempt_of_a_paused_job_is_paused(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await at_work(world, client)
        await client.call("PauseJob", 1)
        (await world.launcher.process(1)).child.kill()
        again = await world.launcher.process(1, 2)
        await again.assigned.wait()
        assert again.work is not None
        assert again.work.paused


async def test_a_cancel_outlives_luxid_and_the_process(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        async with world.running() as client:
            await at_work(world, client)
            assert "told to stop" in str(await client.call("CancelJob", 1))
        process = await world.launcher.process(1)
        process.cancelled = trio.Event()
        async with world.luxid(), world.client() as client:
            await process.cancelled.wait()
            assert "killed" in str(await client.call("CancelJob", 1, True))
            again = await world.launcher.process(1, 2)
            await again.assigned.wait()
            assert again.work is not None
            assert again.work.cancelled


async def test_a_process_that_takes_no_message_for_long_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "TELL_SECONDS_MAX", 0.05)
    async with bench(tmp_path) as world, world.running() as client:
        await at_work(world, client)
        process = await world.launcher.process(1)
        process.takes_messages = trio.Event()  # stopped, say, and its machine out of memory
        assert "told to stop" in str(await client.call("CancelJob", 1))
        await process.given_up.wait()
        process.takes_messages.set()
        await process.cancelled.wait()
        await process.finish()


async def test_a_process_is_not_held_up_by_a_gap_without_the_lease_that_nobody_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        monkeypatch.setattr(QueueStore, "has_lease", False)  # as when another voter was added
        await at_work(world, client)
        process = await world.launcher.process(1)
        assert process.lease in ([], [True])
        await process.finish()


async def test_in_a_paused_queue_no_job_begins_also_after_a_restart(tmp_path: Path) -> None:
    async with bench(tmp_path) as world:
        async with world.running() as client:
            assert await client.call("SetQueuePause", True) is True
            assert await client.call("SubmitJob", [delay()]) == 1
            flags = await client.call("QueryConfigValues", ["drain_flag", "queue_paused"])
            assert flags == [False, True]
        async with world.luxid(), world.client() as client:
            await world.known(client)
            assert world.launcher.processes == {}
            await client.call("SetQueuePause", False)
            await world.launcher.process(1)


async def test_a_job_on_hold_begins_when_it_is_resumed(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await client.call("SetQueuePause", True)
        await client.call("SubmitJob", [delay()])
        await client.call("PauseJob", 1)
        await client.call("SetQueuePause", False)
        assert world.launcher.processes == {}
        await client.call("ResumeJob", 1)
        await world.launcher.process(1)


# --- what is told of a job's inside --------------------------------------------------------------


async def test_steps_are_told_to_whoever_names_the_field(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await at_work(world, client)
        process = await world.launcher.process(1)
        await process.say_all(Recorded(Planned(0, PLAN), NOW), Recorded(Started(0, 0, ONE), NOW))
        ((steps, attempts, paused),) = await rows(client, "opsteps", "attempts", "paused")
        assert "'state': 'running'" in str(steps)
        assert "'mode': 'run'" in str(attempts)
        assert paused is False
        await process.finish()
        ((steps,),) = await rows(client, "opsteps")
        assert steps != [None]


async def test_ours_are_not_listed_among_all_fields(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        every = await client.call("QueryFields", "job", None)
        assert "opsteps" not in str(every)
        named = await client.call("QueryFields", "job", ["opsteps"])
        assert "OpCode_steps" in str(named)


async def test_who_waits_for_a_job_hears_at_once_who_blocks_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await at_work(world, client)
        process = await world.launcher.process(1)
        fields = ["status", "blocked_by"]
        heard: list[object] = []

        async def wait() -> None:
            known = ["running", []]
            heard.append(await client.call("WaitForJobChange", 1, fields, known, None, 80))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            process.say(BlockedBy((JobId(9),)))
        assert heard == [[["running", [9]], []]]
        await process.say_all(BlockedBy(()))
        assert await rows(client, "blocked_by") == [[[]]]


async def test_what_a_dead_process_did_is_forgotten(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await at_work(world, client)
        process = await world.launcher.process(1)
        await process.say_all(BlockedBy((JobId(9),)))
        process.child.kill()
        await (await world.launcher.process(1, 2)).assigned.wait()
        assert await rows(client, "blocked_by") == [[[]]]


ONE = Attempt(1)
PLAN = Plan(
    "OP_TEST_DELAY",
    1,
    (Step(StepName("wait"), "idempotent", Delay(1.0), NoUndo("nothing stays")),),
)


async def rows(client: Client, *fields: str) -> list[list[object]]:
    return cast("list[list[object]]", await client.call("QueryJobs", [1], fields))


async def test_how_far_a_long_step_is_stands_with_it_until_the_next_record(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await at_work(world, client)
        process = await world.launcher.process(1)
        await process.say_all(Recorded(Planned(0, PLAN), NOW), Recorded(Started(0, 0, ONE), NOW))
        journal = await world.files.read(journal_path(world.env))
        await process.say_all(Advanced(0, 0, StepProgress(1.0, 4.0, "seconds")))
        assert await world.files.read(journal_path(world.env)) == journal
        assert "'done': 1.0, 'total': 4.0" in str(await rows(client, "opsteps"))
        await process.say_all(Recorded(Done(0, 0, None), NOW))
        assert "'total'" not in str(await rows(client, "opsteps"))


async def test_a_process_is_asked_what_it_is_at_and_told_to_log_more(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        assert await client.call("QueryJobProcess", 1) is None
        await at_work(world, client)
        process = await world.launcher.process(1)
        said = await client.call("QueryJobProcess", 1)
        assert cast("dict[str, object]", said)["step"] == "wait"
        done = await client.call("SetJobLogLevel", 1, "debug")
        assert cast("list[object]", done)[0] is True
        await process.until(lambda: process.log_level == "debug")
        process.child.kill()
        later = await world.launcher.process(1, 2)
        await later.assigned.wait()
        assert later.work is not None
        assert later.work.log_level == "debug"
        refused = await client.call("SetJobLogLevel", 1, "loud")
        assert refused == [False, "'loud' is no log level; there are info and debug"]
        assert await client.call("SetJobLogLevel", 99, "info") == [
            False,
            "Job 99 not found in queue",
        ]
