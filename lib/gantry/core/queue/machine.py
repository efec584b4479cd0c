"""The job queue as a state machine: (queue, event) -> (queue', records, effects).

The daemon makes the records durable and only then does what the effects say, so nobody ever
acts on, or hears of, a decision that a crash could undo. Decisions about what comes next are
made on the new queue at once; that is why a step returns it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from gantry.core.queue.attempts import died, not_started, reported
from gantry.core.queue.control import (
    cancel,
    change_priority,
    decide,
    not_found,
    set_log_level,
    set_paused,
)
from gantry.core.queue.happenings import (
    Accepted,
    Archive,
    Cancel,
    ChangePriority,
    Decide,
    Died,
    Effect,
    Happening,
    NotStarted,
    Refused,
    Release,
    Reported,
    Rules,
    Said,
    SetDrained,
    SetLogLevel,
    SetPaused,
    SetQueuePaused,
    Spawn,
    Started,
    Step,
    Submit,
    Tick,
    decided,
    keep,
)
from gantry.core.queue.schedule import schedule
from gantry.core.queue.state import Entry, Queue
from gantry.core.queue.submission import (
    BadDependency,
    NewlyNumbered,
    Opcodes,
    number,
)
from gantry.protocols.errors import GenericError, JobQueueFull
from gantry.protocols.identity import JobId
from gantry.protocols.jobs import Timestamp
from gantry.protocols.queue_records import (
    AttemptBegun,
    DrainFlagSet,
    JobArchived,
    JobCanceled,
    JobFailed,
    JobsSubmitted,
    ProcessStarted,
    QueuePauseSet,
)

JOBS_MAX: Final = 100_000
"""How many jobs the queue holds; archive some to make room."""


def step(queue: Queue, event: Happening, rules: Rules) -> Step:  # noqa: C901, PLR0912 - one case per kind
    """Decide what an event leads to; scheduling is done with :class:`Tick` only."""
    match event:
        case Submit():
            return _submit(queue, event)
        case Cancel():
            return cancel(queue, event)
        case Decide():
            return decide(queue, event)
        case ChangePriority():
            return change_priority(queue, event)
        case SetPaused():
            return set_paused(queue, event)
        case SetLogLevel():
            return set_log_level(queue, event)
        case SetQueuePaused(paused):
            return decided(queue, QueuePauseSet(paused))
        case SetDrained(drained):
            return decided(queue, DrainFlagSet(drained))
        case Archive(job):
            return _archive(queue, job)
        case Tick(at):
            return _tick(queue, rules, at)
        case Started(job, attempt, pid):
            return decided(queue, ProcessStarted(job, attempt, pid))
        case NotStarted():
            return not_started(queue, event)
        case Reported():
            return reported(queue, event, rules)
        case Died():
            return died(queue, event)
    assert_never(event)


def _submit(queue: Queue, event: Submit) -> Step:
    if event.sending is not None:
        before = queue.sendings.find(event.sending.digest, event.old_through)
        if before is not None and before.connection != event.sending.connection:
            return Step(queue, answer=Accepted(before.jobs))
    if queue.drained and not event.though_drained:
        return Step(queue, answer=Refused(GenericError("Queue drained")))
    if len(queue.entries) + len(event.jobs) > JOBS_MAX:
        return Step(queue, answer=Refused(JobQueueFull()))
    numbered, answers = _number(queue.serial, event.jobs, event.at)
    if not numbered:
        return Step(queue, answer=Accepted(answers))
    stored = tuple(each.stored for each in numbered)
    sending = event.sending if len(stored) == len(event.jobs) else None
    record = JobsSubmitted(stored, event.at, sending)
    return decided(queue, record, effects=keep(numbered), answer=Accepted(answers))


def _number(
    serial: JobId, jobs: Iterable[Opcodes], at: Timestamp
) -> tuple[list[NewlyNumbered], tuple[JobId | str, ...]]:
    numbered: list[NewlyNumbered] = []
    answers: list[JobId | str] = []
    for place, opcodes in enumerate(jobs, start=1):
        job = JobId(serial + place)
        try:
            numbered.append(number(job, opcodes, at))
            answers.append(job)
        except BadDependency as error:
            answers.append(str(error))
    return numbered, tuple(answers)


def may_archive(entry: Entry | None) -> bool:
    """Whether a job may be put into the archive."""
    return entry is not None and entry.closed and entry.job.is_final


def _archive(queue: Queue, job: JobId) -> Step:
    entry = queue.entry(job)
    if entry is None or not may_archive(entry):
        return Step(queue, answer=not_found(job))
    said = Said(success=True, text=f"Archived job {job}")
    return decided(queue, JobArchived(job, entry.job.status), answer=said)


def _tick(queue: Queue, rules: Rules, at: Timestamp) -> Step:
    records = schedule(queue, rules.running_max, rules.filters, at)
    effects: list[Effect] = []
    for record in records:
        match record:
            case AttemptBegun(job, attempt):
                effects.append(Spawn(job, attempt))
            case JobCanceled(job) | JobFailed(job):
                effects.append(Release(job))
            case _:
                pass
    return decided(queue, *records, effects=effects)
