"""How a job takes its locks: all in one call, which WConfD answers when the job has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio
from attrs import define, field

from gantry.daemons.job.outbox import Outbox
from gantry.operations.operation import Locks
from gantry.protocols.identity import JobId
from gantry.protocols.job_course import LockWait
from gantry.protocols.jobproc import BlockedBy, Waited
from gantry.protocols.locks import Granted, Held, LockOwner, LockRequest
from gantry.protocols.records import Index
from gantry.protocols.wconfd import LockOrderViolated, WConfD
from gantry.runtime.link import Link

NOTICE_SECONDS: Final = 0.2
"""A job that waits longer than this says for whom."""

NOTICE_AGAIN_SECONDS: Final = 2.0
NOTICE_SECONDS_MAX: Final = 60.0
"""Between looks at whether it waits for others by now: at first more often, then rarely."""

TRIES_MAX: Final = 20
"""How often the set of locks that an opcode needs may change while it is being taken."""


@define(eq=False)
class _Wait:
    """One wait in line."""

    blockers: set[JobId] = field(factory=set, init=False)
    """All for whom it was waited, at any time."""
    told: tuple[JobId, ...] = field(default=(), init=False)
    """For whom LuxiD knows that it is waited."""


@define
class LockTaker:
    """Takes and releases the locks of one job's attempt."""

    wconfd: Link[WConfD]
    owner: LockOwner
    outbox: Outbox
    nursery: trio.Nursery
    """Where it is watched how long a wait takes."""
    priority: int
    opcode: int
    now: Callable[[], float]
    locked_at: Callable[[Index | None], None] = lambda _: None
    """Told of each grant, with the last change of the configuration at that moment; of a release
    with ``None``: what was read before may be of the past."""
    held: tuple[Held, ...] = field(default=(), init=False)
    """What WConfD has granted, in this attempt."""
    _wait: _Wait | None = field(default=None, init=False)
    _let_go: bool = field(default=False, init=False)
    """Whether everything was released since the last grant to this attempt."""

    @property
    def is_waiting(self) -> bool:
        """Whether it waits in line."""
        return self._wait is not None

    async def take(self, wanted: Callable[[], Awaitable[Locks]]) -> None:
        """Take the locks that ``wanted`` names; asked again when they are held, it must agree.

        What it names may depend on a configuration that others change until the locks are held.
        """
        for _ in range(TRIES_MAX):
            requests = await wanted()
            if requests:
                await self._lock(requests)
            if set(await wanted()) <= set(requests):
                return
            await self.release()
        raise RuntimeError(f"the locks needed changed {TRIES_MAX} times in a row")

    async def _lock(self, requests: tuple[LockRequest, ...]) -> None:
        began = self.now()
        wait = self._wait = _Wait()
        # It is not ended with the wait: nearly all are over before it wakes up for the first time.
        self.nursery.start_soon(self._say_who_blocks, wait)
        try:
            granted = await self._granted(requests)
            self.held, self._let_go = granted.held, False
            self.locked_at(granted.index)
        finally:
            self._wait = None
            if wait.told:
                self.outbox.put(BlockedBy(()))
        if wait.blockers:
            blockers = tuple(sorted(wait.blockers))
            self.outbox.put(Waited(LockWait(self.opcode, began, self.now(), blockers)))

    async def _granted(self, requests: tuple[LockRequest, ...]) -> Granted:
        """Ask WConfD, if need be again.

        That a job has let go of its locks is written down with the next grant. So a WConfD that was
        started again may take the job for their owner, and what it wants now for out of order.
        """

        async def ask(wconfd: WConfD) -> Granted:
            return await wconfd.lock(self.owner, requests, self.priority)

        try:
            return await self.wconfd.call(ask)
        except LockOrderViolated:
            if not self._let_go:
                raise
            await self.wconfd.call(lambda w: w.release(self.owner, None))
            return await self.wconfd.call(ask)

    async def _say_who_blocks(self, wait: _Wait) -> None:
        """Say for whom the job waits, again and again: LuxiD keeps it in no record."""
        pause = NOTICE_SECONDS
        while True:
            await trio.sleep(pause)
            if self._wait is not wait:
                return
            now = await self.wconfd.call(lambda w: w.blockers(self.owner))
            if self._wait is not wait:
                return
            wait.blockers.update(now)
            if now or wait.told:
                self.outbox.put(BlockedBy(now))
            wait.told = now
            pause = min(2 * max(pause, NOTICE_AGAIN_SECONDS), NOTICE_SECONDS_MAX)

    async def set_priority(self, priority: int) -> None:
        """Change the priority of this wait and of those to come."""
        self.priority = priority
        if self.is_waiting:
            await self.wconfd.call(lambda w: w.set_lock_priority(self.owner, priority))

    async def release(self) -> None:
        """Release all locks and reservations."""
        self.held, self._let_go = (), True
        self.locked_at(None)
        await self.wconfd.call(lambda w: w.release(self.owner, None))

    async def adopt(self) -> None:
        """Take over what earlier attempts held."""
        await self.wconfd.call(lambda w: w.adopt(self.owner))
