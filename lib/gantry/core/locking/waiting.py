"""Locks with those who wait for them: every transition is pure.

A request is granted whole or not at all. It waits for the jobs whose locks conflict with it and,
so that nobody starves, for the waiting requests before it in line - by priority, then by age -
that conflict with it; but never for one that in turn waits for this very job.

No deadlock: a job may only ask for locks above those that it holds, so following "waits for the
holder" leads to ever higher locks and never in a circle; "waits for one before me in line" is
left out wherever it would close a circle; and a request to make a shared lock exclusive, which
the order can not help with, never waits at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import evolve, field, frozen
from immutables import Map

from gantry.core.locking.allocation import Allocation
from gantry.core.locking.names import cover_of, level_of, rank
from gantry.protocols.errors import BadCall, StaleAttempt
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.locks import (
    Blocked,
    Granted,
    Level,
    LockName,
    LockOwner,
    LockRequest,
    LockState,
    LockWait,
    Mode,
)
from gantry.protocols.wconfd import LockOrderViolated

LOOKED_AT_MAX: Final = 256
"""Of a job that holds more locks it is not looked up one by one who waits for them."""

Wanted = Map[LockName, Mode | None]
"""A request: for each lock the mode, or ``None`` to let it go."""


@frozen
class Pending:
    """A request that waits."""

    wanted: Wanted
    priority: int
    """Smaller ones come first."""
    age: int
    """Requests are numbered as they arrive."""

    @property
    def place(self) -> tuple[int, int]:
        """The place in line."""
        return self.priority, self.age


@frozen
class Locks:
    """All locks that are held or waited for, and the newest attempt of every job."""

    allocation: Allocation = field(factory=Allocation)
    waiting: Map[JobId, Pending] = field(factory=Map)
    attempts: Map[JobId, Attempt] = field(factory=Map)
    requests: int = 0
    """How many requests have ever waited."""
    line: Allocation = field(factory=Allocation)
    """What is waited for, as if those who wait had it: so whether anybody waits for a lock is found
    out without going along the line."""


Step = tuple[Locks, tuple[JobId, ...]]
"""The new value, and the jobs whose waiting requests were granted on the way."""


def request(
    locks: Locks, owner: LockOwner, requests: Iterable[LockRequest], priority: int
) -> tuple[Locks, tuple[JobId, ...], Granted | Blocked]:
    """Ask for locks; if that is not possible now, wait in line.

    A job has one waiting request: the same one again keeps its place, another one replaces it.

    Returns:
        The new value; the *other* jobs whose requests were granted; the answer.

    Raises:
        StaleAttempt: the owner has been replaced.
        LockOrderViolated: a lock is below one that is held, or would have to be made exclusive
            while others share it.
        BadCall: a lock is named twice, or its name is none.
    """
    locks, granted = adopt(locks, owner)
    job, wanted = owner.job, _parse(requests)
    _check_order(locks.allocation, job, wanted)
    before = locks.waiting.get(job)
    if before is not None and before.wanted == wanted:
        pending = evolve(before, priority=priority)
    else:
        pending = Pending(wanted, priority, locks.requests)
        locks = evolve(locks, requests=locks.requests + 1)
    if before is None and not granted:
        decided = _decided_alone(locks, job, pending)
        if decided is not None:
            return decided
    upgrade = _upgrade_in(locks.allocation, job, wanted)
    if upgrade is not None:
        by = _hold_blockers(locks.allocation, job, wanted)
        if by:
            raise LockOrderViolated(upgrade, upgrade)
        locks = _grant(_without_pending(locks, job), job, wanted)
    else:
        locks = _with_pending(locks, job, pending)
    locks, more = settle(locks)
    others = tuple(each for each in (*granted, *more) if each != job)
    if job in locks.waiting:
        return locks, others, Blocked(blockers(locks, job))
    return locks, others, Granted(locks.allocation.held(job))


def _decided_alone(
    locks: Locks, job: JobId, pending: Pending
) -> tuple[Locks, tuple[JobId, ...], Granted | Blocked] | None:
    """Decide about a request that changes nothing for those who wait; ``None``: it might.

    Nobody in line waits for what the job has, and nobody behind it for what it wants. So no way
    along those who wait for each other leads to this job: it waits for those in its way, and
    nobody else gets anything by that. Then the cost is that of the locks which are named.
    """
    wanted = pending.wanted
    if (
        _upgrade_in(locks.allocation, job, wanted) is not None
        or _weakens(locks.allocation, job, wanted)
        or _is_waited_for(locks, job, locks.allocation.of(job))
    ):
        return None
    needs = _strengthened(locks.allocation, job, wanted)
    waiting = {
        each for name, mode in needs.items() for each in locks.line.blockers(job, name, mode)
    }
    ahead = {each for each in waiting if locks.waiting[each].place < pending.place}
    by = _hold_blockers(locks.allocation, job, wanted) | ahead
    if not by:
        locks = _grant(locks, job, wanted)
        return locks, (), Granted(locks.allocation.held(job))
    if waiting != ahead:
        return None
    return _with_pending(locks, job, pending), (), Blocked(tuple(sorted(by)))


def _is_waited_for(locks: Locks, job: JobId, held: Mapping[LockName, Mode]) -> bool:
    """Whether anybody else waits for one of these locks; takes "perhaps" for an answer."""
    if not locks.waiting:
        return False
    if len(held) > LOOKED_AT_MAX:
        return True
    return any(True for name, mode in held.items() for _ in locks.line.blockers(job, name, mode))


def try_request(
    locks: Locks, owner: LockOwner, requests: Iterable[LockRequest]
) -> tuple[Locks, tuple[JobId, ...], Granted | Blocked]:
    """Ask for locks without waiting; behind everybody who waits already.

    Returns, raises: as :func:`request`; after ``Blocked`` nothing has changed.
    """
    locks, granted = adopt(locks, owner)
    job, wanted = owner.job, _parse(requests)
    if job in locks.waiting:
        raise BadCall("try_lock", f"job {job} has a waiting request already")
    _check_order(locks.allocation, job, wanted)
    by = _hold_blockers(locks.allocation, job, wanted)
    if not by and _upgrade_in(locks.allocation, job, wanted) is None:
        last = max((each.priority for each in locks.waiting.values()), default=0)
        behind = Pending(wanted, last, locks.requests)
        decided = _decided_alone(locks, job, behind)
        if decided is not None and isinstance(decided[2], Granted):
            return decided[0], granted, decided[2]
        by = frozenset(blockers(_with_pending(locks, job, behind), job))
    if by:
        return locks, granted, Blocked(tuple(sorted(by)))
    locks, more = settle(_grant(locks, job, wanted))
    return locks, (*granted, *more), Granted(locks.allocation.held(job))


def withdraw(locks: Locks, job: JobId) -> Step:
    """Take back a job's waiting request; those behind it may come in."""
    pending = locks.waiting.get(job)
    locks = _without_pending(locks, job)
    if pending is None or not _is_waited_for(locks, job, _wants(pending)):
        return locks, ()
    return settle(locks)


def release(locks: Locks, owner: LockOwner, level: Level | None) -> Step:
    """Let go of an owner's locks of one level; or of all of them and its waiting request.

    Raises:
        StaleAttempt: the owner has been replaced.
    """
    locks, granted = adopt(locks, owner)
    job = owner.job
    was_waiting = job in locks.waiting
    if level is None:
        locks = _without_pending(locks, job)
    names = [n for n in locks.allocation.of(job) if level is None or level_of(n) == level]
    let_go = {name: locks.allocation.of(job)[name] for name in names}
    unnoticed = not was_waiting and not _is_waited_for(locks, job, let_go)
    allocation = locks.allocation.with_locks(job, dict.fromkeys(names))
    locks = evolve(locks, allocation=allocation)
    if unnoticed:
        return locks, granted
    locks, more = settle(locks)
    return locks, (*granted, *more)


def set_priority(locks: Locks, job: JobId, priority: int) -> Step:
    """Change the place in line of a job's waiting request, if it has one."""
    pending = locks.waiting.get(job)
    if pending is None:
        return locks, ()
    moved = locks.waiting.set(job, evolve(pending, priority=priority))
    return settle(evolve(locks, waiting=moved))


def adopt(locks: Locks, owner: LockOwner) -> Step:
    """Hand a job's locks to its newest attempt; what the former one waited for is taken back.

    Raises:
        StaleAttempt: there is a newer one.
    """
    newest = locks.attempts.get(owner.job)
    if newest == owner.attempt:
        return locks, ()
    if newest is not None and owner.attempt < newest:
        raise StaleAttempt(owner.job, owner.attempt, newest)
    locks = evolve(locks, attempts=locks.attempts.set(owner.job, owner.attempt))
    return withdraw(locks, owner.job) if newest is not None else (locks, ())


def drop_job(locks: Locks, job: JobId) -> Step:
    """Free everything of a job that is over."""
    attempts = locks.attempts.delete(job) if job in locks.attempts else locks.attempts
    held = locks.allocation.of(job)
    unnoticed = job not in locks.waiting and not _is_waited_for(locks, job, held)
    locks = evolve(_without_pending(locks, job), attempts=attempts)
    locks = evolve(locks, allocation=locks.allocation.without_job(job))
    return (locks, ()) if unnoticed else settle(locks)


def restored(
    holdings: Iterable[tuple[LockOwner, Mapping[LockName, Mode]]],
) -> Locks:
    """Return the locks as they were, from what was stored; nobody waits."""
    allocation, attempts = Allocation(), Map[JobId, Attempt]()
    for owner, held in holdings:
        allocation = allocation.with_locks(owner.job, held)
        attempts = attempts.set(owner.job, owner.attempt)
    return Locks(allocation=allocation, attempts=attempts)


# --- who waits for whom --------------------------------------------------------------------------


def settle(locks: Locks) -> Step:
    """Grant what can be granted, in line."""
    granted: list[JobId] = []
    while True:
        locks, more, freed = _pass(locks)
        granted += more
        if not freed:
            return locks, tuple(granted)


def _pass(locks: Locks) -> tuple[Locks, list[JobId], bool]:
    """Go along the line once; also say whether that made room for those who were passed."""
    line, granted, freed = _Line(locks.allocation, locks.waiting), list[JobId](), False
    for job, pending in sorted(locks.waiting.items(), key=lambda item: item[1].place):
        if line.blockers(locks.allocation, job, pending.wanted):
            continue
        line.leave(job)
        freed = freed or _weakens(locks.allocation, job, pending.wanted)
        locks = _grant(_without_pending(locks, job), job, pending.wanted)
        granted.append(job)
    return locks, granted, freed


def blockers(locks: Locks, job: JobId) -> tuple[JobId, ...]:
    """Return exactly the jobs that a job's waiting request waits for."""
    return tuple(sorted(wait_graph(locks).get(job, frozenset())))


def wait_graph(locks: Locks) -> Mapping[JobId, frozenset[JobId]]:
    """Return for every waiting job those that it waits for. There is no circle in it."""
    line = _Line(locks.allocation, locks.waiting)
    in_line = sorted(locks.waiting.items(), key=lambda item: item[1].place)
    return {job: line.blockers(locks.allocation, job, each.wanted) for job, each in in_line}


class _Line:
    """Who waits for whom, found out by going along the line once."""

    def __init__(self, allocation: Allocation, waiting: Map[JobId, Pending]) -> None:
        self._ahead = Allocation()
        """What those wait for whom we have passed, as if they had it."""
        self._edges: dict[JobId, frozenset[JobId]] = {}
        self._waiters: defaultdict[JobId, set[JobId]] = defaultdict(set)
        """The edges from their other ends: by job, who waits for it."""
        for job, pending in waiting.items():
            self._put(job, _hold_blockers(allocation, job, pending.wanted))

    def _put(self, job: JobId, others: frozenset[JobId]) -> None:
        self._edges[job] = others
        for other in others:
            self._waiters[other].add(job)

    def blockers(self, allocation: Allocation, job: JobId, wanted: Wanted) -> frozenset[JobId]:
        """Return for whom the next one in line waits."""
        needs = _strengthened(allocation, job, wanted)
        holders = _hold_blockers(allocation, job, wanted)
        ahead = {
            each for name, mode in needs.items() for each in self._ahead.blockers(job, name, mode)
        }
        self._put(job, holders | (ahead - holders - self._leading_to(job)))
        self._ahead = self._ahead.with_locks(job, needs)
        return self._edges[job]

    def leave(self, job: JobId) -> None:
        """The job that was looked at last waits no more."""
        for other in self._edges.pop(job):
            self._waiters[other].discard(job)
        self._ahead = self._ahead.without_job(job)

    def _leading_to(self, goal: JobId) -> set[JobId]:
        """Return the jobs that wait for one, or for one that does; mostly there is none."""
        found, todo = set[JobId](), [goal]
        while todo:
            new = self._waiters[todo.pop()] - found
            found |= new
            todo += new
        return found


def _hold_blockers(allocation: Allocation, job: JobId, wanted: Wanted) -> frozenset[JobId]:
    needs = _strengthened(allocation, job, wanted)
    return frozenset(
        each for name, mode in needs.items() for each in allocation.blockers(job, name, mode)
    )


def _strengthened(allocation: Allocation, job: JobId, wanted: Wanted) -> dict[LockName, Mode]:
    """Return what a request asks for beyond what the job has."""
    return {
        name: mode
        for name, mode in wanted.items()
        if mode is not None and not allocation.covers(job, name, mode)
    }


def _weakens(allocation: Allocation, job: JobId, wanted: Wanted) -> bool:
    """Whether a request lets something go, or shares what was exclusive."""
    mine = allocation.of(job)
    return any(
        mode is None or mine.get(name) == "exclusive" != mode for name, mode in wanted.items()
    )


# --- requests ------------------------------------------------------------------------------------


def _parse(requests: Iterable[LockRequest]) -> Wanted:
    wanted: dict[LockName, Mode | None] = {}
    for each in requests:
        rank(each.name)  # refuses what is no name
        mode: Mode | None = None if each.mode == "release" else each.mode
        if wanted.setdefault(each.name, mode) != mode:
            raise BadCall("lock", f"{each.name} is asked for in two modes at once")
    return Map(wanted)


def _check_order(allocation: Allocation, job: JobId, wanted: Wanted) -> None:
    highest = allocation.highest(job)
    if highest is None:
        return
    for name in _strengthened(allocation, job, wanted):
        cover = cover_of(name)
        if cover is not None and allocation.covers(job, cover, "shared"):
            raise LockOrderViolated(name, cover)  # one of a set that is only shared
        if rank(name) < rank(highest):
            raise LockOrderViolated(name, highest)


def _upgrade_in(allocation: Allocation, job: JobId, wanted: Wanted) -> LockName | None:
    """Return a lock that the job shares and wants for itself alone."""
    mine = allocation.of(job)
    return next((n for n in _strengthened(allocation, job, wanted) if n in mine), None)


def _grant(locks: Locks, job: JobId, wanted: Wanted) -> Locks:
    return evolve(locks, allocation=locks.allocation.with_locks(job, wanted))


def _without_pending(locks: Locks, job: JobId) -> Locks:
    if job not in locks.waiting:
        return locks
    return evolve(locks, waiting=locks.waiting.delete(job), line=locks.line.without_job(job))


def _with_pending(locks: Locks, job: JobId, pending: Pending) -> Locks:
    line = locks.line.without_job(job).with_locks(job, _wants(pending))
    return evolve(locks, waiting=locks.waiting.set(job, pending), line=line)


def _wants(pending: Pending) -> dict[LockName, Mode]:
    """Return what a request asks for, besides what it lets go."""
    return {name: mode for name, mode in pending.wanted.items() if mode is not None}


# --- what people see -----------------------------------------------------------------------------


def states(locks: Locks) -> tuple[LockState, ...]:
    """Return every lock that is held or waited for, in the order of locks."""
    waits: dict[LockName, list[LockWait]] = {}
    graph = wait_graph(locks)
    for job, each in sorted(locks.waiting.items(), key=lambda item: item[1].place):
        behind = tuple(sorted(graph[job]))
        for name, mode in each.wanted.items():
            if mode is not None:
                waits.setdefault(name, []).append(LockWait(job, mode, behind))
    names = sorted({*locks.allocation.holders, *waits}, key=rank)
    return tuple(_state(locks.allocation, name, waits.get(name, ())) for name in names)


def _state(allocation: Allocation, name: LockName, waits: Iterable[LockWait]) -> LockState:
    holders = allocation.holders.get(name, Map[JobId, Mode]())
    modes = set(holders.values())
    mode: Mode | None = "exclusive" if "exclusive" in modes else "shared" if modes else None
    return LockState(name, mode, tuple(sorted(holders)), tuple(waits))
