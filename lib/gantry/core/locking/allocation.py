"""Who holds which lock: an immutable value.

Two jobs' locks conflict if they are on the same lock, or one is on a level's whole set and the
other on a member of it, and at least one of them is exclusive. The cost of a question is that
of the holders of the lock asked about, not of all locks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from attrs import field, frozen
from immutables import Map

from gantry.core.locking.names import cover_of, rank
from gantry.protocols.identity import JobId
from gantry.protocols.locks import Held, LockName, Mode

Owned = Map[LockName, Mode]
NOTHING: Final[Owned] = Map()


@frozen
class _Members:
    """How many members of a set a job holds; none of them with the set's own name."""

    shared: int = 0
    exclusive: int = 0

    def plus(self, mode: Mode, count: int) -> _Members:
        if mode == "shared":
            return _Members(self.shared + count, self.exclusive)
        return _Members(self.shared, self.exclusive + count)


NO_MEMBERS: Final = _Members()


@frozen
class Allocation:
    """All locks that are held."""

    owned: Map[JobId, Owned] = field(factory=Map)
    holders: Map[LockName, Map[JobId, Mode]] = field(factory=Map)
    members: Map[LockName, Map[JobId, _Members]] = field(factory=Map)
    """For every lockset, the jobs that hold members of it."""

    def of(self, job: JobId) -> Owned:
        """Return the locks of one job."""
        return self.owned.get(job, NOTHING)

    def held(self, job: JobId) -> tuple[Held, ...]:
        """Return the locks of one job in the order of locks."""
        mine = self.of(job)
        return tuple(Held(name, mine[name]) for name in sorted(mine, key=rank))

    def highest(self, job: JobId) -> LockName | None:
        """Return the last one of a job's locks in the order of locks."""
        return max(self.of(job), key=rank, default=None)

    def covers(self, job: JobId, name: LockName, mode: Mode) -> bool:
        """Whether a job holds a lock, itself or through its set, at least in a mode."""
        cover = cover_of(name)
        mine = self.of(job)
        modes = {mine.get(name), None if cover is None else mine.get(cover)}
        return "exclusive" in modes or (mode == "shared" and "shared" in modes)

    def blockers(self, job: JobId, name: LockName, mode: Mode) -> Iterator[JobId]:
        """Return the other jobs whose locks conflict with one that a job wants."""
        cover = cover_of(name)
        for each in (name, cover):
            for other, held in self.holders.get(each, _NOBODY).items() if each else ():
                if other != job and "exclusive" in (mode, held):
                    yield other
        if cover is None:
            for other, members in self.members.get(name, _NO_JOBS).items():
                if other != job and (mode == "exclusive" or members.exclusive):
                    yield other

    def with_locks(self, job: JobId, requests: Mapping[LockName, Mode | None]) -> Allocation:
        """Return the allocation with a job's locks changed; ``None`` lets a lock go.

        Whether that conflicts with others is not looked at.
        """
        after = self
        for name, mode in requests.items():
            after = after._with_lock(job, name, mode)
        return after

    def _with_lock(self, job: JobId, name: LockName, mode: Mode | None) -> Allocation:
        before = self.of(job).get(name)
        if before == mode:
            return self
        mine = _put(self.of(job), name, mode)
        holders = _put(self.holders.get(name, _NOBODY), job, mode)
        members, cover = self.members, cover_of(name)
        if cover is not None:
            count = members.get(cover, _NO_JOBS).get(job, NO_MEMBERS)
            count = count if before is None else count.plus(before, -1)
            count = count if mode is None else count.plus(mode, 1)
            jobs = _put(members.get(cover, _NO_JOBS), job, None if count == NO_MEMBERS else count)
            members = _put(members, cover, jobs or None)
        return Allocation(
            _put(self.owned, job, mine or None),
            _put(self.holders, name, holders or None),
            members,
        )

    def without_job(self, job: JobId) -> Allocation:
        """Return the allocation without a job's locks."""
        return self.with_locks(job, dict.fromkeys(self.of(job)))


K = TypeVar("K")
V = TypeVar("V")


def _put(mapping: Map[K, V], key: K, value: V | None) -> Map[K, V]:
    """Return a map with a key set, or (``None``) without it."""
    if value is not None:
        return mapping.set(key, value)
    return mapping.delete(key) if key in mapping else mapping


_NOBODY: Final[Map[JobId, Mode]] = Map()
_NO_JOBS: Final[Map[JobId, _Members]] = Map()
