"""The fold: one record of the queue's stream after the other makes the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

import attrs
from immutables import Map

from gantry.core.queue import course, transitions
from gantry.core.queue.snapshot import restore
from gantry.core.queue.state import NO_ATTEMPT, NO_EVENT, Entry, Queue, dependencies, rate_limits
from gantry.protocols.identity import Attempt, JobId, Key
from gantry.protocols.job_archive import ArchivedJob
from gantry.protocols.job_course import AttemptCourse
from gantry.protocols.jobproc import (
    Advanced,
    BlockedBy,
    Ended,
    Event,
    JobsWanted,
    Logged,
    OpcodeChanged,
    Recorded,
    Shown,
    Waited,
)
from gantry.protocols.jobs import (
    Job,
    new_job,
)
from gantry.protocols.queue_records import (
    AttemptBegun,
    CancelWanted,
    DrainFlagSet,
    JobArchived,
    JobCanceled,
    JobClosed,
    JobDecided,
    JobFailed,
    JobLogLevelSet,
    JobPauseSet,
    JobReported,
    JobsSubmitted,
    Outcomes,
    PriorityChanged,
    ProcessStarted,
    QueuePauseSet,
    QueueRecord,
    QueueSnapshot,
    ReignBegun,
)
from gantry.protocols.steps import StepRecord


def replay(records: Iterable[QueueRecord], queue: Queue | None = None) -> Queue:
    """Return the queue that these records make."""
    queue = Queue() if queue is None else queue
    for record in records:
        queue = apply(queue, record)
    return queue


def replay_archiving(
    records: Iterable[QueueRecord], queue: Queue
) -> tuple[Queue, tuple[ArchivedJob, ...]]:
    """Return the queue after some records, and the jobs that left it for the archive."""
    archived: dict[JobId, ArchivedJob] = {}
    for record in records:
        if isinstance(record, JobArchived):
            entry = queue.entry(record.job)
            if entry is not None:
                archived[entry.id] = ArchivedJob(entry.job, entry.course)
        queue = apply(queue, record)
    return queue, tuple(archived.values())


def apply(queue: Queue, record: QueueRecord) -> Queue:  # noqa: C901, PLR0912 - one case per kind
    """Return the queue after one more record."""
    match record:
        case JobsSubmitted():
            return _submitted(queue, record)
        case AttemptBegun():
            return _begun(queue, record)
        case ProcessStarted(job, attempt, pid):
            return _started(queue, job, attempt, pid)
        case JobReported():
            return _reported(queue, record)
        case JobClosed(job):
            return _close(queue, job)
        case JobCanceled(job, at):
            return _end(queue, job, lambda j: transitions.end_unfinished(j, "canceled", at, None))
        case CancelWanted(job):
            return _change(queue, job, lambda e: attrs.evolve(e, cancel_wanted=True))
        case JobPauseSet():
            return _change(queue, record.job, lambda e: _paused(e, record))
        case JobLogLevelSet(job, level):
            return _change(queue, job, lambda e: attrs.evolve(e, log_level=level))
        case JobDecided(job, decided):
            return _change(queue, job, lambda e: attrs.evolve(e, records=(*e.records, decided)))
        case JobFailed():
            return _failed(queue, record)
        case PriorityChanged(job, priority):
            return _edit(queue, job, lambda j: transitions.with_priority(j, priority))
        case JobArchived(job, status):
            archived = queue.archived.add(job, status)
            return attrs.evolve(queue.without(job), archived=archived)
        case DrainFlagSet(drained):
            return attrs.evolve(queue, drained=drained)
        case QueuePauseSet(paused):
            return attrs.evolve(queue, paused=paused)
        case ReignBegun():
            return _orphaned(queue)
        case QueueSnapshot():
            return restore(record)
    assert_never(record)


def _paused(entry: Entry, record: JobPauseSet) -> Entry:
    changed = course.with_pause(entry.course, paused=record.paused, at=record.at)
    return attrs.evolve(entry, paused=record.paused, course=changed)


def _orphaned(queue: Queue) -> Queue:
    for job in queue.active:
        queue = queue.put(attrs.evolve(queue.entries[job], is_orphan=True))
    return attrs.evolve(queue, drained=False)  # as Ganeti's failover leaves it


def _submitted(queue: Queue, record: JobsSubmitted) -> Queue:
    for new in record.jobs:
        job = new_job(new.id, new.ops, record.received)
        depends = tuple(d for op in job.ops for d in dependencies(op))
        over = job.is_final  # a job without opcodes has nothing to do
        if over:
            job = attrs.evolve(job, end_timestamp=record.received)
        queue = queue.put(Entry(job, depends, rate_limits(job), closed=over))
        queue = attrs.evolve(queue, serial=max(queue.serial, new.id))
    if record.sending is not None:
        ids = tuple(new.id for new in record.jobs)
        sendings = queue.sendings.add(record.sending, ids, record.received)
        queue = attrs.evolve(queue, sendings=sendings)
    if record.wanted is not None:
        key, outcomes = record.wanted.key, record.wanted.outcomes
        queue = _change(queue, key.job, lambda entry: _with_answer(entry, key, outcomes))
    return queue


def _with_answer(entry: Entry, key: Key, outcomes: Outcomes) -> Entry:
    return attrs.evolve(entry, wanted=entry.wanted.set(key, outcomes))


def _begun(queue: Queue, record: AttemptBegun) -> Queue:
    """Begin an attempt; that there was one before says that its process has died."""

    def begin(entry: Entry) -> Entry:
        died = entry.attempt != NO_ATTEMPT and not record.blameless
        had_work = died and entry.has_process
        return attrs.evolve(
            entry,
            attempt=record.attempt,
            mode=record.mode,
            deaths=entry.deaths + (had_work and entry.mode == "run"),
            false_starts=0 if entry.has_process else entry.false_starts + died,
            roll_backs=entry.roll_backs + (record.mode == "roll back" and not record.blameless),
            has_process=False,
            reported=NO_EVENT,
            is_orphan=False,
            course=course.with_attempt(
                entry.course, AttemptCourse(record.attempt, record.mode, record.at)
            ),
        )

    return _change(queue, record.job, begin)


def _started(queue: Queue, job: JobId, attempt: Attempt, pid: int) -> Queue:
    entry = queue.entry(job)
    if entry is None or entry.attempt != attempt:
        return queue
    work = attrs.evolve(entry.job, process_id=pid)
    return queue.put(attrs.evolve(entry, job=work, has_process=True))


def _reported(queue: Queue, record: JobReported) -> Queue:
    entry = queue.entry(record.job)
    if entry is None or entry.closed or record.attempt != entry.attempt:
        return queue
    for event in record.events:
        entry = _with_event(entry, event)
    return queue.put(attrs.evolve(entry, reported=record.through))


def _with_event(entry: Entry, event: Event) -> Entry:
    match event:
        case OpcodeChanged(opcode, status, at, result):
            when = transitions.moment(at)
            job = transitions.with_status(entry.job, opcode, status, when, result)
            return attrs.evolve(entry, job=job, records=_living_records(entry.records, job))
        case Logged(opcode, at, kind, payload):
            job = transitions.with_log(entry.job, opcode, transitions.moment(at), kind, payload)
            return attrs.evolve(entry, job=job)
        case Recorded(record, at):
            known = course.with_record(entry.course, record, at)
            return attrs.evolve(entry, records=(*entry.records, record), course=known)
        case Shown(opcode, plan, locks):
            known = course.with_plan(entry.course, opcode, plan, locks, dry_run=True)
            return attrs.evolve(entry, course=known)
        case Waited(wait):
            return attrs.evolve(entry, course=course.with_wait(entry.course, wait))
        case Ended():
            return attrs.evolve(entry, closed=True, records=(), wanted=Map())
        case JobsWanted() | BlockedBy() | Advanced():  # of the moment, and no part of the queue
            return entry
    assert_never(event)


def _living_records(records: tuple[StepRecord, ...], job: Job) -> tuple[StepRecord, ...]:
    """Keep the records of opcodes that have not ended with success: what could be undone."""
    if not records:
        return records
    done = {index for index, op in enumerate(job.ops) if op.status == "success"}
    return tuple(record for record in records if record.opcode not in done)


def _failed(queue: Queue, record: JobFailed) -> Queue:
    def fail(job: Job) -> Job:
        explained = job if record.trail is None else transitions.with_reason(job, record.trail)
        return transitions.failed(explained, record.at, record.error, record.rest)

    return _end(queue, record.job, fail)


def _change(queue: Queue, job: JobId, how: Callable[[Entry], Entry]) -> Queue:
    entry = queue.entry(job)
    return queue if entry is None else queue.put(how(entry))


def _edit(queue: Queue, job: JobId, how: Callable[[Job], Job]) -> Queue:
    return _change(queue, job, lambda entry: attrs.evolve(entry, job=how(entry.job)))


def _end(queue: Queue, job: JobId, how: Callable[[Job], Job]) -> Queue:
    return _close(_edit(queue, job, how), job)


def _close(queue: Queue, job: JobId) -> Queue:
    return _change(
        queue, job, lambda entry: attrs.evolve(entry, closed=True, records=(), wanted=Map())
    )
