"""The node's replicas of both streams, and whom the node follows.

On the master the files belong to the master daemons; NodeD only reads them there, until a newer
epoch than the node's own reign is followed. Then the master daemons are stopped first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import define, evolve, field
from typing_extensions import override

from gantry.core.config.folding import candidate_certificates
from gantry.core.replication import replica as pure
from gantry.core.replication.replica import Append, Install, Late, Stale
from gantry.daemons.noded.access import Access
from gantry.daemons.noded.cluster_files import ClusterFiles
from gantry.daemons.noded.failures import told
from gantry.daemons.noded.job_processes import end_job_processes
from gantry.daemons.noded.master_address import ClusterAddress
from gantry.daemons.noded.master_services import MasterServices
from gantry.daemons.noded.replica_files import (
    FORMS,
    Looked,
    ReplicaFiles,
    look,
    newest_serial,
    remove_replica,
)
from gantry.drivers.scripts.hooks import Hooks
from gantry.protocols.codec import Json, Malformed
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.errors import GantryError, StaleEpoch
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.noded import MasterAddress, StepFailed
from gantry.protocols.records import Index, Position, Record
from gantry.protocols.replication import (
    STREAMS,
    AppendAnswer,
    Appended,
    LogEnd,
    Promised,
    ReplicaCopy,
    Replicas,
    ReplicaState,
    Snapshot,
    Stream,
)
from gantry.runtime.allegiance import Allegiance, read_allegiance, write_allegiance
from gantry.runtime.commit_mark import CONFIG_MARK, MarkKeeper
from gantry.runtime.environment import Environment
from gantry.runtime.job_archive import open_gap
from gantry.runtime.logs import Log

BEHIND_SECONDS: Final = 1.0
"""How far ``config.data`` of a replica is behind its log, unless it is slow to write."""

DURATIONS_BETWEEN: Final = 20.0
"""At most a twentieth of the time goes into rewriting snapshots."""

QUEUE_LOG_BYTES: Final = 4 * 1024 * 1024
"""Nobody reads the queue's snapshot but a starting LuxiD: it is rewritten when its log is long."""

MASTER_KEY: Final = "master_node"
CANDIDATES_KEY: Final = "master_candidates"

LOG: Final = Log("noded.replicas")


@define
class ReplicaService(Replicas):
    """What a node keeps for its master; :meth:`run` must run while it is used."""

    _env: Environment
    _files: ClusterFiles
    _services: MasterServices
    _see_epoch: Callable[[Epoch], Awaitable[None]]
    _allegiance: Allegiance
    _access: Access
    _marks: MarkKeeper
    address: ClusterAddress
    _held: dict[Stream, ReplicaFiles] = field(factory=dict, init=False)
    """The streams whose files are NodeD's now."""
    _node: trio.Lock = field(factory=trio.Lock, init=False)
    _locks: dict[Stream, trio.Lock] = field(
        factory=lambda: {stream: trio.Lock() for stream in STREAMS}, init=False
    )
    _news: trio.Event = field(factory=trio.Event, init=False)
    _heard: dict[Stream, float] = field(
        factory=lambda: dict.fromkeys(STREAMS, trio.current_time()), init=False
    )
    """When a leader has sent something, or NodeD has started, by the monotonic clock."""

    @classmethod
    async def of(
        cls,
        env: Environment,
        files: ClusterFiles,
        services: MasterServices,
        see_epoch: Callable[[Epoch], Awaitable[None]],
        access: Access,
    ) -> ReplicaService:
        """Read whom the node follows."""
        allegiance = await read_allegiance(env.files, env.paths)
        marks = MarkKeeper.of(env, CONFIG_MARK)
        address = ClusterAddress(env, Hooks(env))
        service = cls(env, files, services, see_epoch, allegiance, access, marks, address)
        await service._admit_newest()
        access.look_again = service._admit_newest
        return service

    async def _admit_newest(self) -> None:
        """Let those call who are candidates as files of somebody else's have it."""
        async with self._locks["config"]:
            if "config" in self._held:  # whoever writes it admits them
                return
            try:
                found = await look(self._env, "config", self._promised)
            except (GantryError, Malformed, OSError) as error:  # whoever uses the files is told
                LOG.error("the replica can not be read", reason=str(error))
            else:
                self._admit(found.data, found.replica.after(found.replica.base.index))

    def _admit(self, data: Json, records: tuple[Record, ...]) -> None:
        """Let those call who are candidates as the replica has it."""
        known = candidate_certificates(data, records)
        if known is not None:
            self._access.replicated = known

    # --- what a leader sends ---------------------------------------------------------------------

    @override
    async def append_records(
        self,
        stream: Stream,
        epoch: Epoch,
        previous: Position,
        records: tuple[Record, ...],
        committed: Index,
    ) -> AppendAnswer:
        async with told(), self._following(stream, epoch) as held:
            taken = pure.append(held.replica, Append(epoch, previous, records, committed))
            if isinstance(taken, Stale):
                raise StaleEpoch(epoch, taken.newest)
            replica, effects, answer = taken
            moved = replica.committed != held.replica.committed
            await held.carry_out(replica, effects, None)
            if stream == "config" and records:
                self._admit(None, records)
            if moved:
                self._mark(stream, held)
                self._news.set()
            return answer

    @override
    async def install_snapshot(self, stream: Stream, epoch: Epoch, snapshot: Snapshot) -> Appended:
        async with told(), self._following(stream, epoch) as held:
            if FORMS[stream].end(snapshot.data) != snapshot.end:
                raise StepFailed(f"the snapshot of stream {stream} is not what it says it is")
            taken = pure.install(held.replica, Install(epoch, snapshot.end))
            if isinstance(taken, Stale):
                raise StaleEpoch(epoch, taken.newest)
            if isinstance(taken, Late):
                raise StepFailed(f"{self._env.node} has a newer snapshot of stream {stream}")
            replica, effects = taken
            replaces = any(isinstance(effect, pure.ReplaceAll) for effect in effects)
            if stream == "queue" and replaces:
                await open_gap(self._env, snapshot.end.index)
            await held.carry_out(replica, effects, snapshot.data)
            if stream == "config" and replaces:
                self._admit(snapshot.data, ())
            LOG.info("snapshot taken", stream=stream, index=snapshot.end.index, anew=replaces)
            return Appended(snapshot.end.position)

    @asynccontextmanager
    async def _following(self, stream: Stream, epoch: Epoch) -> AsyncIterator[ReplicaFiles]:
        """Hold a stream's files for the leader of an epoch, and nobody older."""
        self.check(epoch)
        if stream not in self._held or epoch > self._allegiance.promised:
            await self._follow(epoch)
        async with self._locks[stream]:
            self.check(epoch)
            held = self._held.get(stream)
            if held is None:
                # No word about the epoch: whoever leads it must not take this for its end.
                raise StepFailed(f"{self._env.node} has just dropped its replica; try again")
            if held.replica.promised != self._allegiance.promised:
                held.replica = evolve(held.replica, promised=self._allegiance.promised)
            self._heard[stream] = trio.current_time()
            yield held

    async def _follow(self, epoch: Epoch) -> None:
        """Take the files over from master daemons whose reign is over, or from nobody."""
        async with self._node:
            allegiance = self._allegiance
            if epoch < allegiance.promised:
                raise StaleEpoch(epoch, allegiance.promised)
            leads = allegiance.may_lead and await self._is_master()
            if leads and epoch == allegiance.promised:
                raise StepFailed(f"{self._env.node} leads epoch {epoch} itself")
            if epoch > allegiance.promised:
                await self._pledge(epoch)
            if not self._held:
                if epoch > FIRST_EPOCH:
                    # Whether this node has led can not be told any more: its ssconf files may
                    # name the new master already. Where nothing runs there is nothing to end.
                    await self._stand_down()
                await self._take_files(epoch)

    async def _take_files(self, epoch: Epoch) -> None:
        """Open the files of both streams, or of none: whoever is cut off begins again."""
        opened: dict[Stream, ReplicaFiles] = {}
        try:
            for stream in STREAMS:
                opened[stream] = await ReplicaFiles.open(self._env, stream, epoch)
        except BaseException:
            with trio.CancelScope(shield=True):  # two files
                for files in opened.values():
                    await files.aclose()
            raise
        self._held.update(opened)
        self._mark("config", opened["config"])

    def _mark(self, stream: Stream, held: ReplicaFiles) -> None:
        """Tell readers of the configuration's files what counts."""
        if stream == "config":
            committed = held.replica.committed
            epoch = self._allegiance.promised
            self._marks.set(LogEnd(epoch, committed.index, committed.checksum))

    async def end(self) -> None:
        """End what acts for a master here, and leave the files: the node is none any more."""
        async with self._node, self._locks["config"], self._locks["queue"]:
            await self._stand_down()
            for stream in STREAMS:
                files = self._held.pop(stream, None)
                if files is not None:
                    await files.aclose()

    async def _stand_down(self) -> None:
        """End everything that acts for a master on this node."""
        await self._services.stop()
        await end_job_processes(self._env)
        await self.address.let_go()

    async def _is_master(self) -> bool:
        return await self._files.ssconf(MASTER_KEY) == self._env.node

    async def _pledge(self, epoch: Epoch) -> None:
        pledged = evolve(self._allegiance, promised=epoch)
        await write_allegiance(self._env.files, self._env.paths, pledged)
        self._allegiance = pledged

    def check(self, epoch: Epoch) -> None:
        """Refuse whoever's reign is over.

        Raises:
            StaleEpoch: somebody else was promised a newer one.
        """
        if epoch < self._allegiance.promised:
            raise StaleEpoch(epoch, self._allegiance.promised)

    # --- promotion -------------------------------------------------------------------------------

    @override
    async def promise(self, epoch: Epoch) -> Promised:
        async with told(), self._node:
            if epoch <= self._allegiance.promised:
                raise StaleEpoch(epoch, self._allegiance.promised)
            async with self._locks["config"], self._locks["queue"]:
                await self._pledge(epoch)
                config, queue = [await self._end(stream) for stream in STREAMS]
            LOG.info("epoch promised", epoch=epoch)
            return Promised(epoch, config.end, queue.end)

    async def _end(self, stream: Stream) -> pure.Replica:
        """Return a stream's state, also where the files are the master daemons'."""
        held = self._held.get(stream)
        if held is not None:
            return held.replica
        return (await look(self._env, stream, self._allegiance.promised)).replica

    @override
    async def replica_state(self, stream: Stream) -> ReplicaState:
        async with told(), self._locks[stream]:
            replica = await self._end(stream)
            return ReplicaState(
                self._allegiance.promised,
                replica.end,
                replica.committed.index,
                trio.current_time() - self._heard[stream],
            )

    @override
    async def replica_copy(self, stream: Stream) -> ReplicaCopy:
        async with told(), self._locks[stream]:
            held: ReplicaFiles | Looked | None = self._held.get(stream)
            if held is None:
                held = await look(self._env, stream, self._allegiance.promised)
            if held.data is None:
                raise StepFailed(f"{self._env.node} has no replica of stream {stream}")
            end = FORMS[stream].end(held.data)
            return ReplicaCopy(Snapshot(end, held.data), held.replica.after(end.index))

    @override
    async def tell_epoch(self, epoch: Epoch) -> None:
        async with told():
            self.check(epoch)
            if epoch > self._allegiance.promised:
                async with self._node:
                    await self._pledge(epoch)
            await self._see_epoch(epoch)

    @override
    async def hold_address(self, epoch: Epoch, address: MasterAddress) -> None:
        async with told(), self._node:
            if epoch != self._allegiance.promised:
                raise StaleEpoch(epoch, self._allegiance.promised)
            if not self._allegiance.may_lead:
                raise StepFailed(f"{self._env.node} does not lead epoch {epoch}")
            await self.address.bring_up(address)

    # --- the master daemons ----------------------------------------------------------------------

    @override
    async def stop_master(self, epoch: Epoch) -> None:
        async with told(), self._node:
            self.check(epoch)
            await self._stand_down()
            LOG.info("master daemons stopped", epoch=epoch)

    @override
    async def start_master(self, epoch: Epoch, voters: tuple[NodeUuid, ...] | None) -> None:
        async with told(), self._node:
            if epoch != self._allegiance.promised:
                raise StaleEpoch(epoch, self._allegiance.promised)
            if not self._held and epoch != self._allegiance.reign:
                # The files may be those of daemons of an earlier reign, which have not ended yet.
                await self._stand_down()
            async with self._locks["config"], self._locks["queue"]:
                for stream in STREAMS:
                    # Opening puts right what a crash has left between a snapshot and its log.
                    held = self._held.pop(stream, None)
                    if held is None:
                        held = await ReplicaFiles.open(self._env, stream, epoch)
                    await held.aclose()
                reign = Allegiance(epoch, epoch, voters)
                await write_allegiance(self._env.files, self._env.paths, reign)
                self._allegiance = reign
            await self._services.start()
            LOG.info("master daemons started", epoch=epoch)

    # --- a node that is no candidate any more ----------------------------------------------------

    async def retire(self) -> None:
        """Drop the replica if the node is told that it is no candidate, and knows nothing newer.

        A candidate that is being made hears of it by the log first: an older word about it can
        still be on its way then, and must not cost what the node has already confirmed.
        """
        candidates = await self._files.ssconf(CANDIDATES_KEY)
        if candidates is None or self._env.node in candidates.split() or await self._is_master():
            return
        heard = await self._files.position()
        async with told(), self._node, self._locks["config"], self._locks["queue"]:
            held = self._held.get("config")
            newest = newest_serial(held or await look(self._env, "config", self._promised))
            if newest is None or newest > (heard.epoch, heard.serial):
                return
            for stream in STREAMS:
                files = self._held.pop(stream, None)
                if files is not None:
                    await files.aclose()
                await remove_replica(self._env, stream)
            await self._env.files.remove(self._env.paths.data / CONFIG_MARK)
            self._access.replicated = {}
        LOG.info("no candidate any more: the replica is dropped", serial=heard.serial)

    @property
    def _promised(self) -> Epoch:
        return self._allegiance.promised

    # --- snapshots -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Bring marks and snapshots up to date behind the logs, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._marks.run)
            await self._keep_folding()

    async def _keep_folding(self) -> None:
        pause = BEHIND_SECONDS
        while True:
            await self._news.wait()
            await trio.sleep(pause)
            self._news = trio.Event()
            began = trio.current_time()
            for stream in STREAMS:
                try:
                    await self._fold(stream)
                except (OSError, GantryError, ValueError) as error:
                    LOG.error("snapshot not rewritten", stream=stream, reason=str(error))
            pause = max(BEHIND_SECONDS, DURATIONS_BETWEEN * (trio.current_time() - began))

    async def _fold(self, stream: Stream) -> None:
        held = self._held.get(stream)
        if held is None or (stream == "queue" and held.log_bytes < QUEUE_LOG_BYTES):
            return
        await held.fold()
        async with self._locks[stream]:
            if self._held.get(stream) is held:
                await held.shorten()
