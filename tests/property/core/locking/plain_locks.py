"""Locks done in the simplest way: lists, pairs and loops. Slow, and easy to believe."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from gantry.protocols.identity import JobId
from gantry.protocols.locks import LOCKSET, LockName, LockRequest, Mode

Lock = tuple[LockName, Mode]


def clash(one: Lock, other: Lock) -> bool:
    """Whether two jobs may not have these locks at the same time."""
    (name, mode), (other_name, other_mode) = one, other
    if "exclusive" not in (mode, other_mode):
        return False
    level, _, member = name.partition("/")
    other_level, _, other_member = other_name.partition("/")
    if "cluster/config" in (name, other_name):
        return name == other_name
    return level == other_level and (member == other_member or LOCKSET in (member, other_member))


def has(locks: dict[LockName, Mode], lock: Lock) -> bool:
    """Whether a lock is implied by what is held."""
    name, mode = lock
    level = name.partition("/")[0]
    names = {name} if name == "cluster/config" else {name, f"{level}/{LOCKSET}"}
    modes = {locks[LockName(each)] for each in names if each in locks}
    return bool(modes) if mode == "shared" else "exclusive" in modes


@define
class Waiter:
    job: JobId
    requests: list[LockRequest]
    priority: int


@define
class PlainLocks:
    """Grants in the order of the line; whoever is granted something, we begin again."""

    held: dict[JobId, dict[LockName, Mode]] = field(factory=dict)
    line: list[Waiter] = field(factory=list)
    """In order of arrival."""

    def of(self, job: JobId) -> dict[LockName, Mode]:
        return self.held.setdefault(job, {})

    def needs(self, waiter: Waiter) -> list[Lock]:
        wanted = [(r.name, r.mode) for r in waiter.requests if r.mode != "release"]
        return [lock for lock in wanted if not has(self.of(waiter.job), lock)]

    def holders_in_the_way(self, waiter: Waiter) -> set[JobId]:
        return {
            job
            for job, locks in self.held.items()
            for lock in locks.items()
            for need in self.needs(waiter)
            if job != waiter.job and clash(lock, need)
        }

    def graph(self) -> dict[JobId, set[JobId]]:
        """Who waits for whom."""
        in_line = sorted(self.line, key=lambda waiter: waiter.priority)
        edges = {waiter.job: self.holders_in_the_way(waiter) for waiter in in_line}
        for place, waiter in enumerate(in_line):
            for ahead in in_line[:place]:
                meets = any(clash(a, b) for a in self.needs(ahead) for b in self.needs(waiter))
                if meets and not leads(edges, ahead.job, waiter.job):
                    edges[waiter.job].add(ahead.job)
        return edges

    def settle(self) -> None:
        while True:
            edges = self.graph()
            free = [w for w in sorted(self.line, key=lambda w: w.priority) if not edges[w.job]]
            if not free:
                return
            self.line.remove(free[0])
            self.apply(free[0].job, free[0].requests)

    def apply(self, job: JobId, requests: Iterable[LockRequest]) -> None:
        for each in requests:
            if each.mode == "release":
                self.of(job).pop(each.name, None)
            else:
                self.of(job)[each.name] = each.mode


def leads(edges: dict[JobId, set[JobId]], start: JobId, goal: JobId) -> bool:
    """Whether there is a way from one job to another."""
    reached = {start}
    while True:
        more = {after for each in reached for after in edges.get(each, ())} - reached
        if goal in reached | more:
            return True
        if not more:
            return False
        reached |= more
