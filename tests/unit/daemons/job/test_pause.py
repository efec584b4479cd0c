"""A paused job stands still between steps; nothing is lost, repeated or done in another order."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.operations.job_bench import JobBench, Ran
from tests.unit.operations.test_every_operation import create
from tests.unit.operations.twin_cluster import TwinCluster, TwinLink, TwinNodeLinks
from trio.testing import MockClock, wait_all_tasks_blocked
from typing_extensions import override

from gantry.daemons.job.outbox import Outbox
from gantry.daemons.job.process import JobServer
from gantry.daemons.job.work import Work
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.jobproc import (
    Assignment,
    Ended,
    Event,
    EventNumber,
    Logged,
    NotAssigned,
    OpcodeChanged,
    Recorded,
)
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.opcodes.testing import OpTestDelay
from gantry.protocols.steps import Done, Started, StepRecord, TurnedBack

RECORDS_MAX = 30
"""More than a new instance's plan has."""


def run(bench: Callable[[JobBench], Awaitable[Ran]]) -> tuple[Ran, object]:
    """Run something on a fresh cluster, with a clock that jumps."""
    with tempfile.TemporaryDirectory() as folder:
        job_bench = JobBench(Path(folder))

        async def main() -> Ran:
            return await bench(job_bench)

        ran = trio.run(main, clock=MockClock(autojump_threshold=0.01))
        return ran, job_bench.cluster.picture()


@settings(max_examples=15, deadline=None)
@given(st.frozensets(st.integers(1, RECORDS_MAX), max_size=RECORDS_MAX))
def test_pauses_change_neither_the_steps_nor_their_order(moments: frozenset[int]) -> None:
    undisturbed, picture = run(lambda bench: bench.run(create()))
    paused, same = run(lambda bench: bench.run(create(), pause_after=moments))
    assert paused.records == undisturbed.records
    assert paused.statuses == {0: "success"}
    assert same == picture


@settings(max_examples=15, deadline=None)
@given(st.frozensets(st.integers(1, RECORDS_MAX)), st.integers(1, RECORDS_MAX))
def test_a_cancel_is_heard_whether_paused_or_not(moments: frozenset[int], cancel: int) -> None:
    _, begun = run(nothing)
    whole, ended = run(lambda bench: bench.run(create()))
    ran, picture = run(lambda bench: bench.run(create(), cancel_after=cancel, pause_after=moments))
    assert picture == {"canceled": begun, "success": ended}[ran.statuses[0]]
    turned = [n for n, each in enumerate(ran.records) if isinstance(each, TurnedBack)]
    forwards = ran.records[: turned[0]] if turned else ran.records
    assert forwards == whole.records[: len(forwards)]


async def nothing(bench: JobBench) -> Ran:
    return Ran()


@define
class Overheard(Outbox):
    """An outbox that lets the test do something at the moment of an event."""

    react: Callable[[Event], None] = lambda _: None

    @override
    def put(self, event: Event, *, lingers: bool = False) -> EventNumber:
        self.react(event)
        return super().put(event, lingers=lingers)


class Standing:
    """A job of some opcodes at work, whose events the test reads."""

    def __init__(self, folder: Path, *opcodes: OpTestDelay, paused: bool = False) -> None:
        self.cluster = TwinCluster.sample()
        wire = tuple(map(dump_opcode, opcodes))
        self.assignment = Assignment(
            JobId(1), Attempt(1), Epoch(1), "run", wire, 0, (), 0, 0, paused=paused
        )
        self.outbox = Overheard()
        self.server = JobServer(JobId(1), self.outbox)
        self.events: list[Event] = []
        self.links = TwinNodeLinks(self.cluster.nodes, self.cluster.wconfd)
        self.env = JobBench(folder).environment()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.server.take(self.assignment)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            task_status.started()
            link = TwinLink(self.cluster.wconfd)
            work = Work(self.env, self.assignment, self.server, link, self.links, nursery)
            await work.do()
            nursery.cancel_scope.cancel()

    async def _listen(self) -> None:
        last = EventNumber(0)
        while True:
            for each in await self.server.events(last):
                self.events.append(each.event)
                last = each.number

    @property
    def statuses(self) -> list[str]:
        return [each.status for each in self.events if isinstance(each, OpcodeChanged)]

    @property
    def records(self) -> list[StepRecord]:
        return [each.record for each in self.events if isinstance(each, Recorded)]


async def test_a_new_attempt_of_a_paused_job_waits_for_its_resumption(tmp_path: Path) -> None:
    job = Standing(tmp_path, OpTestDelay(duration=0.0), paused=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(job.run)
        await wait_all_tasks_blocked()
        assert job.events == []
        await job.server.resume()
    assert job.statuses == ["waiting", "running", "success"]


async def test_a_paused_job_does_not_begin_its_next_opcode(tmp_path: Path) -> None:
    job = Standing(tmp_path, OpTestDelay(duration=0.0), OpTestDelay(duration=0.0))
    over = trio.Event()

    def react(event: Event) -> None:
        if isinstance(event, OpcodeChanged) and event.status == "success" and not over.is_set():
            job.server.going.close()
            over.set()

    job.outbox.react = react
    async with trio.open_nursery() as nursery:
        await nursery.start(job.run)
        await over.wait()
        await wait_all_tasks_blocked()
        assert job.statuses == ["waiting", "running", "success"]
        await job.server.resume()
    assert job.statuses == ["waiting", "running", "success"] * 2


async def test_a_paused_job_that_is_cancelled_ends_undone(tmp_path: Path) -> None:
    job = Standing(tmp_path, OpTestDelay(duration=0.0, repeat=2))

    def react(event: Event) -> None:
        if isinstance(event, Recorded) and isinstance(event.record, Started):
            job.server.going.close()
        if isinstance(event, Logged) and str(event.payload).startswith("paused before"):
            job.server.cancelled.set()

    job.outbox.react = react
    await job.run()
    assert job.statuses[-1] == "canceled"
    assert sum(isinstance(each, Started) for each in job.records) == 1
    assert any(isinstance(each, TurnedBack) for each in job.records)
    assert isinstance(job.events[-1], Ended)


async def test_the_priority_is_that_of_later_opcodes_too(tmp_path: Path) -> None:
    job = Standing(tmp_path, OpTestDelay(duration=0.0), OpTestDelay(duration=0.0))
    taken: list[int] = []

    def react(event: Event) -> None:
        if isinstance(event, OpcodeChanged) and event.status == "running":
            locks = job.server.locks
            taken.append(0 if locks is None else locks.priority)
            job.server.priority = -10

    job.outbox.react = react
    await job.run()
    assert taken == [0, -10]


async def test_an_attempt_that_is_to_cancel_undoes_what_the_one_before_it_did(
    tmp_path: Path, autojump_clock: object
) -> None:
    whole = JobBench(tmp_path / "whole")
    begun = whole.cluster.picture()
    moments = len((await whole.run(create())).records)
    for moment in range(1, moments + 1):
        bench = JobBench(tmp_path / f"killed-{moment}")
        ran = await bench.run(create(), kill_after=moment, then="run", then_cancel=True)
        if ran.statuses == {0: "canceled"}:
            assert bench.cluster.picture() == begun, (moment, ran.log)
        else:  # nothing was left to do, or it may only be carried on
            assert ran.statuses == {0: "success"}, (moment, ran.results)
            assert bench.cluster.picture() == whole.cluster.picture()


async def test_a_process_says_what_it_is_at(tmp_path: Path) -> None:
    job = Standing(tmp_path, OpTestDelay(duration=0.0, repeat=2))
    with pytest.raises(NotAssigned):
        await job.server.status()
    seen: list[str | None] = []

    def react(event: Event) -> None:
        if isinstance(event, Recorded) and isinstance(event.record, Done):
            run = job.server.current
            seen.append(None if run is None else run.stepper.at)

    job.outbox.react = react
    await job.run()
    assert seen == ["announce 0", "delay 0", "announce 1", "delay 1"]
    await job.server.pause()
    await job.server.set_priority(-10)
    status = await job.server.status()
    assert (status.is_paused, status.priority, status.log_level) == (True, -10, "info")
    assert (status.opcode, status.step, status.is_waiting) == (None, None, False)


async def test_the_log_level_is_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogger().level
    try:
        job = Standing(tmp_path, OpTestDelay(duration=0.0))
        await job.server.set_log_level("debug")
        await job.run()
        assert (await job.server.status()).log_level == "debug"
        assert "performing" in caplog.text
        await job.server.set_log_level("info")
        assert (await job.server.status()).log_level == "info"
    finally:
        logging.getLogger().setLevel(before)
