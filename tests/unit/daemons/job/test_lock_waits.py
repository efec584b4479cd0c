"""A job that waits for locks says for whom, and remembers it when it has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest
import trio
from typing_extensions import override

from gantry.daemons.job.locking import NOTICE_SECONDS, LockTaker
from gantry.daemons.job.outbox import Outbox
from gantry.operations.operation import Locks
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.job_course import LockWait
from gantry.protocols.jobproc import BlockedBy, Event, EventNumber, Waited
from gantry.protocols.locks import BGL, Granted, Level, LockName, LockOwner, LockRequest
from gantry.protocols.wconfd import WCONFD, LockOrderViolated, WConfD
from gantry.runtime.link import Link
from gantry.runtime.real import real_environment

T = TypeVar("T")


class Line(Link[WConfD]):
    """WConfD's line for locks: it is long, and others in it come and go."""

    def __init__(self, wait_seconds: float, *blockers: tuple[int, ...]) -> None:
        super().__init__(WCONFD, real_environment().network, Path("/nowhere"))
        self.wait_seconds = wait_seconds
        self._blockers = [tuple(map(JobId, each)) for each in blockers]
        self.priority: int | None = None

    @override
    async def call(self, ask: Callable[[WConfD], Awaitable[T]]) -> T:
        return await ask(cast("WConfD", self))

    async def lock(self, owner: LockOwner, requests: Locks, priority: int) -> Granted:
        await trio.sleep(self.wait_seconds)
        return Granted(())

    async def blockers(self, owner: LockOwner) -> tuple[JobId, ...]:
        await trio.lowlevel.checkpoint()
        return self._blockers.pop(0) if len(self._blockers) > 1 else self._blockers[0]

    async def set_lock_priority(self, owner: LockOwner, priority: int) -> None:
        await trio.lowlevel.checkpoint()
        self.priority = priority


async def wanted() -> Locks:
    await trio.lowlevel.checkpoint()
    return (LockRequest(BGL, "shared"),)


def taker_of(line: Line, nursery: trio.Nursery) -> LockTaker:
    owner = LockOwner(JobId(5), Attempt(1))
    return LockTaker(line, owner, Outbox(), nursery, 0, 0, trio.current_time)


async def events_of(taker: LockTaker) -> list[Event]:
    """Return what was said, or nothing."""
    taker.outbox.put(BlockedBy((JobId(0),)))  # so that there is something
    numbered = await taker.outbox.after(EventNumber(0))
    return [each.event for each in numbered][:-1]


async def test_a_short_wait_is_not_mentioned(autojump_clock: object, nursery: trio.Nursery) -> None:
    taker = taker_of(Line(NOTICE_SECONDS / 2, (9,)), nursery)
    await taker.take(wanted)
    assert await events_of(taker) == []


async def test_all_who_blocked_it_are_remembered(
    autojump_clock: object, nursery: trio.Nursery
) -> None:
    taker = taker_of(Line(20.0, (9,), (9, 8), (7,)), nursery)
    begun = trio.current_time()
    await taker.take(wanted)
    *told, waited = await events_of(taker)
    blocked = [each.jobs for each in told if isinstance(each, BlockedBy)]
    assert blocked == [(9,), (9, 8), (7,), ()]
    assert waited == Waited(LockWait(0, begun, begun + 20.0, (JobId(7), JobId(8), JobId(9))))


async def test_it_is_said_again_for_a_luxid_that_was_restarted(
    autojump_clock: object, nursery: trio.Nursery
) -> None:
    taker = taker_of(Line(200.0, (9,)), nursery)
    await taker.take(wanted)
    told = [each for each in await events_of(taker) if isinstance(each, BlockedBy)]
    assert 4 < len(told) < 10
    assert {each.jobs for each in told[:-1]} == {(9,)}


async def test_a_new_priority_reaches_the_line(
    autojump_clock: object, nursery: trio.Nursery
) -> None:
    line = Line(20.0, (9,))
    taker = taker_of(line, nursery)
    async with trio.open_nursery() as taking:
        taking.start_soon(taker.take, wanted)
        await trio.sleep(1)
        assert taker.is_waiting
        await taker.set_priority(-10)
    assert line.priority == -10
    assert not taker.is_waiting


class Forgetful(Line):
    """A WConfD that was started again: it has not heard that the job has let its locks go."""

    def __init__(self) -> None:
        super().__init__(0.0, ())
        self.calls: list[str] = []

    @override
    async def lock(self, owner: LockOwner, requests: Locks, priority: int) -> Granted:
        self.calls.append("lock")
        if self.calls[-2:] == ["restart", "lock"]:
            raise LockOrderViolated(BGL, LockName("nodegroup/[lockset]"))
        return await super().lock(owner, requests, priority)

    async def release(self, owner: LockOwner, level: Level | None) -> None:
        await trio.lowlevel.checkpoint()
        self.calls.append("release")


async def test_locks_that_were_let_go_are_let_go_again_by_a_restarted_wconfd(
    autojump_clock: object, nursery: trio.Nursery
) -> None:
    line = Forgetful()
    taker = taker_of(line, nursery)
    await taker.take(wanted)
    await taker.release()
    line.calls.append("restart")
    await taker.take(wanted)
    assert line.calls == ["lock", "release", "restart", "lock", "release", "lock"]


async def test_a_job_with_locks_does_not_let_them_go_to_get_others(
    autojump_clock: object, nursery: trio.Nursery
) -> None:
    line = Forgetful()
    taker = taker_of(line, nursery)
    line.calls.append("restart")  # an earlier attempt may hold what this one knows nothing of
    with pytest.raises(LockOrderViolated):
        await taker.take(wanted)
    assert line.calls == ["restart", "lock"]
