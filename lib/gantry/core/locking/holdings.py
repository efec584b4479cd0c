"""What a job holds - locks and reservations - as it is stored in the lock journal.

A record always says all that a job holds, not what changed: so the last record of a job is the
truth, whatever came before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from gantry.core.config.claims import Claim, Space
from gantry.core.config.reservations import Reservations
from gantry.core.locking.names import level_of
from gantry.core.locking.waiting import Locks, restored
from gantry.protocols.codec import Json, Malformed, dump, load
from gantry.protocols.errors import BadCall
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.locks import Held, LockName, LockOwner, Mode


@frozen
class ReservedValue:
    """A reservation."""

    space: Space
    value: str


@frozen
class JobHolds:
    """All that one job holds; a job that holds nothing is forgotten."""

    job: JobId
    attempt: Attempt
    locks: tuple[Held, ...] = ()
    reserved: tuple[ReservedValue, ...] = ()


@frozen
class HoldingsRecord:
    """What some jobs hold now; of the others, what was said before holds still."""

    jobs: tuple[JobHolds, ...]
    gone: tuple[JobId, ...] = ()
    """Jobs that are over."""
    complete: bool = False
    """Whether there are no others."""


def holds_of(locks: Locks, reservations: Reservations, job: JobId) -> JobHolds | None:
    """Return what a job holds; ``None`` for a job that is unknown."""
    attempt = locks.attempts.get(job)
    if attempt is None:
        return None
    reserved = tuple(ReservedValue(*claim) for claim in reservations.of(job))
    return JobHolds(job, attempt, locks.allocation.held(job), reserved)


def record_of(locks: Locks, reservations: Reservations, jobs: Iterable[JobId]) -> HoldingsRecord:
    """Return the record of what some jobs hold."""
    found = {job: holds_of(locks, reservations, job) for job in sorted(jobs)}
    return HoldingsRecord(
        tuple(holds for holds in found.values() if holds is not None),
        tuple(job for job, holds in found.items() if holds is None),
    )


def complete_record(locks: Locks, reservations: Reservations) -> HoldingsRecord:
    """Return the record of what all jobs hold, with which a journal may start over."""
    jobs = [holds_of(locks, reservations, job) for job in sorted(locks.attempts)]
    return HoldingsRecord(tuple(each for each in jobs if each is not None), complete=True)


def replay(records: Iterable[HoldingsRecord]) -> tuple[Locks, Reservations]:
    """Return what is held after all of a journal's records."""
    latest: dict[JobId, JobHolds] = {}
    for record in records:
        if record.complete:
            latest.clear()
        latest.update({each.job: each for each in record.jobs})
        for job in record.gone:
            latest.pop(job, None)
    reservations = Reservations()
    for each in latest.values():
        claims = [Claim(value.space, value.value) for value in each.reserved]
        reservations = reservations.with_claims(each.job, claims)
    return restored(map(_locks_of, latest.values())), reservations


def _locks_of(holds: JobHolds) -> tuple[LockOwner, Mapping[LockName, Mode]]:
    return LockOwner(holds.job, holds.attempt), {held.name: held.mode for held in holds.locks}


def dump_record(record: HoldingsRecord) -> Json:
    """Return the JSON form of a record."""
    return dump(record)


def load_record(payload: Json) -> HoldingsRecord:
    """Parse a record.

    Raises:
        gantry.protocols.codec.Malformed: it does not have the form of one.
    """
    record = load(HoldingsRecord, payload)
    for holds in record.jobs:
        for held in holds.locks:
            try:
                level_of(held.name)
            except BadCall as error:
                raise Malformed(f"job {holds.job}: {error}") from None
    return record


def ganeti_form(locks: Locks) -> Json:
    """Return the JSON value of a ``locks.data``: who holds what, and who waits for what.

    Ganeti's client id is ``[job, livelock file, process id]``; our locks belong to the job, so the
    second says which attempt and the third is 0.
    """
    held = [
        [_client(locks, job), [[lock.name, lock.mode] for lock in locks.allocation.held(job)]]
        for job in sorted(locks.allocation.owned)
    ]
    in_line = sorted(locks.waiting.items(), key=lambda item: item[1].place)
    waiting = [
        [
            pending.priority,
            _client(locks, job),
            [[name, mode or "release"] for name, mode in sorted(pending.wanted.items())],
        ]
        for job, pending in in_line
    ]
    return [held, waiting]


def _client(locks: Locks, job: JobId) -> Json:
    return [job, f"attempt {locks.attempts.get(job, 1)}", 0]
