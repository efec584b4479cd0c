"""The course of a job, folded from the records of the queue's stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from attrs import evolve

from gantry.core.queue.outline import outline
from gantry.protocols.identity import Attempt
from gantry.protocols.job_course import (
    AttemptCourse,
    JobCourse,
    LockWait,
    OpcodeCourse,
    Pause,
    PlanOutline,
    StepCourse,
    StepState,
)
from gantry.protocols.jobs import Timestamp
from gantry.protocols.locks import Held
from gantry.protocols.steps import (
    Asked,
    Decided,
    Done,
    Holds,
    Leftover,
    Planned,
    Started,
    StepRecord,
    TurnedBack,
    Undone,
)

KEPT_MAX: Final = 50
"""How many attempts, waits and pauses are remembered of a job, the newest; more tell nothing."""

T = TypeVar("T")


def _kept(entries: tuple[T, ...], entry: T) -> tuple[T, ...]:
    return (*entries, entry)[-KEPT_MAX:]


def with_attempt(course: JobCourse, begun: AttemptCourse) -> JobCourse:
    """Return the course after a process was begun; steps at which another died are interrupted."""
    return evolve(
        course,
        opcodes=tuple(map(_interrupted, course.opcodes)),
        attempts=_kept(course.attempts, begun),
    )


def _interrupted(opcode: OpcodeCourse) -> OpcodeCourse:
    if all(step.state != "running" for step in opcode.steps):
        return opcode

    def interrupt(step: StepCourse) -> StepCourse:
        return evolve(step, state="interrupted") if step.state == "running" else step

    return evolve(opcode, steps=tuple(map(interrupt, opcode.steps)))


def with_wait(course: JobCourse, wait: LockWait) -> JobCourse:
    """Return the course after a wait for locks."""
    return evolve(course, waits=_kept(course.waits, wait))


def with_pause(course: JobCourse, *, paused: bool, at: Timestamp) -> JobCourse:
    """Return the course after the job was paused or resumed."""
    if paused:
        return evolve(course, pauses=_kept(course.pauses, Pause(at)))
    *before, last = course.pauses or (Pause(at),)
    return evolve(course, pauses=(*before, evolve(last, ended=at)))


def with_plan(
    course: JobCourse, opcode: int, plan: PlanOutline, locks: tuple[Held, ...], *, dry_run: bool
) -> JobCourse:
    """Return the course once an opcode has its plan."""
    steps = tuple(map(StepCourse, plan.steps))
    planned = OpcodeCourse(opcode, steps, plan.no_return, locks, dry_run)
    others = tuple(each for each in course.opcodes if each.opcode != opcode)
    return evolve(course, opcodes=(*others, planned))


def with_record(course: JobCourse, record: StepRecord, at: float) -> JobCourse:
    """Return the course after one more step record; ``at`` is 0 if it is not known when."""
    when = at or None
    match record:
        case Holds(opcode, locks):
            return with_plan(course, opcode, PlanOutline(()), locks, dry_run=False)
        case Planned(opcode, plan):
            known = next((each for each in course.opcodes if each.opcode == opcode), None)
            locks = known.locks if known else ()
            return with_plan(course, opcode, outline(plan), locks, dry_run=False)
        case Started(opcode, step, attempt):
            return _edit(course, opcode, step, lambda s: _begun(s, attempt, when))
        case Done(opcode, step):
            return _edit(course, opcode, step, lambda s: _ended(s, "done", when))
        case Undone(opcode, step):
            return _edit(course, opcode, step, lambda s: _ended(s, "undone", when))
        case Leftover(opcode, step):
            return _edit(course, opcode, step, lambda s: _ended(s, "left over", when))
        case TurnedBack(opcode):
            opcodes = (_interrupted(o) if o.opcode == opcode else o for o in course.opcodes)
            return evolve(course, opcodes=tuple(opcodes))
        case Asked() | Decided():
            return course


def _begun(step: StepCourse, attempt: Attempt, when: float | None) -> StepCourse:
    return evolve(step, state="running", attempt=attempt, began=when, ended=None)


def _ended(step: StepCourse, state: StepState, when: float | None) -> StepCourse:
    return evolve(step, state=state, ended=when)


def _edit(
    course: JobCourse, opcode: int, step: int, how: Callable[[StepCourse], StepCourse]
) -> JobCourse:
    """Change one step; a record of a step that is not known changes nothing."""
    place = next((n for n, each in enumerate(course.opcodes) if each.opcode == opcode), None)
    if place is None or not 0 <= step < len(course.opcodes[place].steps):
        return course
    found = course.opcodes[place]
    steps = (*found.steps[:step], how(found.steps[step]), *found.steps[step + 1 :])
    edited = evolve(found, steps=steps)
    return evolve(course, opcodes=(*course.opcodes[:place], edited, *course.opcodes[place + 1 :]))
