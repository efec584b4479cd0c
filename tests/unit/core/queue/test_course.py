"""What a job has gone through, as people see it."""

from __future__ import annotations

from tests.unit.core.queue.test_machine import FIRST, NOW, Bench, plan, running

from gantry.core.queue.course import KEPT_MAX
from gantry.core.queue.happenings import Died, SetPaused
from gantry.core.queue.outline import outline
from gantry.core.queue.snapshot import restore, take
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.job_course import AttemptCourse, JobCourse, LockWait, Pause
from gantry.protocols.jobproc import Event, OpcodeChanged, Recorded, Shown, Waited
from gantry.protocols.locks import Held, LockName
from gantry.protocols.steps import Done, Holds, Planned, Started, TurnedBack, Undone

LOCKS = (Held(LockName("cluster/BGL"), "shared"),)
BEGIN: tuple[Event, ...] = (
    Recorded(Holds(0, LOCKS, ()), 10.0),
    Recorded(Planned(0, plan("one", "two", "three")), 10.0),
    Recorded(Started(0, 0, FIRST), 11.0),
    Recorded(Done(0, 0, None), 12.0),
    Recorded(Started(0, 1, FIRST), 13.0),
)


def course(bench: Bench, job: JobId) -> JobCourse:
    found = bench.queue.entries[job].course
    assert restore(take(bench.queue)).entries[job].course == found
    return found


def states(bench: Bench, job: JobId) -> list[str]:
    (opcode,) = course(bench, job).opcodes
    return [step.state for step in opcode.steps]


def test_steps_are_followed_with_their_times() -> None:
    bench = Bench()
    job = running(bench)
    bench.report(job, *BEGIN)
    (opcode,) = course(bench, job).opcodes
    assert opcode.locks == LOCKS
    first, second, third = opcode.steps
    assert (first.state, first.began, first.ended) == ("done", 11.0, 12.0)
    assert (second.state, second.began, second.ended) == ("running", 13.0, None)
    assert (third.state, third.attempt) == ("planned", None)


def test_a_step_is_interrupted_by_the_death_of_its_process() -> None:
    bench = Bench()
    job = running(bench)
    bench.report(job, *BEGIN)
    bench.do(Died(job, FIRST, NOW))
    assert states(bench, job) == ["done", "interrupted", "planned"]
    bench.report(job, Recorded(Started(0, 1, Attempt(2)), 20.0))
    assert states(bench, job) == ["done", "running", "planned"]
    assert course(bench, job).attempts == (
        AttemptCourse(FIRST, "run", NOW),
        AttemptCourse(Attempt(2), "run", NOW),
    )


def test_what_is_undone_is_shown_so() -> None:
    bench = Bench()
    job = running(bench)
    bench.report(job, *BEGIN, Recorded(TurnedBack(0, "canceled", None), 14.0))
    assert states(bench, job) == ["done", "interrupted", "planned"]
    bench.report(job, Recorded(Undone(0, 1), 15.0), Recorded(Undone(0, 0), 16.0))
    assert states(bench, job) == ["undone", "undone", "planned"]


def test_it_outlives_the_step_records() -> None:
    bench = Bench()
    job = running(bench)
    bench.report(job, *BEGIN)
    bench.report(job, OpcodeChanged(0, "success", 1e9))
    assert bench.queue.entries[job].records == ()
    assert states(bench, job) == ["done", "running", "planned"]


def test_a_dry_run_leaves_a_plan_of_which_nothing_was_begun() -> None:
    bench = Bench()
    job = running(bench)
    bench.report(job, Shown(0, outline(plan("one")), LOCKS))
    (opcode,) = course(bench, job).opcodes
    assert (opcode.dry_run, opcode.locks) == (True, LOCKS)
    assert states(bench, job) == ["planned"]
    assert bench.queue.entries[job].records == ()


def test_waits_and_pauses_are_remembered_up_to_a_bound() -> None:
    bench = Bench()
    job = running(bench)
    waits = [LockWait(0, float(n), n + 1.0, (JobId(9),)) for n in range(KEPT_MAX + 5)]
    bench.report(job, *map(Waited, waits))
    assert course(bench, job).waits == tuple(waits[5:])
    bench.do(SetPaused(job, paused=True, at=NOW))
    assert course(bench, job).pauses == (Pause(NOW),)
    later = (NOW[0] + 5, 0)
    bench.do(SetPaused(job, paused=False, at=later))
    assert course(bench, job).pauses == (Pause(NOW, later),)
