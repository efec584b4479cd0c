"""The WConfD protocol, answered from the two stores."""

from __future__ import annotations

import trio
from attrs import evolve, frozen
from typing_extensions import override

from gantry.core.config.selection import select
from gantry.core.config.verify import verify_in_parts
from gantry.core.locking import waiting
from gantry.daemons.wconfd.config_store import ConfigStore
from gantry.daemons.wconfd.lock_store import LockStore
from gantry.protocols.changes import Change
from gantry.protocols.errors import NoLease, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Epoch, JobId, Key, NodeUuid, Ticket
from gantry.protocols.locks import Blocked, Granted, Level, LockOwner, LockRequest, LockState
from gantry.protocols.records import Index
from gantry.protocols.wconfd import (
    Committed,
    ConfigPart,
    Deltas,
    Invariant,
    LivingJob,
    NeverSeen,
    Refused,
    Reserved,
    Selection,
    Snapshot,
    Taken,
    Want,
    WConfD,
    WConfdStatus,
)


@frozen
class WConfDServer(WConfD):
    """What clients talk to."""

    config: ConfigStore
    held: LockStore

    @override
    async def status(self) -> WConfdStatus:
        await trio.lowlevel.checkpoint()
        journal, locks = self.config.journal.figures, self.held.journal.figures
        state = self.config.durable
        return WConfdStatus(
            epoch=state.epoch,
            index=state.index,
            serial_no=state.configuration.serial_no,
            journal_bytes=journal.file_bytes,
            flushes=journal.flushes + locks.flushes,
            bytes_written=journal.bytes_written
            + locks.bytes_written
            + self.config.saver.bytes_saved,
            locks=sum(len(owned) for owned in self.held.locks.allocation.owned.values()),
            ready=self.held.ready.is_set(),
            confirmed=self.config.confirmed,
        )

    # --- the configuration -----------------------------------------------------------------------

    @override
    async def snapshot(self) -> Snapshot:
        return await self.config.snapshot()

    @override
    async def deltas(self, since: Index) -> Deltas | Snapshot:
        return await self.config.changes(since)

    @override
    async def read(self, selection: Selection) -> ConfigPart:
        await trio.lowlevel.checkpoint()
        return select(self.config.durable, selection)

    @override
    async def commit(self, ticket: Ticket, change: Change) -> Committed | Refused:
        newest = self.held.newest_attempt(ticket.key.job)
        if newest is not None and ticket.attempt < newest:
            raise StaleAttempt(ticket.key.job, ticket.attempt, newest)
        return await self.config.commit(ticket, change, self.held.reservations)

    @override
    async def outcome(self, key: Key) -> Committed | NeverSeen:
        return await self.config.outcome(key)

    @override
    async def forget(self, job: JobId) -> None:
        await trio.lowlevel.checkpoint()
        self.config.forget(job)

    @override
    async def verify(self) -> tuple[Invariant, ...]:
        found: list[Invariant] = []
        for part in verify_in_parts(self.config.durable):
            found += part
            await trio.lowlevel.checkpoint()
        return (*found, *self.config.alone())

    @override
    async def flush(self) -> None:
        await self.config.saver.save()

    # --- locks and reservations ------------------------------------------------------------------

    @override
    async def lock(
        self, owner: LockOwner, requests: tuple[LockRequest, ...], priority: int
    ) -> Granted:
        granted = await self.held.lock(owner, requests, priority)
        return evolve(granted, index=self.config.durable.index)

    @override
    async def try_lock(
        self, owner: LockOwner, requests: tuple[LockRequest, ...]
    ) -> Granted | Blocked:
        return await self.held.try_lock(owner, requests)

    @override
    async def blockers(self, owner: LockOwner) -> tuple[JobId, ...]:
        await trio.lowlevel.checkpoint()
        return waiting.blockers(self.held.locks, owner.job)

    @override
    async def set_lock_priority(self, owner: LockOwner, priority: int) -> None:
        await trio.lowlevel.checkpoint()
        self.held.set_priority(owner.job, priority)

    @override
    async def release(self, owner: LockOwner, level: Level | None) -> None:
        await trio.lowlevel.checkpoint()
        self.held.release(owner, level)

    @override
    async def locks(self) -> tuple[LockState, ...]:
        return await self.held.states()

    @override
    async def reserve(self, owner: LockOwner, wants: tuple[Want, ...]) -> Reserved | Taken:
        await self.held.ready.wait()
        return await self.held.reserve(owner, wants, self.config.head)

    @override
    async def name_jobs(self, epoch: Epoch, jobs: tuple[LivingJob, ...]) -> None:
        self._require(epoch)
        self.config.forget_all_but({job.owner.job for job in jobs})
        await self.held.name_jobs(jobs, self.config.head)

    def _require(self, epoch: Epoch) -> None:
        """Refuse a LuxiD of another reign."""
        ours = self.config.durable.epoch
        if epoch < ours:
            raise StaleEpoch(epoch, ours)
        if epoch > ours:
            raise NoLease

    @override
    async def follow_voters(self, epoch: Epoch, voters: tuple[NodeUuid, ...]) -> None:
        await trio.lowlevel.checkpoint()
        self._require(epoch)
        self.config.voter_changes.follow(frozenset(voters))

    @override
    async def alone(self, known: Index | None) -> Index | None:
        log = self.config.log
        if log is None:
            await trio.sleep_forever()
        return await log.alone_otherwise(known)

    @override
    async def adopt(self, owner: LockOwner) -> None:
        await self.held.adopt(owner)

    @override
    async def drop_job(self, job: JobId) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.held.drop_job(job)
        self.config.forget(job)
