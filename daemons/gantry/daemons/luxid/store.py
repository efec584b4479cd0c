"""The queue made durable: decisions go to the journal first, then to the world.

Two queues are held: ``head`` has every record that was decided, on which the next decision is
made; ``committed`` has those that are on the disk, and is all that clients see. Since a queue is
a persistent value, the second one costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import define, field, frozen

from gantry.core.queue.ages import Ages
from gantry.core.queue.ended import ended_on_nodes
from gantry.core.queue.fold import replay, replay_archiving
from gantry.core.queue.happenings import Answer, Effect, Happening, Rules, Step, Tick
from gantry.core.queue.machine import step
from gantry.core.queue.snapshot import restore, take
from gantry.core.queue.state import Queue
from gantry.core.queue.transitions import moment
from gantry.core.replication.leader import VoterChange
from gantry.operations.registry import is_available
from gantry.protocols.codec import dump, from_bytes, load, to_bytes
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.errors import GenericError, NoLease
from gantry.protocols.identity import Epoch, JobId, NodeUuid
from gantry.protocols.job_archive import ArchivedJob
from gantry.protocols.jobs import Timestamp
from gantry.protocols.queue_records import (
    JobsSubmitted,
    QueueRecord,
    QueueSnapshot,
    ReignBegun,
    StoredQueue,
    dump_record,
    load_record,
)
from gantry.protocols.records import ORIGIN, Position, Record
from gantry.protocols.replication import Snapshot as ReplicaSnapshot
from gantry.runtime.allegiance import read_allegiance
from gantry.runtime.daemon import EXIT_NOT_MASTER, StartRefused
from gantry.runtime.environment import Environment
from gantry.runtime.gate import Gate
from gantry.runtime.journal import AppendFailed, Durable, Failed, Journal
from gantry.runtime.logs import Log
from gantry.runtime.replicated_log import AskVoter, ReplicatedLog, begin_leading

COMPACT_BYTES: Final = 4 * 1024 * 1024
"""A journal this long is replaced by a snapshot, if it is also longer than the last one was."""

RETRY_SECONDS: Final = 2.0
"""When scheduling is tried again after the journal could not be written."""

LEASE_PATIENCE_SECONDS: Final = 10.0
"""A lease that is not there after this time may not come back soon: the client is told."""

NO_SLOTS: Final = Rules(running_max=0, available=is_available)
"""As long as the configuration is not known, nothing begins."""

LOG: Final = Log("luxid.queue")


@define
class Changes:
    """Lets tasks wait until something about a job was committed, without polling."""

    _events: dict[JobId, trio.Event] = field(factory=dict, init=False)

    async def wait(self, job: JobId) -> None:
        """Wait for the next commit that touches a job."""
        await self._events.setdefault(job, trio.Event()).wait()

    def announce(self, jobs: Iterable[JobId]) -> None:
        """Wake whoever waits for one of these jobs."""
        for job in jobs:
            if job in self._events:
                self._events.pop(job).set()


def touched(record: QueueRecord) -> tuple[JobId, ...]:
    """Return the jobs that a record changes."""
    if isinstance(record, JobsSubmitted):
        return tuple(new.id for new in record.jobs)
    job: JobId | None = getattr(record, "job", None)
    return () if job is None else (job,)


@frozen
class _Decision:
    """What waits for the journal."""

    queue: Queue
    records: tuple[QueueRecord, ...]
    effects: tuple[Effect, ...]
    answer: Answer
    done: trio.Event = field(factory=trio.Event)
    failures: list[str] = field(factory=list)


def _ignore(_: object) -> None:
    """Stand in for a listener that is not there yet."""


async def _nothing() -> None:
    await trio.lowlevel.checkpoint()


@define
class QueueStore:
    """The one writer of the queue. Made by :meth:`open`; :meth:`run` must run while it is used."""

    env: Environment
    journal: Journal
    head: Queue
    committed: Queue
    recent: frozenset[JobId]
    """The jobs that changed since the snapshot: their derived files may be out of date."""
    changes: Changes = field(factory=Changes, init=False)
    rules: Rules = field(default=NO_SLOTS, init=False)
    act: Callable[[Effect], None] = field(default=_ignore, init=False)
    """Called with each effect of what has been committed; must not wait."""
    written: Callable[[tuple[QueueRecord, ...]], None] = field(default=_ignore, init=False)
    """Called with the records that have been committed; must not wait."""
    before_snapshot: Callable[[], Awaitable[None]] = field(default=_nothing, init=False)
    """Awaited before older records are forgotten."""
    log: ReplicatedLog | None = field(default=None, init=False)
    """Decides what counts; without one, what is flushed here does."""
    archived: tuple[ArchivedJob, ...] = field(default=(), init=False)
    """The jobs that the records found at the start have archived."""
    ended: Mapping[NodeUuid, Iterable[JobId]] = field(factory=dict, init=False)
    """The jobs that have ended by the records found at the start, by the nodes they acted on."""
    _found: tuple[Record, ...] = field(default=(), init=False)
    """The records that the journal held at the start."""
    _stored: StoredQueue | None = field(default=None, init=False)
    """The snapshot as it was at the start, until the queue is replicated."""
    _ages: Ages = field(factory=Ages, init=False)
    _recovering: Queue | None = field(default=None, init=False)
    """With the records found at the start, until the voters have confirmed them."""
    shown: Gate = field(factory=Gate, init=False)
    """Open once what the journal held at the start counts, and is in :attr:`committed`."""
    _position: Position = field(default=ORIGIN, init=False)
    _epoch: Epoch = field(default=FIRST_EPOCH, init=False)
    """Of the last record that counts."""
    _in_flight: list[_Decision] = field(factory=list, init=False)
    _snapshot_bytes: int = field(default=0, init=False)
    _lease_lost: trio.Event = field(factory=trio.Event, init=False)
    _long: trio.Event = field(factory=trio.Event, init=False)
    _broken: trio.Event = field(factory=trio.Event, init=False)

    @classmethod
    async def open(
        cls, env: Environment, found: Callable[[], Awaitable[QueueSnapshot]]
    ) -> QueueStore:
        """Open the queue; ``found`` gives the one to begin with where there was none.

        Raises:
            gantry.protocols.records.CorruptRecord: the journal is damaged.
            gantry.runtime.journal.JournalGap: it does not continue the snapshot.
            gantry.protocols.codec.Malformed: a record or the snapshot is of an unknown form.
        """
        files, path = env.files, snapshot_path(env)
        allegiance = await read_allegiance(files, env.paths)
        if not allegiance.may_lead:
            raise StartRefused(
                f"{env.node} follows another master, in epoch {allegiance.promised}; "
                "LuxiD runs on the master only, see gnt-cluster getmaster",
                EXIT_NOT_MASTER,
            )
        if not await files.exists(path):
            first = StoredQueue(ORIGIN, await found())
            await files.write(path, to_bytes(dump(first)))
        stored = load(StoredQueue, from_bytes(await files.read(path)))
        journal, records = await Journal.open(
            files, journal_path(env), allegiance.reign, stored.position
        )
        loaded = [load_record(record.payload) for record in records]
        queue, archived = replay_archiving(loaded, restore(stored.queue))
        recent = frozenset(job for record in loaded for job in touched(record))
        store = cls(env, journal, queue, queue, recent)
        store._position = journal.end
        store.shown.open()
        store._epoch = records[-1].epoch if records else stored.epoch
        store._found, store._stored = records, stored
        store.archived = archived
        store.ended = ended_on_nodes(loaded)
        return store

    # --- replication -----------------------------------------------------------------------------

    def replicate(
        self,
        me: NodeUuid,
        voters: frozenset[NodeUuid],
        ask: AskVoter,
        change: VoterChange | None = None,
    ) -> ReplicatedLog:
        """Let the voters decide what counts, from now on and of what the journal held.

        To be called before the store is used.

        Args:
            me: this node.
            voters: the newest set.
            ask: the way to them.
            change: how the set came about, if it may not count yet.
        """
        stored, self._stored = self._stored, None
        if stored is None:
            raise AssertionError("the queue is replicated already")
        epoch, base = self.journal.epoch, stored.end
        leader = begin_leading(me, epoch, voters, base, self._found, change)
        log = self.log = ReplicatedLog(
            self.env, "queue", self.journal, leader, ask, self._replica_snapshot
        )
        log.lease_lost = self._lose_lease
        if self._found and not log.is_alone:
            self.committed, self._recovering = restore(stored.queue), self.head
            self.shown.close()
            self._position, self._epoch = stored.position, stored.epoch
            log.recover(self._found[-1].index, lambda _: self._recovered())
        return log

    def _recovered(self) -> None:
        """Show what the journal held at the start: a majority has it."""
        queue, self._recovering = self._recovering, None
        if queue is None:
            return
        self.shown.open()
        self.committed = queue
        self._position, self._epoch = self._found[-1].position, self._found[-1].epoch
        records = tuple(load_record(record.payload) for record in self._found)
        self.written(records)
        self.changes.announce(job for record in records for job in touched(record))
        LOG.info("what the journal held counts", index=self._position.index)

    @property
    def is_new_reign(self) -> bool:
        """Whether the journal has no record of this epoch, which began by a promotion."""
        last = self._found[-1].epoch if self._found else self._epoch
        return self.log is not None and self.journal.epoch > last

    async def begin_reign(self) -> None:
        """Commit the first record of a new epoch; returns when a majority has it.

        Raises:
            GenericError: it could not be written here.
        """
        record = ReignBegun()
        decision = _Decision(replay([record], self.head), (record,), (), None)
        self.head = decision.queue
        self._submit(decision)
        await decision.done.wait()
        if decision.failures:
            raise GenericError(f"the job queue can not be written: {decision.failures[0]}")

    async def _replica_snapshot(self) -> ReplicaSnapshot:
        stored = StoredQueue(self._position, take(self.committed), self._epoch)
        data = await self.env.offload(lambda: dump(stored))
        return ReplicaSnapshot(stored.end, data)

    @property
    def has_lease(self) -> bool:
        """Whether anything that is decided now will be acknowledged."""
        return self.log is None or self.log.has_lease

    async def until_leased(self, *, held: bool) -> None:
        """Wait until the lease is there, or lost; a master without voters never loses it."""
        if self.log is None:
            await trio.sleep(0 if held else math.inf)
        elif held:
            await self.log.leased(math.inf)
        else:
            while self.log.has_lease:
                await self._lease_lost.wait()

    def now(self) -> Timestamp:
        """Return the present time in the form of job files."""
        return moment(self.env.clock.now())

    def old_through(self) -> JobId:
        """Return the last of the jobs that no submission of now repeats."""
        return self._ages.look(trio.current_time(), self.head.serial)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is decided, until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.journal.run)
            if self.log is not None:
                await nursery.start(self.log.run)
            nursery.start_soon(self._keep_short)
            nursery.start_soon(self._try_again)
            task_status.started()

    async def do(self, *events: Happening, patient: bool = False) -> Answer:
        """Decide about events, together, and wait until the decision counts.

        Args:
            events: what has happened, or is wanted; the answer is to the last one.
            patient: wait as long as it takes for a majority of the voters, and do not give up.

        Raises:
            GenericError: nothing was changed; or, if the lease was lost meanwhile, the decision
                may still come to count, and the text says so.
        """
        patience = math.inf if patient else LEASE_PATIENCE_SECONDS
        if self.log is not None and not await self.log.leased(patience):
            raise GenericError(NoLease().sentence())
        decision = self._decide(*events)
        while not decision.done.is_set():
            lost = self._lease_lost
            await self._done_or(decision, lost)
            if lost.is_set() and not decision.done.is_set() and not patient:
                raise GenericError(f"{NoLease().sentence()}; this may still be done")
        if decision.failures:
            raise GenericError(f"the job queue can not be written: {decision.failures[0]}")
        return decision.answer

    async def _done_or(self, decision: _Decision, lost: trio.Event) -> None:
        """Wait until a decision counts, or the lease is lost."""
        if self.log is None or self.log.is_alone:
            await decision.done.wait()
            return
        async with trio.open_nursery() as nursery:

            async def wait_for(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait_for, decision.done)
            nursery.start_soon(wait_for, lost)

    def _lose_lease(self) -> None:
        self._lease_lost.set()
        self._lease_lost = trio.Event()

    def follow(self, rules: Rules) -> None:
        """Take over new limits; more jobs may begin now."""
        self.rules = rules
        self._decide(Tick(self.now()))

    def _decide(self, *events: Happening) -> _Decision:
        queue, answer, steps = self.head, None, list[Step]()
        for event in events:
            steps.append(step(queue, event, self.rules))
            queue, answer = steps[-1].queue, steps[-1].answer
        if _may_schedule(self.head, queue):
            steps.append(step(queue, Tick(self.now()), self.rules))
        decision = _Decision(
            steps[-1].queue,
            tuple(record for each in steps for record in each.records),
            tuple(effect for each in steps for effect in each.effects),
            answer,
        )
        self.head = decision.queue
        # What the journal held at the start may have decided it: until that counts, this does not.
        if decision.records or self._in_flight or self._recovering is not None:
            self._submit(decision)
        else:
            self._finish(decision)
        return decision

    def _submit(self, decision: _Decision) -> None:
        self._in_flight.append(decision)
        payloads = [dump_record(record) for record in decision.records]
        settle = partial(self._settle, decision)
        if self.log is None:
            self.journal.submit(payloads, settle)
        else:
            self.log.submit(payloads, settle)

    def _settle(self, decision: _Decision, outcome: Durable | Failed) -> None:
        """Go on after the journal has written, or failed; called in the order of decisions."""
        self._in_flight.remove(decision)
        match outcome:
            case Durable(records):
                self.committed = decision.queue
                if records:
                    self._position = records[-1].position
                    self._epoch = records[-1].epoch
                self._finish(decision)
                self._watch_length()
            case Failed(reason):
                # Whatever was decided since fails with it; what is written may come to count.
                last = self._recovering or self.committed
                self.head = self._in_flight[-1].queue if self._in_flight else last
                decision.failures.append(reason)
                decision.done.set()
                self._broken.set()

    def _finish(self, decision: _Decision) -> None:
        self.written(decision.records)
        self.changes.announce(job for record in decision.records for job in touched(record))
        for effect in decision.effects:
            self.act(effect)
        decision.done.set()

    async def _try_again(self) -> None:
        """Schedule again some time after a failure: the jobs that should begin still wait."""
        while True:
            await self._broken.wait()
            await trio.sleep(RETRY_SECONDS)
            self._broken = trio.Event()
            self._decide(Tick(self.now()))

    # --- the snapshot ----------------------------------------------------------------------------

    def _watch_length(self) -> None:
        if self.journal.figures.file_bytes > max(COMPACT_BYTES, self._snapshot_bytes):
            self._long.set()

    async def _keep_short(self) -> None:
        while True:
            await self._long.wait()
            try:
                await self.take_snapshot()
            except (OSError, AppendFailed) as error:
                LOG.error("no snapshot", reason=str(error))
                await trio.sleep(RETRY_SECONDS)
            self._long = trio.Event()
            self._watch_length()

    async def take_snapshot(self) -> None:
        """Store the queue as it is and forget the records that made it.

        Raises:
            OSError: the snapshot could not be written.
            AppendFailed: the journal could not be cut short.
        """
        await self.before_snapshot()
        position, queue, epoch = self._position, self.committed, self._epoch
        data = await self.env.offload(
            lambda: to_bytes(dump(StoredQueue(position, take(queue), epoch)))
        )
        await self.env.files.write(snapshot_path(self.env), data)
        await self.journal.start_over(position.index)
        self._snapshot_bytes = len(data)


def snapshot_path(env: Environment) -> Path:
    """Return where the queue's snapshot is kept."""
    return env.paths.data / "queue.snapshot"


def journal_path(env: Environment) -> Path:
    """Return where the queue's journal is kept."""
    return env.paths.data / "queue.journal"


def _may_schedule(before: Queue, after: Queue) -> bool:
    """Whether something that scheduling looks at has changed; indexes that did not are the same."""
    return bool(after.ready or after.released) and (
        before.paused != after.paused
        or before.active is not after.active
        or before.ready is not after.ready
        or before.released is not after.released
    )
