"""Which queued jobs begin now, and which end without having begun.

A job is eligible once every job that it depends on has ended. Eligible jobs begin in the order
of their priority, then of their ids, as long as slots are free, unless a limit that they bring
along in their reason trails is reached, or a filter rule holds them up.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import assert_never

from attrs import define, field, frozen

from gantry.core.queue.fold import apply
from gantry.core.queue.job_filters import HOLDING_UP, Decision, JobFilters
from gantry.core.queue.line import Line, Rank
from gantry.core.queue.state import Dependency, Entry, Queue, RateLimit
from gantry.core.queue.transitions import PRECEDING_FAILED
from gantry.protocols.identity import Attempt, FilterUuid, JobId
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


def schedule(
    queue: Queue, running_max: int, filters: JobFilters, at: Timestamp
) -> tuple[QueueRecord, ...]:
    """Return the records that say what happens to queued jobs now.

    Jobs that a rule rejects, or whose dependencies failed, end first; that may end others in turn.
    """
    records: list[QueueRecord] = []
    for job in _rejected(queue, filters):
        records.append(JobCanceled(job, at))
        queue = apply(queue, records[-1])
    queue, eligible = _judged(queue, records, at)
    free = 0 if queue.paused else running_max - len(queue.active)
    if free > 0 and (queue.ready or eligible):
        waiting = heapq.merge(_in_line(queue.ready, filters), sorted(eligible))
        chosen = islice(_may_begin(queue, waiting, filters), free)
        records += [AttemptBegun(job, FIRST_ATTEMPT, "run", at) for job in chosen]
    return tuple(records)


def _judged(queue: Queue, records: list[QueueRecord], at: Timestamp) -> tuple[Queue, list[Rank]]:
    """End the jobs whose dependencies failed, and return those that may go on."""
    while True:
        eligible: list[Rank] = []
        known = len(records)
        for job in sorted(queue.released):
            entry = queue.entries[job]
            outcome = verdict(queue, entry)
            record = _ending(outcome, job, at)
            if record is not None:
                records.append(record)
                queue = apply(queue, record)
            elif isinstance(outcome, Go):
                eligible.append((entry.job.priority, job))
        if len(records) == known:  # else others may have been let go
            return queue, eligible


def _rejected(queue: Queue, filters: JobFilters) -> list[JobId]:
    if not filters.may_reject:
        return []
    queued = sorted({*queue.ready, *queue.held, *queue.released, *queue.on_hold})
    decisions = ((job, filters.decide(queue.entries[job].job)) for job in queued)
    return [job for job, each in decisions if each is not None and each.action == "REJECT"]


def _in_line(ready: Line, filters: JobFilters) -> Iterator[Rank]:
    """Yield the ranks of those who are not known to be held up, the first one first."""
    if not filters.held_up:
        yield from ready.in_order()
        return
    # Perhaps thousands are, again and again: it costs less to look at all without order.
    others = [rank for rank in ready.ranks() if rank[1] not in filters.held_up]
    heapq.heapify(others)
    while others:
        yield heapq.heappop(others)


def _may_begin(queue: Queue, waiting: Iterable[Rank], filters: JobFilters) -> Iterator[JobId]:
    """Yield the jobs of a line that may begin."""
    room = _Room(filters)
    for job in queue.active:
        room.admit(queue.entries[job])
    for _, job in waiting:
        if room.admit_if_any(queue.entries[job]):
            yield job


@define
class _Room:
    """How many jobs are at work under each limit."""

    filters: JobFilters
    _working: Counter[FilterUuid | RateLimit] = field(factory=Counter, init=False)

    def admit_if_any(self, entry: Entry) -> bool:
        """Count a job that begins; or say that it has to wait."""
        decision = self.filters.decide(entry.job)
        if decision is not None and decision.action in HOLDING_UP:
            return False
        if any(self._working[key] >= most for key, most in self._limits(entry, decision)):
            return False
        self.admit(entry)
        return True

    def admit(self, entry: Entry) -> None:
        """Count a job that is at work, whatever rules say now."""
        limits = self._limits(entry, self.filters.decide(entry.job))
        self._working.update(key for key, _ in limits)

    @staticmethod
    def _limits(
        entry: Entry, decision: Decision | None
    ) -> Iterator[tuple[FilterUuid | RateLimit, int]]:
        """Yield the limits that a job counts for, and how many each lets work at once."""
        for limit in entry.limits:
            yield limit, limit[0]
        if decision is not None and isinstance(decision.action, tuple):
            yield decision.rule, decision.action[1]


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
