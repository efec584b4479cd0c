"""Locks and reservations made durable, and those who wait for locks.

What a job is given is written to a local journal before the job hears of it. What it lets go is
written with the next grant: if WConfD dies before, the job holds a little more than it knew,
until it ends. After a start nothing is given until LuxiD has named the unfinished jobs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

import trio
from attrs import define, evolve, field

from gantry.core.config.reservations import Reservations, reserve, restored
from gantry.core.config.state import State
from gantry.core.locking import waiting
from gantry.core.locking.holdings import (
    complete_record,
    dump_record,
    ganeti_form,
    load_record,
    record_of,
    replay,
)
from gantry.core.locking.names import by_level
from gantry.core.locking.times import LockTimes
from gantry.core.locking.waiting import Locks
from gantry.protocols.codec import to_bytes
from gantry.protocols.errors import BadCall, StaleAttempt
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.locks import Blocked, Granted, Level, LockOwner, LockRequest, LockState
from gantry.protocols.records import Index
from gantry.protocols.wconfd import LivingJob, NotDurable, NotReady, Reserved, Taken, Want
from gantry.runtime.environment import Environment
from gantry.runtime.journal import AppendFailed, Journal
from gantry.runtime.logs import Log

JOURNAL: Final = "locks.log"
SNAPSHOT: Final = "locks.data"

JOURNAL_BYTES_MAX: Final = 256 * 1024
"""Some thousand grants; then the journal starts over with what is held now."""

COMPACT_SECONDS: Final = 30.0
"""How often the journal's length is looked at."""

LOG: Final = Log("wconfd.locks")


@define
class _Waiter:
    """A call that waits for its job's turn."""

    priority: int
    """The present one, which may have been changed since the call."""
    over: trio.Event = field(factory=trio.Event, init=False)
    granted: bool = field(default=False, init=False)
    """Whether the wait ended well; else the request was taken back."""

    def end(self, *, granted: bool) -> None:
        """End the wait."""
        self.granted = granted
        self.over.set()


@define
class LockStore:
    """All locks and reservations. Made by :meth:`open`."""

    _env: Environment
    journal: Journal
    """Its :meth:`~gantry.runtime.journal.Journal.run` must run while the store is used."""
    locks: Locks
    reservations: Reservations
    ready: trio.Event = field(factory=trio.Event, init=False)
    """Set when the unfinished jobs have been named."""
    _times: LockTimes = field(factory=LockTimes, init=False)
    _waiters: dict[JobId, _Waiter] = field(factory=dict, init=False)
    _unsaid: set[JobId] = field(factory=set, init=False)
    """Jobs whose holdings the journal does not know."""

    @classmethod
    async def open(cls, env: Environment, epoch: Epoch) -> LockStore:
        """Read the journal; what an earlier reign of this node's has left in it is over.

        Args:
            env: the world.
            epoch: the present reign. Another node may have reigned meanwhile, under which jobs
                got and lost locks: what they hold is in the queue, which LuxiD tells.

        Raises:
            gantry.protocols.records.CorruptRecord: it is damaged.
            gantry.protocols.codec.Malformed: it holds a record of an unknown form.
        """
        journal, records = await Journal.open(
            env.files, env.paths.data / JOURNAL, epoch, snapshot=None
        )
        ours = [record for record in records if record.epoch == epoch]
        locks, reservations = replay(load_record(record.payload) for record in ours)
        return cls(env, journal, locks, reservations)

    # --- locks -----------------------------------------------------------------------------------

    async def lock(
        self, owner: LockOwner, requests: tuple[LockRequest, ...], priority: int
    ) -> Granted:
        """See :meth:`gantry.protocols.wconfd.WConfD.lock`."""
        if not self.ready.is_set():
            await self.ready.wait()
        self._unsaid.add(owner.job)  # whatever it gets, also where the rest fails
        for asked in by_level(requests) or ((),):
            self.locks, others, answer = waiting.request(self.locks, owner, asked, priority)
            self._wake(others)
            if isinstance(answer, Blocked):
                self._times.asks(owner.job, self._env.clock.now())
                priority = await self._wait_for_turn(owner, priority)
            self._note(owner.job)
        await self._say(owner.job)
        return Granted(self.locks.allocation.held(owner.job))

    async def _wait_for_turn(self, owner: LockOwner, priority: int) -> int:
        """Wait until the job's request is granted; cancellation takes the request back.

        Returns:
            The priority, which may have been changed meanwhile.

        Raises:
            StaleAttempt: a newer attempt took it back.
            BadCall: another call of the same job took its place, or the job let it go.
        """
        former = self._waiters.get(owner.job)
        waiter = self._waiters[owner.job] = _Waiter(priority)
        if former is not None:  # most likely of a connection that was lost
            former.end(granted=False)
        try:
            await waiter.over.wait()
        except trio.Cancelled:
            if self._waiters.get(owner.job) is waiter:
                del self._waiters[owner.job]
                self.locks, others = waiting.withdraw(self.locks, owner.job)
                self._wake(others)
            raise
        if not waiter.granted:
            newest = self.locks.attempts.get(owner.job, owner.attempt)
            if newest != owner.attempt:
                raise StaleAttempt(owner.job, owner.attempt, newest)
            raise BadCall("lock", f"the waiting request of job {owner.job} was taken back")
        return waiter.priority

    async def try_lock(
        self, owner: LockOwner, requests: tuple[LockRequest, ...]
    ) -> Granted | Blocked:
        """See :meth:`gantry.protocols.wconfd.WConfD.try_lock`."""
        if not self.ready.is_set():
            raise NotReady
        self.locks, others, answer = waiting.try_request(self.locks, owner, requests)
        self._wake(others)
        if isinstance(answer, Granted):
            self._note(owner.job)
            await self._say(owner.job)
        return answer

    def release(self, owner: LockOwner, level: Level | None) -> None:
        """Let go of an owner's locks of a level, or of all and of its reservations."""
        self.locks, others = waiting.release(self.locks, owner, level)
        if level is None:
            self.reservations = self.reservations.without_job(owner.job)
        self._unsaid.add(owner.job)
        self._note(owner.job)
        self._wake(others, taken_back=owner.job)

    def set_priority(self, job: JobId, priority: int) -> None:
        """Change the priority of a waiting request, and of what its call asks for after it."""
        if job in self._waiters:
            self._waiters[job].priority = priority
        self.locks, others = waiting.set_priority(self.locks, job, priority)
        self._wake(others)

    async def adopt(self, owner: LockOwner) -> None:
        """Hand what a job holds to a newer attempt; durable, since the older one is refused now."""
        await self.ready.wait()  # what the queue knows of it comes first
        known = self.locks.attempts.get(owner.job)
        self.locks, others = waiting.adopt(self.locks, owner)
        self._wake(others, taken_back=owner.job)
        if known is not None and known != owner.attempt:
            await self._say(owner.job)

    def newest_attempt(self, job: JobId) -> Attempt | None:
        """Return the newest attempt of a job that was heard of."""
        return self.locks.attempts.get(job)

    # --- reservations ----------------------------------------------------------------------------

    async def reserve(
        self, owner: LockOwner, wants: tuple[Want, ...], state: State
    ) -> Reserved | Taken:
        """See :meth:`gantry.protocols.wconfd.WConfD.reserve`."""
        await self.adopt(owner)
        seed = self._env.random.bytes(16)
        self.reservations, answer = reserve(state, self.reservations, owner.job, wants, seed)
        if isinstance(answer, Reserved):
            await self._say(owner.job)
        return answer

    # --- jobs ------------------------------------------------------------------------------------

    async def name_jobs(self, jobs: Iterable[LivingJob], state: State) -> None:
        """Free what belongs to no living job; then locks may be given.

        A living job of which nothing is known here gets back what it is known to hold.

        Raises:
            NotDurable: that could not be written; nothing is given yet.
        """
        living = {each.owner.job: each for each in jobs}
        for job in [job for job in self.locks.attempts if job not in living]:
            self.drop_job(job)
        for each in living.values():
            owner = each.owner
            if owner.job not in self.locks.attempts:
                self._give_back(each, state)
            try:
                self.locks, others = waiting.adopt(self.locks, owner)
            except StaleAttempt:  # the newer one has come here before LuxiD heard of it
                continue
            self._unsaid.add(owner.job)
            self._wake(others, taken_back=owner.job)
        await self._write(self._unsaid)
        self.ready.set()

    def _give_back(self, living: LivingJob, state: State) -> None:
        """Take over from the queue what a job holds of which nothing is known here."""
        job = living.owner.job
        allocation = self.locks.allocation
        taken = {
            by for lock in living.held for by in allocation.blockers(job, lock.name, lock.mode)
        }
        if taken:  # two masters' worth of records disagree: the first one named keeps it
            LOG.error("locks of a job are held by others", job=job, holders=sorted(taken))
            return
        held = {lock.name: lock.mode for lock in living.held}
        self.locks = evolve(self.locks, allocation=allocation.with_locks(job, held))
        self.reservations = restored(state, self.reservations, job, living.reserved)
        if held:
            LOG.info("locks taken over from the queue", job=job, locks=len(held))

    def drop_job(self, job: JobId) -> None:
        """Free everything of a job that is over."""
        self.locks, others = waiting.drop_job(self.locks, job)
        self.reservations = self.reservations.without_job(job)
        self._unsaid.add(job)
        self._note(job)
        self._wake(others, taken_back=job)

    def _note(self, job: JobId) -> None:
        """Note since when a job holds what it holds, and that it does not wait."""
        self._times.holds(job, self.locks.allocation.of(job), self._env.clock.now())
        if job not in self.locks.waiting:
            self._times.waits_no_more(job)

    async def states(self) -> tuple[LockState, ...]:
        """Return every lock that is held or waited for."""
        return await self._env.offload(partial(self._times.states, self.locks))

    def _wake(self, granted: Iterable[JobId], taken_back: JobId | None = None) -> None:
        """End the waits of granted requests, and of a job whose request may be in line no more."""
        for job in granted:
            self._note(job)
            if job in self._waiters:
                self._waiters.pop(job).end(granted=True)
        if taken_back in self._waiters and taken_back not in self.locks.waiting:
            self._waiters.pop(taken_back).end(granted=False)

    # --- the journal -----------------------------------------------------------------------------

    async def _say(self, job: JobId) -> None:
        """Write down what a job holds, together with all that was let go before.

        Raises:
            NotDurable: it could not be written; the job holds it nevertheless.
        """
        await self._write({job, *self._unsaid})

    async def _write(self, jobs: Iterable[JobId]) -> None:
        said = frozenset(jobs)
        if not said:
            return
        self._unsaid -= said
        record = record_of(self.locks, self.reservations, said)
        try:
            await self.journal.append([dump_record(record)])
        except AppendFailed as error:
            self._unsaid |= said
            raise NotDurable(str(error)) from error
        except trio.Cancelled:
            self._unsaid |= said  # it is written all the same; saying it twice does no harm
            raise

    async def keep_short(self) -> None:
        """Start the journal over when it is long, until cancelled; then save a last time."""
        try:
            while True:
                await trio.sleep(COMPACT_SECONDS)
                if self.journal.figures.file_bytes > JOURNAL_BYTES_MAX:
                    await self._compact()
        finally:
            with trio.CancelScope(shield=True):  # two small files
                await self._compact()

    async def _compact(self) -> None:
        """Begin the journal with one record of everything, and write Ganeti's ``locks.data``."""
        payload = dump_record(complete_record(self.locks, self.reservations))
        self._unsaid.clear()
        try:
            (index,) = await self.journal.append([payload])
            await self.journal.start_over(Index(index - 1))
            shown = to_bytes(ganeti_form(self.locks))
            await self._env.files.write(self._env.paths.data / SNAPSHOT, shown)
        except (AppendFailed, OSError) as error:
            self._unsaid.update(self.locks.attempts)
            LOG.error("lock journal not started over", reason=str(error))
