"""What people do to jobs: cancel, pause, resume, change the priority."""

from __future__ import annotations

import pytest
from tests.unit.core.queue.test_machine import FIRST, NOW, Bench, delay, plan, running

from gantry.core.queue.attempts import assignment
from gantry.core.queue.happenings import (
    AskToCancel,
    AskToPause,
    Cancel,
    Died,
    Kill,
    Said,
    SetPaused,
    SetQueuePaused,
    Step,
)
from gantry.core.queue.snapshot import restore, take
from gantry.protocols.identity import Epoch, JobId
from gantry.protocols.jobproc import Recorded
from gantry.protocols.queue_records import CancelWanted, JobPauseSet
from gantry.protocols.steps import Planned, TurnedBack


def pause(bench: Bench, job: JobId, *, paused: bool = True) -> Step:
    return bench.do(SetPaused(job, paused, NOW))


def text_of(done: Step) -> str:
    assert isinstance(done.answer, Said)
    return done.answer.text


def test_a_paused_queued_job_does_not_begin_until_it_is_resumed() -> None:
    bench = Bench()
    first, second = bench.submit(delay()), bench.submit(delay())
    done = pause(bench, first)
    assert done.records == (JobPauseSet(first, paused=True, at=NOW),)
    assert done.effects == ()
    assert "does not begin" in text_of(done)
    assert bench.tick() == [second]
    pause(bench, first, paused=False)
    assert bench.tick() == [first]


def test_a_paused_job_keeps_those_that_depend_on_it_waiting() -> None:
    bench = Bench()
    first = bench.submit(delay())
    bench.submit(delay(depends=[[first, []]]))
    pause(bench, first)
    assert bench.tick() == []
    assert bench.queue.is_unfinished(first)


def test_a_job_at_work_is_told() -> None:
    bench = Bench()
    job = running(bench)
    assert pause(bench, job).effects == (AskToPause(job, paused=True),)
    again = pause(bench, job)
    assert (again.records, again.effects) == ((), ())
    assert text_of(again) == f"Job {job} is paused already"
    assert pause(bench, job, paused=False).effects == (AskToPause(job, paused=False),)
    assert text_of(pause(bench, job, paused=False)) == f"Job {job} is not paused"
    assert bench.status(job) == "running"  # what Ganeti's clients see


def test_a_pause_outlives_the_process_and_luxid() -> None:
    bench = Bench()
    job = running(bench)
    pause(bench, job)
    bench.do(Died(job, FIRST, NOW))
    assert assignment(bench.queue.entries[job], Epoch(1), ()).paused
    assert restore(take(bench.queue)).entries[job].paused


def test_what_is_over_or_unknown_is_not_paused() -> None:
    bench = Bench()
    job = bench.submit(delay())
    bench.do(Cancel(job, kill=False, at=NOW))
    for number in (job, JobId(99)):
        for paused in (True, False):
            done = pause(bench, number, paused=paused)
            assert done.answer == Said(success=False, text=f"Job {number} not found in queue")
            assert done.records == ()


def test_what_is_being_undone_is_not_paused() -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")), TurnedBack(0, "error", None))
    assert "being undone" in text_of(pause(bench, job))
    assert not bench.queue.entries[job].paused


def test_a_paused_queue_begins_nothing_and_still_takes_jobs() -> None:
    bench = Bench()
    before = bench.submit(delay())
    bench.tick()
    bench.do(SetQueuePaused(paused=True))
    after = bench.submit(delay())
    assert bench.tick() == []
    bench.finish(before)
    assert bench.tick() == []
    assert restore(take(bench.queue)).paused
    bench.do(SetQueuePaused(paused=False))
    assert bench.tick() == [after]


@pytest.mark.parametrize("kill", [False, True])
def test_a_cancel_is_remembered_for_later_attempts(kill: bool) -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")))
    done = bench.do(Cancel(job, kill=kill, at=NOW))
    assert done.records == (CancelWanted(job),)
    assert done.effects == ((Kill(job),) if kill else (AskToCancel(job),))
    bench.do(Died(job, FIRST, NOW))
    assert assignment(restore(take(bench.queue)).entries[job], Epoch(1), ()).cancelled


def test_a_cancelled_job_can_not_be_paused_any_more_but_a_paused_one_cancelled() -> None:
    bench = Bench()
    job = running(bench)
    pause(bench, job)
    assert bench.do(Cancel(job, kill=False, at=NOW)).effects == (AskToCancel(job),)
    pause(bench, job, paused=False)
    assert "being undone" in text_of(pause(bench, job))
    bench.report(job, Recorded(Planned(0, plan("one"))))
