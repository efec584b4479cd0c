"""The configuration made durable: changes go to the journal first, then to the world.

Two states are held: ``head`` has every change that was decided, and the next change is checked
against it; ``durable`` has those that are on the disk, and is all that anybody sees. Since a
state is a persistent value, the second one costs nothing.
"""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress
from typing import Final

import trio
from attrs import define, evolve, field

from gantry.core.config.reign import first_record
from gantry.core.config.reservations import Reservations
from gantry.core.config.state import State
from gantry.core.config.transaction import (
    Transacted,
    delta_of,
    forget,
    replay,
    to_file,
    transact,
)
from gantry.core.config.voter_history import last_change
from gantry.core.replication.leader import VoterChange
from gantry.core.replication.quorum import voters_of
from gantry.daemons.wconfd.config_saver import ConfigSaver, Saved, read_saved
from gantry.daemons.wconfd.delta_buffer import DeltaBuffer
from gantry.daemons.wconfd.voter_changes import QUEUE_ALONE, VoterChanges, new_voters
from gantry.protocols.changes import Change
from gantry.protocols.codec import Malformed
from gantry.protocols.config_records import dump_record, load_record
from gantry.protocols.errors import ConnectionLost, NoLease
from gantry.protocols.identity import JobId, Key, NodeUuid, Ticket
from gantry.protocols.objects.node import Node
from gantry.protocols.records import Index, Position, Record
from gantry.protocols.replication import LogEnd
from gantry.protocols.replication import Snapshot as ReplicaSnapshot
from gantry.protocols.wconfd import (
    Committed,
    Deltas,
    Invariant,
    NeverSeen,
    NotDurable,
    Refused,
    Snapshot,
)
from gantry.runtime.allegiance import Allegiance, read_allegiance
from gantry.runtime.commit_mark import CONFIG_MARK, MarkKeeper, counted, read_mark
from gantry.runtime.daemon import EXIT_NOT_MASTER, StartRefused
from gantry.runtime.environment import Environment
from gantry.runtime.journal import Durable, Failed, Journal
from gantry.runtime.logs import Log
from gantry.runtime.replicated_log import AskVoter, ReplicatedLog, begin_leading, solo_noted

JOURNAL: Final = "config.log"

OVER_MAX: Final = 500
"""So many jobs' ends are told in one record at most; more wait for the next."""

LEASE_PATIENCE_SECONDS: Final = 10.0
"""A lease that is not there after this time may not come back soon: the caller is told."""

CONFIRMATION_SECONDS: Final = 2.0
"""How long a start waits for a majority to confirm the epoch: an old master ends here. Without
one WConfD serves reads, and goes on asking."""

AGAIN_SECONDS: Final = 1.0
"""After this time a reign that could not begin yet is looked at again."""

LOG: Final = Log("wconfd.config")


@define
class _InFlight:
    """A change whose record is being written."""

    made: Transacted
    settled: trio.Event = field(factory=trio.Event, init=False)
    """Set when the outcome is known, or when nothing can be said about it for some time."""
    failure: str | None = field(default=None, init=False)
    counts: bool = field(default=False, init=False)


@define
class ConfigStore:
    """The configuration and its two files. Made by :meth:`open`."""

    _env: Environment
    journal: Journal
    """Its :meth:`~gantry.runtime.journal.Journal.run` must run while the store is used."""
    durable: State
    """What everybody sees."""
    head: State
    """With the changes that are being written."""
    _position: Position
    """The end of the records that are in ``durable``."""
    saver: ConfigSaver
    """Keeps ``config.data``; its ``keep_saving`` must run for that."""
    deltas: DeltaBuffer
    marks: MarkKeeper
    """Tells readers of the files what counts; its ``run`` must run for that."""
    _in_flight: dict[Index, _InFlight] = field(factory=dict, init=False)
    log: ReplicatedLog | None = field(default=None, init=False)
    """Decides what counts; without one, what is flushed here does."""
    voter_changes: VoterChanges = field(factory=VoterChanges, init=False)
    _allegiance: Allegiance = field(factory=Allegiance, init=False)
    _recovering: State | None = field(default=None, init=False)
    """With the records found at the start, until the voters have confirmed them."""
    _over: set[JobId] = field(factory=set, init=False)
    """The jobs whose keys are forgotten here, and no record has told it yet."""
    _found: tuple[Record, ...] = field(default=(), init=False)
    """The records that the journal held at the start."""
    _counted: Index = field(default=Index(0), init=False)
    """Up to which of them was known to count, before this start."""

    @classmethod
    async def open(cls, env: Environment) -> ConfigStore:
        """Read the snapshot and the journal.

        Raises:
            StartRefused: there is no cluster on this node, its configuration is unreadable, or
                another node is the master.
            gantry.protocols.records.CorruptRecord: the journal is damaged.
            gantry.runtime.journal.JournalGap: the journal does not continue the snapshot.
        """
        allegiance = await read_allegiance(env.files, env.paths)
        if not allegiance.may_lead:
            raise StartRefused(
                f"{env.node} follows another master, in epoch {allegiance.promised}; "
                "WConfD runs on the master only, see gnt-cluster getmaster",
                EXIT_NOT_MASTER,
            )
        saved = await read_saved(env)
        state, position = saved.state, saved.position
        first = not await env.files.exists(env.paths.data / JOURNAL)
        if first and allegiance.reign <= state.epoch:
            _require_master(env, state)
        journal, records = await Journal.open(
            env.files, env.paths.data / JOURNAL, state.epoch, position
        )
        deltas = _delta_buffer(position, state)
        for record in records:
            state = _replayed(state, record)
            deltas.add(delta_of(record.index, load_record(record.payload)))
        if allegiance.reign <= state.epoch:
            _require_master(env, state)
        if records:
            LOG.info("journal replayed", records=len(records), index=state.index)
        journal.epoch = max(state.epoch, allegiance.reign)
        marks = MarkKeeper.of(env, CONFIG_MARK)
        saver = ConfigSaver(env, journal, saved, lambda: Saved(store.durable, store._position))
        store = cls(env, journal, state, state, journal.end, saver, deltas, marks)
        store._found, store._allegiance = records, allegiance
        store._counted = counted(await read_mark(env.files, env.paths.data / CONFIG_MARK), records)
        if records:
            saver.save_soon()
        return store

    # --- changes ---------------------------------------------------------------------------------

    async def commit(
        self, ticket: Ticket, change: Change, reservations: Reservations
    ) -> Committed | Refused:
        """Make a change and wait until it is durable; cancellation ends only the waiting.

        Raises:
            StaleEpoch, StaleAttempt, NoLease, KeyConflict: see
                :func:`gantry.core.config.transaction.transact`.
            NotDurable: it could not be written, and counts for nothing.
        """
        found = await self._begin(ticket, change, reservations)
        if isinstance(found, Refused):
            return found
        index, flight = found
        if flight is not None:
            await flight.settled.wait()
            if flight.failure is not None:
                raise NotDurable(flight.failure)
            if not flight.counts:
                raise NoLease
        elif index > self.durable.index:  # found on the disk, and not confirmed yet
            raise NoLease
        return Committed(index)

    async def _begin(
        self, ticket: Ticket, change: Change, reservations: Reservations
    ) -> Refused | tuple[Index, _InFlight | None]:
        """Make a change, or find it made; the record may still be on its way."""
        cleared = False
        while True:
            made = transact(self.head, reservations, ticket, change, self._env.clock.now())
            if isinstance(made, Refused):
                return made
            if isinstance(made, Committed):
                return made.index, self._in_flight.get(made.index)
            log, voters = self.log, new_voters(self.head, made)
            if isinstance(voters, Refused):
                return voters
            if log is not None and not log.has_lease:
                if not await log.leased(LEASE_PATIENCE_SECONDS):
                    raise NoLease
            elif (
                log is not None and voters and not (cleared and self.voter_changes.may_change(log))
            ):
                refused = await self._unready(log, voters)
                if refused is not None and log.has_lease:
                    return refused
                cleared = refused is None
            else:
                return made.state.index, self._submit(made, voters)

    async def _unready(self, log: ReplicatedLog, voters: frozenset[NodeUuid]) -> Refused | None:
        """Wait until the voters may change to these, or say why they may not."""
        refused = await self.voter_changes.settled(log)
        if refused is None and voters > log.leader.voters and not await self._queue_is_shared():
            return QUEUE_ALONE
        return refused

    async def _queue_is_shared(self) -> bool:
        """Whether the master has not gone on alone with the queue.

        LuxiD stores that first and then looks whether a voter was added; here it is looked after
        the voter's record is stored. So one of the two sees the other.
        """
        return not await solo_noted(self._env, "queue")

    def _submit(self, made: Transacted, voters: frozenset[NodeUuid] | None = None) -> _InFlight:
        index = made.state.index
        over = tuple(sorted(self._over)[:OVER_MAX])
        made = evolve(made, record=evolve(made.record, over=over))
        flight = self._in_flight[index] = _InFlight(made)
        self.head = made.state

        def settled(outcome: Durable | Failed) -> None:
            del self._in_flight[index]
            match outcome:
                case Durable(records):
                    # The last one's state is head's, less what was forgotten meanwhile.
                    self.durable = flight.made.state if self._in_flight else self.head
                    self._position = records[-1].position
                    self.mark()
                    self._over.difference_update(over)
                    self.deltas.add(flight.made.delta)
                    self.saver.save_soon()
                    flight.counts = True
                case Failed(reason):
                    # What was written before, and does not count yet, may still come to count.
                    last = max(self._in_flight, default=None)
                    before = None if last is None else self._in_flight[last].made.state
                    self.head = before or self._written
                    flight.failure = reason
            flight.settled.set()

        payloads = [dump_record(made.record)]
        if self.log is None:
            self.journal.submit(payloads, settled)
        else:
            self.log.submit(payloads, settled, voters)
        return flight

    @property
    def _written(self) -> State:
        """The newest state whose records are all on the disk, if none is in flight."""
        return self.durable if self._recovering is None else self._recovering

    # --- replication -----------------------------------------------------------------------------

    @property
    def confirmed(self) -> bool:
        """Whether it is known that what the journal held at the start counts."""
        return self._recovering is None

    def replicate(self, ask: AskVoter) -> ReplicatedLog:
        """Let the voters decide what counts, from now on and of what the journal held.

        To be called before the store is used; the log's ``run`` must run while it is.

        Raises:
            StartRefused: this node is not in the configuration.
        """
        saved, head = self.saver.saved, self.head
        voters = self._forced_voters() or voters_of(head.configuration)
        me = next((n.uuid for n in head.configuration.nodes.values() if self._is_here(n)), None)
        if me is None:
            raise StartRefused(f"{self._env.node} is no node of the cluster", EXIT_NOT_MASTER)
        base = LogEnd(saved.state.epoch, saved.position.index, saved.position.checksum)
        voters |= {me}
        change = self._change_found()
        leader = begin_leading(me, self.journal.epoch, voters, base, self._found, change)
        log = self.log = ReplicatedLog(
            self._env, "config", self.journal, leader, ask, self._replica_snapshot
        )
        log.lease_lost, log.set_changed = self._give_up, self.voter_changes.wake
        log.may_add_voter = self._queue_is_shared
        if self._found and not log.is_alone:
            self.durable, self._position = saved.state, saved.position
            self._recovering, deltas = head, self.deltas
            self.deltas = _delta_buffer(saved.position, saved.state)
            log.recover(head.index, lambda _: self._recovered(deltas))
        return log

    def voter(self, uuid: NodeUuid) -> Node:
        """Return a node that votes: one that is being added, or whose removal does not count yet.

        Raises:
            ConnectionLost: it is a node no more.
        """
        for state in (self.head, self.durable):
            node = state.configuration.nodes.get(uuid)
            if node is not None:
                return node
        raise ConnectionLost(f"there is no node {uuid} any more")

    def alone(self) -> tuple[Invariant, ...]:
        """Say, as a broken rule, that the only other voter lacks something."""
        since = None if self.log is None else self.log.alone_since
        if since is None:
            return ()
        text = f"the other master candidate lacks what follows record {since - 1}"
        name = self.durable.configuration.cluster.cluster_name
        return (Invariant("a master does not go on alone", "cluster", name, text),)

    def _forced_voters(self) -> frozenset[NodeUuid] | None:
        """Return who votes in a reign that is about to begin without a majority."""
        forced = self._allegiance.voters
        if forced is None or self._allegiance.reign <= self.head.epoch:
            return None
        return frozenset(forced)

    def _change_found(self) -> VoterChange | None:
        """Return the change of the voters that the journal holds, and that may not count yet."""
        if self._forced_voters() is not None:  # those who were asked before are asked no more
            return None
        found = last_change(self.saver.saved.state.configuration, self._found, self._counted)
        return None if found is None else VoterChange(found.index, found.old)

    def _is_here(self, node: Node) -> bool:
        return node.name == self._env.node

    def _recovered(self, deltas: DeltaBuffer) -> None:
        """Show what the journal held at the start: a majority has it."""
        state, self._recovering = self._recovering, None
        if state is None:
            return
        self.durable = state if self._in_flight else self.head
        last = self._found[-1]
        self._position = last.position
        self.deltas.take_over(deltas)  # somebody may wait for them already
        self.saver.save_soon()
        self.mark()
        LOG.info("what the journal held counts", index=last.index)

    def _give_up(self) -> None:
        """Tell those who wait that nothing can be said for some time."""
        for flight in self._in_flight.values():
            flight.settled.set()

    def mark(self) -> None:
        """Tell readers of the files what counts now."""
        position = self._position
        self.marks.set(LogEnd(self.durable.epoch, position.index, position.checksum))

    async def begin_reign(self) -> NodeUuid | None:
        """Commit the first record of a new epoch, which names this node as the master.

        Returns:
            This node, when a majority has the record and ``config.data`` holds it; ``None`` if
            this node's reign has begun before, when a majority has confirmed it, or might have.
        """
        epoch, log = self.journal.epoch, self.log
        if log is None:
            return None
        if epoch <= self.head.epoch:
            await log.confirmed(CONFIRMATION_SECONDS)
            return None
        record = first_record(
            self.head.configuration,
            log.leader.me,
            epoch,
            self._forced_voters(),
            self._env.clock.now(),
        )
        flight = self._submit(Transacted(replay(self.head, epoch, record), record))
        while not flight.counts:
            await flight.settled.wait()
            if flight.failure is not None:
                raise NotDurable(flight.failure)
            if not flight.counts:  # no lease: it is open until the voters answer
                await trio.sleep(AGAIN_SECONDS)
        LOG.info("reign begun", epoch=epoch, index=self.durable.index)
        with suppress(NotDurable):  # then it is tried again in the background
            await self.saver.save()
        return log.leader.me

    async def _replica_snapshot(self) -> ReplicaSnapshot:
        state, position = self.durable, self._position
        end = LogEnd(state.epoch, position.index, position.checksum)
        return ReplicaSnapshot(end, await self.saver.file.value(to_file(state, position)))

    async def outcome(self, key: Key) -> Committed | NeverSeen:
        """Say whether a change with a key counts; waits for one that is being written."""
        keys = self.head.jobs.get(key.job)
        answer = None if keys is None else keys.answers.get(key)
        if answer is None:
            return NeverSeen()
        flight = self._in_flight.get(answer.index)
        if flight is not None:
            await flight.settled.wait()
            if flight.failure is not None:
                return NeverSeen()
            if not flight.counts:
                raise NoLease
        elif answer.index > self.durable.index:  # found on the disk, and not confirmed yet
            raise NoLease
        return Committed(answer.index)

    def forget(self, job: JobId) -> None:
        """Forget the keys of a job that is over.

        The next record tells the replicas; after a restart LuxiD names the jobs that are not over.
        """
        if job in self.head.jobs:
            self._over.add(job)
        self.head, self.durable = forget(self.head, job), forget(self.durable, job)

    def forget_all_but(self, living: Container[JobId]) -> None:
        """Forget the keys of all jobs that are over."""
        for job in [job for job in self.head.jobs if job not in living]:
            self.forget(job)

    # --- what subscribers see --------------------------------------------------------------------

    async def snapshot(self) -> Snapshot:
        """Return the whole configuration, most of it rendered: a subscriber holds nobody up."""
        state = self.durable
        value = await self.saver.file.value(state.configuration)
        return Snapshot(state.index, state.epoch, value)

    async def changes(self, since: Index) -> Deltas | Snapshot:
        """Wait for changes; see :meth:`gantry.protocols.wconfd.WConfD.deltas`."""
        later = await self.deltas.after(since)
        return await self.snapshot() if later is None else Deltas(later)


def _delta_buffer(position: Position, state: State) -> DeltaBuffer:
    configuration = state.configuration
    return DeltaBuffer.of(position.index, len(configuration.instances) + len(configuration.disks))


def _replayed(state: State, record: Record) -> State:
    try:
        return replay(state, record.epoch, load_record(record.payload))
    except Malformed as error:
        raise StartRefused(
            f"record {record.index} of {JOURNAL} is not understood: {error}; "
            "it was written by a newer version, or is damaged"
        ) from error


def _require_master(env: Environment, state: State) -> None:
    configuration = state.configuration
    master = configuration.nodes.get(configuration.cluster.master_node)
    if master is None or master.name != env.node:
        name = "no node" if master is None else master.name
        raise StartRefused(
            f"this node, {env.node}, is not the master: {name} is; WConfD runs on the master only",
            EXIT_NOT_MASTER,
        )
