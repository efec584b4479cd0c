"""The life of a job's attempts: made, heard of, dead, followed by others; and what they want."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gantry.core.queue.fold import apply, replay
from gantry.core.queue.happenings import (
    AnswerWanted,
    Died,
    Effect,
    NotStarted,
    Release,
    Reported,
    Rules,
    Spawn,
    Step,
    decided,
    keep,
)
from gantry.core.queue.leftovers import epitaph
from gantry.core.queue.state import Entry, Queue
from gantry.core.queue.submission import (
    BadDependency,
    NewlyNumbered,
    Secrets,
    check_wanted,
    number,
)
from gantry.protocols.identity import Attempt, Epoch, JobId, Key
from gantry.protocols.jobproc import (
    Advanced,
    Assignment,
    BlockedBy,
    Ended,
    Event,
    JobsWanted,
    NotSubmitted,
    Submitted,
)
from gantry.protocols.jobs import Timestamp
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.parsing import BadOpcode, parse_opcode
from gantry.protocols.queue_records import (
    AttemptBegun,
    JobClosed,
    JobFailed,
    JobReported,
    JobsSubmitted,
    Outcomes,
    QueueRecord,
    Wanted,
)

DEATHS_MAX: Final = 3
"""How many processes may die while they carry a job on, before it is rolled back."""

ROLL_BACKS_MAX: Final = 3
"""How many processes may die while they roll a job back, before a person has to look."""

STARTS_MAX: Final = 3
"""How many processes may die before they were given their work."""

_OF_THE_MOMENT: Final = (JobsWanted, BlockedBy, Advanced)
"""Events that are answered or shown, and in no record."""

LOST_MESSAGE: Final = "job process died"
DEATH_SOURCE: Final = "gnt:daemon:luxid:deathdetection"
START_SOURCE: Final = "gnt:daemon:luxid:startjobs"


def _current(queue: Queue, job: JobId, attempt: Attempt) -> Entry | None:
    """Return the entry of an attempt that still counts."""
    entry = queue.entry(job)
    if entry is None or entry.closed or entry.attempt != attempt:
        return None
    return entry


def not_started(queue: Queue, event: NotStarted) -> Step:
    """Decide what follows from a process that could not be made."""
    entry = _current(queue, event.job, event.attempt)
    if entry is None or entry.records:  # what was done has to be put right
        return died(queue, Died(event.job, event.attempt, event.at))
    return _failed_to_start(queue, event.job, event.at, event.reason)


def _failed_to_start(queue: Queue, job: JobId, at: Timestamp, reason: str) -> Step:
    text = f"no process for job {job} could be started: {reason}"
    return decided(queue, _failure(job, at, text, START_SOURCE), effects=[Release(job)])


def _failure(job: JobId, at: Timestamp, text: str, source: str) -> JobFailed:
    nanoseconds = at[0] * 1_000_000_000 + at[1] * 1000
    return JobFailed(job, at, text, text, (source, text, nanoseconds))


def died(queue: Queue, event: Died) -> Step:
    """Decide what follows from the death of a process."""
    entry = _current(queue, event.job, event.attempt)
    if entry is None:
        return Step(queue)
    job, at = event.job, event.at
    attempt = Attempt(entry.attempt + 1)
    if entry.job.is_final:
        return decided(queue, JobClosed(job), effects=[Release(job)])
    if event.blameless or entry.is_orphan or entry.waits_for_a_person:
        begun = AttemptBegun(job, attempt, entry.mode, at, blameless=True)
    elif entry.mode == "run" and _may_go_on(entry):
        begun = AttemptBegun(job, attempt, "run", at)
    elif entry.mode == "run" and not entry.has_process and not entry.records:
        return _failed_to_start(queue, job, at, "every process died before it had any work")
    elif entry.roll_backs >= ROLL_BACKS_MAX:
        failed = _failure(job, at, epitaph(job, entry.records), DEATH_SOURCE)
        return decided(queue, failed, effects=[Release(job)])
    else:
        begun = AttemptBegun(job, attempt, "roll back", at)
    return decided(queue, begun, effects=[Spawn(job, attempt)])


def _may_go_on(entry: Entry) -> bool:
    """Whether the job is carried on although one more process has died."""
    if entry.has_process:
        return entry.deaths + 1 < DEATHS_MAX
    return entry.false_starts + 1 < STARTS_MAX


def reported(queue: Queue, event: Reported, rules: Rules) -> Step:
    """Decide what follows from what a job process says."""
    job, attempt, known = event.job, event.attempt, queue.entry(event.job)
    if not event.events or known is None or known.attempt != attempt:
        return Step(queue)
    last = event.events[-1].number
    new = [each.event for each in event.events if each.number > known.reported]
    if known.closed or not new:
        return Step(queue)
    wanted = _answer_wanted(queue, known, new, rules, event)
    kept = tuple(each for each in new if not isinstance(each, _OF_THE_MOMENT))
    records: list[QueueRecord] = [*wanted.records]
    if kept or wanted.records:
        records.append(JobReported(job, attempt, last, kept))
    after = replay(records, queue)
    effects: list[Effect] = [*wanted.effects]
    if any(isinstance(each, Ended) for each in kept):
        entry = after.entries[job]
        if not entry.job.is_final:
            failed = _failure(job, event.at, LOST_MESSAGE, DEATH_SOURCE)
            records.append(failed)
            after = apply(after, failed)
        effects.append(Release(job))
    return Step(after, tuple(records), tuple(effects))


def _answer_wanted(
    queue: Queue, entry: Entry, events: Iterable[Event], rules: Rules, report: Reported
) -> Step:
    """Submit the jobs that a job wants; a repeated wish is answered as the first time."""
    records: list[QueueRecord] = []
    effects: list[Effect] = []
    for event in events:
        if not isinstance(event, JobsWanted):
            continue
        outcomes = entry.wanted.get(event.key)
        if outcomes is None:
            record, kept, outcomes = _wanted(queue, event, rules, report.at)
            records.append(record)
            effects += kept
            queue = apply(queue, record)
            entry = queue.entries[entry.id]
        effects.append(AnswerWanted(report.job, report.attempt, event.key, outcomes))
    return Step(queue, tuple(records), tuple(effects))


def _wanted(
    queue: Queue, event: JobsWanted, rules: Rules, at: Timestamp
) -> tuple[JobsSubmitted, list[Effect], Outcomes]:
    parent = parent_opcode(queue, event.key)
    outcomes: list[Submitted | NotSubmitted] = []
    numbered: list[NewlyNumbered] = []
    serial = queue.serial
    for ops in event.jobs:
        serial = JobId(serial + 1)
        checked = check_wanted(ops, rules.available, parent)
        if not isinstance(checked, str):
            try:
                numbered.append(number(serial, checked, at))
                outcomes.append(Submitted(serial))
                continue
            except BadDependency as error:
                checked = str(error)
        outcomes.append(NotSubmitted(checked))
    answer = Wanted(event.key, tuple(outcomes))
    record = JobsSubmitted(tuple(each.stored for each in numbered), at, wanted=answer)
    return record, keep(numbered), answer.outcomes


def parent_opcode(queue: Queue, key: Key) -> Opcode | None:
    """Return the opcode that wants jobs, if this version can read it."""
    job = queue.job(key.job)
    if job is None or key.opcode >= len(job.ops):
        return None
    try:
        return parse_opcode(dict(job.ops[key.opcode].input))
    except BadOpcode:
        return None


def assignment(entry: Entry, epoch: Epoch, secrets: Secrets) -> Assignment:
    """Return all that an attempt's process needs to begin."""
    job = entry.job
    return Assignment(
        job=job.id,
        attempt=entry.attempt,
        epoch=epoch,
        mode=entry.mode,
        opcodes=tuple(op.input for op in job.ops),
        finished=sum(op.status == "success" for op in job.ops),
        records=entry.records,
        priority=job.priority,
        log_serial=job.last_log_serial,
        cancelled=entry.cancel_wanted,
        paused=entry.paused,
        log_level=entry.log_level,
        secrets=secrets,
    )
