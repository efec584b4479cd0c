"""A journal whose records count when the voters' policy says so: the leader's side of a stream.

The decisions are :mod:`gantry.core.replication.leader`'s; here are the journal, the clock and the
messages. With one voter a record counts in the very moment in which it is flushed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import define, evolve, field, frozen
from typing_extensions import override

from gantry.core.replication import leader as leading
from gantry.core.replication.leader import Leader, VoterChange
from gantry.protocols.codec import Json, Malformed, dump, from_bytes, load, to_bytes
from gantry.protocols.errors import ConnectionLost, GantryError, ServiceError, StaleEpoch
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.records import Index, Record
from gantry.protocols.replication import (
    AppendAnswer,
    LogEnd,
    Monotonic,
    Replicas,
    Snapshot,
    Stream,
)
from gantry.runtime.allegiance import read_allegiance
from gantry.runtime.environment import Environment
from gantry.runtime.journal import Durable, Failed, Journal, Settled
from gantry.runtime.logs import Log

TICK_SECONDS: Final = 0.5
LEASE_GAP_SECONDS_MAX: Final = 3.0
"""Those who wait are told only of a lease that is away for longer: a voter that is new has not
answered anything yet, and will in a moment."""

MESSAGE_SECONDS_MAX: Final = 5.0
"""A voter that takes longer is tried again."""

SNAPSHOT_SECONDS_MAX: Final = 60.0

SOLO_AGAIN_SECONDS: Final = 5.0
"""A master that may not go on alone looks again after this time."""

LOG: Final = Log("replication")


@frozen
class Deposed(GantryError):
    """Another master reigns: this one must end at once."""

    epoch: Epoch
    newest: Epoch

    @override
    def __str__(self) -> str:
        return (
            f"epoch {self.epoch} is over, the cluster is in epoch {self.newest}: "
            "another node is the master now; see gnt-cluster getmaster"
        )


AskVoter = Callable[
    [NodeUuid, Callable[[Replicas], Awaitable[AppendAnswer]], float], Awaitable[AppendAnswer]
]
"""The way to the other voters: (voter, question, deadline in seconds) -> answer.

It raises what :meth:`gantry.runtime.node_links.NodeLinks.ask_at` does."""


@frozen
class SoloSince:
    """What ``solo-<stream>.json`` holds: since which record the master has gone on alone."""

    epoch: Epoch
    since: Index


@frozen
class _Pending:
    """What is flushed here and does not count yet."""

    through: Index
    records: tuple[Record, ...]
    settled: Settled


@frozen
class _Vote:
    """What is flushed here and was not counted as our own vote yet."""

    records: tuple[Record, ...]
    voters: frozenset[NodeUuid] | None


def _ignore() -> None:
    """Stand in for a listener that is not there."""


def _nobody(_: NodeUuid) -> None:
    """Stand in for a listener that is not there."""


async def _always() -> bool:
    """Stand in for a stream of which nobody else says who votes."""
    await trio.lowlevel.checkpoint()
    return True


@define
class ReplicatedLog:
    """One stream's log on the node that leads it; :meth:`run` must run while it is used."""

    _env: Environment
    stream: Stream
    journal: Journal
    """Its own :meth:`~gantry.runtime.journal.Journal.run` must run too, and for longer."""
    leader: Leader
    _ask: AskVoter
    _snapshot: Callable[[], Awaitable[Snapshot]]
    """Gives what is committed."""
    lease_lost: Callable[[], None] = field(default=_ignore, init=False)
    """Called when the lease has been away for some time, once each time; must not wait."""
    snapshot_taken: Callable[[NodeUuid], None] = field(default=_nobody, init=False)
    """Called when a voter has got a snapshot; must not wait."""
    may_go_alone: Callable[[], Awaitable[bool]] = field(default=_always, init=False)
    """Asked when it is stored that the master goes on alone, before anything is acknowledged."""
    may_add_voter: Callable[[], Awaitable[bool]] = field(default=_always, init=False)
    """Asked when a record that adds a voter is flushed here, or was found, before it may count."""
    _pending: deque[_Pending] = field(factory=deque, init=False)
    _votes: list[_Vote] = field(factory=list, init=False)
    _wake: trio.Event = field(factory=trio.Event, init=False)
    _nursery: trio.Nursery | None = field(default=None, init=False)
    set_changed: Callable[[], None] = field(default=_ignore, init=False)
    """Called when :attr:`settled_voters` has changed; must not wait."""
    _settled: frozenset[NodeUuid] | None = field(default=None, init=False)
    """The settled voters that were told of last."""
    _deposed: Deposed | None = field(default=None, init=False)
    _over: trio.Event = field(factory=trio.Event, init=False)
    _found_counts: bool = field(default=True, init=False)
    """Whether what was found on the disk at the start is known to count."""
    _lease_news: trio.Event = field(factory=trio.Event, init=False)
    _changing: int = field(default=0, init=False)
    """How many changes of the voters are submitted and not flushed yet."""
    _solo_asked: bool = field(default=False, init=False)
    _solo_news: trio.Event = field(factory=trio.Event, init=False)
    messages: int = field(default=0, init=False)
    """How many messages were sent to other voters, but for snapshots."""
    snapshots: int = field(default=0, init=False)

    @property
    def has_lease(self) -> bool:
        """Whether anything may be acknowledged now."""
        return self._deposed is None and trio.current_time() < self.leader.lease_until

    @property
    def is_alone(self) -> bool:
        """Whether nobody else votes."""
        return not self.leader.peers

    async def confirmed(self, patience_seconds: float) -> bool:
        """Wait until the voters have confirmed this reign and what the disk held at its start.

        Returns whether that is so; after ``patience_seconds`` it may not be.
        """
        with trio.move_on_after(patience_seconds):
            while not (self.has_lease and self._found_counts):
                await self._lease_news.wait()
        return self.has_lease and self._found_counts

    async def leased(self, patience_seconds: float) -> bool:
        """Wait for the lease for some time, and say whether it is there."""
        with trio.move_on_after(patience_seconds):
            while not self.has_lease:
                await self._lease_news.wait()
        return self.has_lease

    @property
    def settled_voters(self) -> frozenset[NodeUuid] | None:
        """The voters of whom a majority has the log, also what it held at the start.

        ``None`` while it is not known which set that is.
        """
        return None if self.leader.change is not None or self._changing else self.leader.voters

    @property
    def alone_since(self) -> Index | None:
        """Since which record the master goes on alone; ``None``: the other voter has everything."""
        return self.leader.lacking_since

    async def alone_otherwise(self, known: Index | None) -> Index | None:
        """Wait until :attr:`alone_since` is another than ``known``, and return it."""
        while self.alone_since == known:
            await self._solo_news.wait()
        return self.alone_since

    def submit(
        self,
        payloads: Sequence[Json],
        settled: Settled,
        voters: frozenset[NodeUuid] | None = None,
    ) -> tuple[Index, ...]:
        """Append records without waiting.

        Args:
            payloads: what they say.
            settled: called in order: ``Durable`` when they count, ``Failed`` if they could not be
                written here. Until then it is open whether they will ever count.
            voters: who votes from the last of these records on, if that changes.
        """
        self._changing += voters is not None
        self._tell_settled()
        return self.journal.submit(payloads, partial(self._flushed, settled, voters))

    def recover(self, through: Index, settled: Settled) -> None:
        """Have ``settled`` called when the records found on the disk at the start count."""
        if through <= self.leader.committed:
            settled(Durable(()))
            return

        def confirmed(outcome: Durable | Failed) -> None:
            self._found_counts = True
            settled(outcome)

        self._found_counts = False
        self._pending.append(_Pending(through, (), confirmed))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Replicate until cancelled.

        Raises:
            Deposed: another master reigns.
        """
        await self._recall_solo()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._vote)
                if self.leader.held is not None:
                    nursery.start_soon(self._release)
                nursery.start_soon(self._tick)
                self.step(leading.Tick())
                task_status.started()
                await self._over.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
        if self._deposed is not None:
            raise self._deposed

    def follow_voters(self, voters: frozenset[NodeUuid]) -> None:
        """Go on to a set of voters that was decided elsewhere and counts there.

        Nothing is done while a change is under way: to be called again when it is over.
        """
        if leading.follows(self.leader, voters):
            self.step(leading.SetVoters(voters, self.leader.end.index))

    def step(self, event: leading.Event) -> None:
        """Have the leader decide, and carry out what it wants."""
        alone, was_solo = self.alone_since, self.leader.solo_since is not None
        now = Monotonic(trio.current_time())
        self.leader, effects = leading.step(self.leader, event, now)
        if was_solo and self.leader.solo_since is None:
            self._solo_asked = False
        for effect in effects:
            self._carry_out(effect)
        if self.has_lease:
            self._lease_news.set()
            self._lease_news = trio.Event()
        self._tell_settled()
        if alone != self.alone_since:
            self._solo_news.set()
            self._solo_news = trio.Event()

    def _tell_settled(self) -> None:
        if self.settled_voters != self._settled:
            self._settled = self.settled_voters
            self.set_changed()

    def _carry_out(self, effect: leading.Effect) -> None:
        match effect:
            case leading.Commit(through):
                while self._pending and self._pending[0].through <= through:
                    pending = self._pending.popleft()
                    pending.settled(Durable(pending.records))
            case leading.Send():
                self._soon(partial(self._send, effect))
            case leading.SendSnapshot():
                self._soon(partial(self._send_snapshot, effect))
            case leading.GoSolo(since):
                if not self._solo_asked:
                    self._solo_asked = True
                    self._soon(partial(self._go_solo, since))
            case leading.EndSolo():
                self._solo_asked = False
                self._soon(self._end_solo)
            case leading.StandDown(newest):
                self._depose(newest)

    def _soon(self, work: Callable[[], Awaitable[object]]) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(work)

    def _depose(self, newest: Epoch) -> None:
        self._deposed = Deposed(self.leader.epoch, newest)
        self._over.set()

    # --- our own vote ----------------------------------------------------------------------------

    def _flushed(
        self,
        settled: Settled,
        voters: frozenset[NodeUuid] | None,
        outcome: Durable | Failed,
    ) -> None:
        if isinstance(outcome, Failed):
            settled(outcome)
            if voters is not None:
                self._changing -= 1
                self._tell_settled()
            return
        records = outcome.records
        self._pending.append(_Pending(self._through(records), records, settled))
        self._votes.append(_Vote(records, voters))
        if self.is_alone:
            self._count()
        else:
            self._wake.set()

    def _through(self, records: tuple[Record, ...]) -> Index:
        if records:
            return records[-1].index
        return self._pending[-1].through if self._pending else self.leader.committed

    async def _vote(self) -> None:
        """Count what is flushed here, unless somebody else was promised a newer epoch."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            votes, self._votes = self._votes, []
            if self._adds_voter(votes):
                await self._allowed()
            allegiance = await read_allegiance(self._env.files, self._env.paths)
            if allegiance.promised > self.leader.epoch:
                self._depose(allegiance.promised)
                return
            self._votes = votes + self._votes
            self._count(len(votes))

    async def _release(self) -> None:
        """Let the change count that was found at the start and adds a voter, when it may."""
        await self._allowed()
        self.step(leading.Released())

    async def _allowed(self) -> None:
        while not await self.may_add_voter():
            LOG.warning("a voter waits until another stream allows it", stream=self.stream)
            await trio.sleep(SOLO_AGAIN_SECONDS)

    def _adds_voter(self, votes: Sequence[_Vote]) -> bool:
        sets = [vote.voters for vote in votes if vote.voters is not None]
        return any(not voters <= self.leader.voters for voters in sets)

    def _count(self, number: int | None = None) -> None:
        votes, self._votes = self._votes[:number], self._votes[len(self._votes[:number]) :]
        for vote in votes:
            if vote.voters is not None and vote.records:
                self._changing -= 1
                self.step(leading.SetVoters(vote.voters, vote.records[-1].index))
        records = tuple(record for vote in votes for record in vote.records)
        self.step(leading.Flushed(records))
        while self._pending and self._pending[0].through <= self.leader.committed:
            pending = self._pending.popleft()  # it had no records of its own
            pending.settled(Durable(pending.records))

    # --- the other voters ------------------------------------------------------------------------

    async def _tick(self) -> None:
        leased_at, told = trio.current_time(), False
        while True:
            await trio.sleep(TICK_SECONDS)
            if not self.is_alone:
                self.step(leading.Tick())
            now = trio.current_time()
            if self.has_lease:
                leased_at, told = now, False
            elif not told and now - leased_at > LEASE_GAP_SECONDS_MAX:
                told = True
                LOG.warning("no lease: too few voters answer", stream=self.stream)
                self.lease_lost()

    async def _send(self, effect: leading.Send) -> None:
        epoch = self.leader.epoch
        self.messages += 1
        await self._converse(
            effect.voter,
            lambda replicas: replicas.append_records(
                self.stream, epoch, effect.previous, effect.records, effect.committed
            ),
            MESSAGE_SECONDS_MAX,
        )

    async def _send_snapshot(self, effect: leading.SendSnapshot) -> None:
        epoch, snapshot = self.leader.epoch, await self._snapshot()
        self.snapshots += 1
        LOG.info("sending a snapshot", stream=self.stream, to=effect.voter)
        has_it = await self._converse(
            effect.voter,
            lambda replicas: replicas.install_snapshot(self.stream, epoch, snapshot),
            SNAPSHOT_SECONDS_MAX,
        )
        if has_it:
            self.snapshot_taken(effect.voter)

    async def _converse(
        self,
        voter: NodeUuid,
        question: Callable[[Replicas], Awaitable[AppendAnswer]],
        deadline_seconds: float,
    ) -> bool:
        """Ask a voter, and have the leader decide about the answer; say whether there was one."""
        sent = Monotonic(trio.current_time())
        try:
            answer = await self._ask(voter, question, deadline_seconds)
        except StaleEpoch as error:
            self.step(leading.Refused(voter, Epoch(error.newest)))
        except (ConnectionLost, ServiceError, GantryError, OSError) as error:
            LOG.debug("not replicated", stream=self.stream, voter=voter, reason=str(error))
            self.step(leading.Lost(voter))
        else:
            self.step(leading.Answered(voter, sent, answer))
            return True
        return False

    # --- going on alone --------------------------------------------------------------------------

    @property
    def _solo_file(self) -> Path:
        return _solo_file(self._env, self.stream)

    async def _recall_solo(self) -> None:
        """Read whether an earlier life of this reign has gone on alone."""
        try:
            solo = load(SoloSince, from_bytes(await self._env.files.read(self._solo_file)))
        except FileNotFoundError:
            return
        except (Malformed, OSError) as error:
            LOG.error("not known whether the master was alone", reason=str(error))
            return
        if solo.epoch == self.leader.epoch:
            self.leader = evolve(self.leader, solo_noted=solo.since)
        else:
            await self._end_solo()

    async def _go_solo(self, since: Index) -> None:
        """Store that the other voter lacks something before anything is acknowledged alone."""
        solo = SoloSince(self.leader.epoch, since)
        try:
            await self._env.files.write(self._solo_file, to_bytes(dump(solo)))
        except OSError as error:
            LOG.error("can not go on alone", reason=str(error))
            self._solo_asked = False
            return
        if not await self.may_go_alone():
            LOG.warning("not going on alone: there are more voters by now", stream=self.stream)
            if (
                self.alone_since is None
            ):  # else the other voter lacks something from an earlier life
                await self._end_solo()
            await trio.sleep(SOLO_AGAIN_SECONDS)
            self._solo_asked = False
            return
        LOG.warning("going on alone: the other voter is silent", stream=self.stream, since=since)
        self.step(leading.SoloStored(since))

    async def _end_solo(self) -> None:
        LOG.info("the other voter has everything again", stream=self.stream)
        try:
            await self._env.files.remove(self._solo_file)
        except OSError as error:
            LOG.error("not noted", reason=str(error))


def _solo_file(env: Environment, stream: Stream) -> Path:
    return env.paths.data / f"solo-{stream}.json"


async def solo_noted(env: Environment, stream: Stream) -> bool:
    """Whether it is stored that the master goes on alone in a stream."""
    return await env.files.exists(_solo_file(env, stream))


def begin_leading(
    me: NodeUuid,
    epoch: Epoch,
    voters: frozenset[NodeUuid],
    base: LogEnd,
    records: tuple[Record, ...],
    change: VoterChange | None = None,
) -> Leader:
    """Begin to lead with the log that was found on the disk, maybe amid a change of the voters.

    One that adds a voter is held: whether it may count, as far as it does not yet, is asked again.
    """
    leader = Leader.begin(me, epoch, voters, base, records, Monotonic(trio.current_time()))
    if change is None:
        return leader
    return evolve(leader.amid(change), held=None if voters <= change.old else change.index)
