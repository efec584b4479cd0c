"""Which queued jobs begin now, and which end without having begun.

A job is eligible once every job that it depends on has ended. Eligible jobs begin in the order
of their priority, then of their ids, as long as slots are free; filter rules and rate limits
will have their say in :func:`_may_begin`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import assert_never

from attrs import frozen

from gantry.core.queue.fold import apply
from gantry.core.queue.state import Dependency, Entry, Queue
from gantry.core.queue.transitions import PRECEDING_FAILED
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.jobs import Timestamp
from gantry.protocols.queue_records import AttemptBegun, JobCanceled, JobFailed, QueueRecord

FIRST_ATTEMPT = Attempt(1)


@frozen
class Go:
    """The job may begin."""


@frozen
class Wait:
    """A job that it depends on has not ended."""


@frozen
class Drop:
    """A job that it depends on was cancelled, so it is too."""


@frozen
class Fail:
    """A dependency can not be met any more."""

    reason: str


Verdict = Go | Wait | Drop | Fail


def schedule(queue: Queue, running_max: int, at: Timestamp) -> tuple[QueueRecord, ...]:
    """Return the records that say what happens to queued jobs now.

    Jobs whose dependencies failed end first; that may end others in turn.
    """
    records: list[QueueRecord] = []
    eligible: list[tuple[int, JobId]] = []
    for job in sorted(queue.held):
        entry = queue.entries[job]
        record = _ending(verdict(queue, entry), job, at)
        if record is not None:
            records.append(record)
            queue = apply(queue, record)
        elif isinstance(verdict(queue, entry), Go):
            eligible.append((entry.job.priority, job))
    free = 0 if queue.paused else running_max - len(queue.active)
    if free > 0 and (queue.ready or eligible):
        chosen = heapq.nsmallest(free, _may_begin([*queue.ready.values(), *eligible]))
        records += [AttemptBegun(job, FIRST_ATTEMPT, "run", at) for _, job in chosen]
    return tuple(records)


def _may_begin(eligible: list[tuple[int, JobId]]) -> Iterator[tuple[int, JobId]]:
    yield from eligible


def _ending(judged: Verdict, job: JobId, at: Timestamp) -> JobCanceled | JobFailed | None:
    match judged:
        case Go() | Wait():
            return None
        case Drop():
            return JobCanceled(job, at)
        case Fail(reason):
            return JobFailed(job, at, ["OpExecError", [reason]], PRECEDING_FAILED)
    assert_never(judged)


def verdict(queue: Queue, entry: Entry) -> Verdict:
    """Judge a queued job by its dependencies."""
    if any(queue.is_unfinished(d.job) for d in entry.depends if d.job != entry.id):
        return Wait()
    for dependency in entry.depends:
        judged = _judge(queue, entry.id, dependency)
        if not isinstance(judged, Go):
            return judged
    return Go()


def _judge(queue: Queue, job: JobId, dependency: Dependency) -> Verdict:
    other, accepted = dependency.job, dependency.statuses
    if other == job:
        return Fail("Dependency error: the job depends on itself")
    status = queue.final_status(other)
    if status is None:
        return Fail(f"Dependency error: Job {other} not found")
    if not accepted or status in accepted:
        return Go()
    if status == "canceled":
        return Drop()
    wanted = ", ".join(sorted(accepted))
    return Fail(f"Dependency error: Job {other} ended as {status}, not as {wanted}")
