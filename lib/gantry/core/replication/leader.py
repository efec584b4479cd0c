"""The leader of a stream: what it sends to whom, and when a record counts.

``step(leader, event) -> (leader', effects)``. The leader's own log is written by its owner, who
tells of what is flushed; the effects say what to send and up to where the log is committed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, assert_never

from attrs import evolve, field, frozen
from immutables import Map

from gantry.core.replication.quorum import LEASE_SECONDS, SOLO_SECONDS, reached
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.records import Index, Position, Record
from gantry.protocols.replication import (
    RECORDS_PER_MESSAGE,
    AppendAnswer,
    Appended,
    LogEnd,
    Mismatch,
    Monotonic,
    end_of,
)

HEARTBEAT_SECONDS: Final = 2.0
"""A voter that has everything is asked so often whether it is still there."""

TELL_SECONDS: Final = 0.5
"""A voter hears so soon what became committed, if no record tells it earlier."""

RETRY_SECONDS: Final = 1.0
"""A voter that did not answer is tried again after this time."""

TAIL_RECORDS: Final = 512
"""So many are kept at least for stragglers, twice as many at most: others get a snapshot."""

NEVER: Final = Monotonic(-math.inf)
NOWHERE: Final = Index(-1)


@frozen
class Peer:
    """Another voter, as the leader sees it."""

    match: Index = NOWHERE
    """Up to where its log is known to be the leader's."""
    next: Position | None = None
    """After which place the next message continues; ``None``: it needs a snapshot."""
    told: Index = NOWHERE
    """Which committed index it has heard of."""
    busy: bool = False
    """Whether a message is under way; there is only ever one."""
    due: Monotonic = NEVER
    """Before this moment it is not bothered again after a failure."""
    sent: Monotonic = NEVER
    """When the last message was sent."""
    answered: Monotonic = NEVER
    """When the last message that it answered was sent."""
    since: Monotonic = NEVER
    """When it began to be attended to."""


@frozen
class VoterChange:
    """The record at ``index`` changes the voters; until it is committed both sets count."""

    index: Index | None
    """``None``: the change is another stream's, and both sets count until its owner has heard
    that it is committed there."""
    old: frozenset[NodeUuid]


@frozen
class Leader:
    """The leader of one stream in one epoch."""

    me: NodeUuid
    epoch: Epoch
    voters: frozenset[NodeUuid]
    now: Monotonic
    base: LogEnd
    """What comes before the kept records."""
    records: Map[Index, Record] = field(factory=Map)
    """The newest records that are flushed here."""
    first_own: Index | None = None
    """The first record of this epoch: what comes before counts when this one does."""
    committed: Index = NOWHERE
    change: VoterChange | None = None
    held: Index | None = None
    """From this record on nothing counts before its owner has allowed it."""
    solo_since: Index | None = None
    """Since which record the master goes on alone, with one other voter that is silent."""
    solo_noted: Index | None = None
    """The same as an earlier life has stored it: the other voter may still lack what follows."""
    peers: Map[NodeUuid, Peer] = field(factory=Map)

    @classmethod
    def begin(
        cls,
        me: NodeUuid,
        epoch: Epoch,
        voters: frozenset[NodeUuid],
        base: LogEnd,
        records: tuple[Record, ...],
        now: Monotonic,
    ) -> Leader:
        """Begin, or begin again, to lead with the log that is on the disk.

        The voters are the newest set, which is known to count: else :meth:`amid` must follow.
        """
        kept = Map({record.index: record for record in records})
        own = [record.index for record in records if record.epoch == epoch]
        # A snapshot holds what was committed only, so one of this epoch vouches for itself.
        first = base.index if base.epoch == epoch else (own[0] if own else None)
        leader = cls(me, epoch, voters, now, base, kept, first, base.index)
        # Nobody can say of whom a majority has the log to its end.
        return leader.amid(VoterChange(leader.end.index, voters))

    def amid(self, change: VoterChange) -> Leader:
        """Begin in the middle of a change: whether it is committed is not known.

        It is the last one in the log. Those before it are committed, since each waits for that.
        """
        return _with_peers(evolve(self, change=change))

    @property
    def end(self) -> LogEnd:
        """The end of what is flushed here."""
        last = self.records.get(Index(self.base.index + len(self.records)))
        return self.base if last is None else end_of(last)

    def has(self, position: Position) -> bool:
        """Whether the kept records go through a place."""
        if position.index == self.base.index:
            return position == self.base.position
        record = self.records.get(position.index)
        return record is not None and record.position == position

    @property
    def lease_until(self) -> Monotonic:
        """Until when this leader may acknowledge something."""
        if self.solo_since is not None:
            return Monotonic(math.inf)
        answered: Mapping[NodeUuid, float] = {
            **{voter: peer.answered for voter, peer in self.peers.items()},
            self.me: math.inf,
        }
        sets = [self.voters] if self.change is None else [self.voters, self.change.old]
        return Monotonic(min(reached(answered, each, -math.inf) for each in sets) + LEASE_SECONDS)

    @property
    def lacking_since(self) -> Index | None:
        """From which record on nobody else is known to have the log; ``None``: somebody has it."""
        return self.solo_noted if self.solo_since is None else self.solo_since

    @property
    def electorate(self) -> frozenset[NodeUuid]:
        """Everybody whose vote may be needed."""
        return self.voters | (self.change.old if self.change else frozenset())

    @property
    def has_lease(self) -> bool:
        """Whether this leader may acknowledge something now."""
        return self.now < self.lease_until


# --- events --------------------------------------------------------------------------------------


@frozen
class Flushed:
    """Records are on the leader's disk, and no newer epoch was promised there meanwhile."""

    records: tuple[Record, ...]


@frozen
class Answered:
    """A voter has answered a message that was sent at a moment."""

    voter: NodeUuid
    sent: Monotonic
    answer: AppendAnswer


@frozen
class Refused:
    """A voter follows a newer epoch."""

    voter: NodeUuid
    newest: Epoch


@frozen
class Lost:
    """A message was not answered; whether it arrived is unknown."""

    voter: NodeUuid


@frozen
class SetVoters:
    """The record at ``index``, which is about to be flushed, changes the voters."""

    voters: frozenset[NodeUuid]
    index: Index
    """In another stream than the one that says who votes: the end of the log."""


@frozen
class Released:
    """What was held may count."""


@frozen
class SoloStored:
    """That the master goes on alone is on the disk."""

    since: Index


@frozen
class Compacted:
    """A snapshot holds the records up to an index."""

    through: Index


@frozen
class Tick:
    """Time has passed."""


Event = Flushed | Answered | Refused | Lost | SetVoters | Released | SoloStored | Compacted | Tick


# --- effects -------------------------------------------------------------------------------------


@frozen
class Send:
    """Send records after a place, with the committed index; none asks for the place."""

    voter: NodeUuid
    previous: Position
    records: tuple[Record, ...]
    committed: Index


@frozen
class SendSnapshot:
    """Send a snapshot of what is committed, whatever the voter has."""

    voter: NodeUuid


@frozen
class Commit:
    """The records up to ``through`` count from now on."""

    through: Index


@frozen
class GoSolo:
    """Store durably that the master goes on alone, and tell everybody."""

    since: Index


@frozen
class EndSolo:
    """The other voter has everything again: forget that the master went on alone."""


@frozen
class StandDown:
    """A newer leader reigns: stop at once."""

    newest: Epoch


Effect = Send | SendSnapshot | Commit | GoSolo | EndSolo | StandDown


def step(leader: Leader, event: Event, now: Monotonic) -> tuple[Leader, tuple[Effect, ...]]:
    """Go on after an event; ``now`` never goes back."""
    leader = evolve(leader, now=now)
    match event:
        case Refused(_, newest):
            return leader, (StandDown(newest),)
        case Flushed(records):
            leader = _flushed(leader, records)
        case Answered(voter, sent, answer):
            leader = _answered(leader, voter, sent, answer)
        case Lost(voter):
            leader = _lost(leader, voter)
        case SetVoters(voters, index):
            leader = _with_voters(leader, voters, index)
        case Released():
            leader = evolve(leader, held=None)
        case SoloStored(since):
            leader = evolve(leader, solo_since=since, solo_noted=since)
        case Compacted(through):
            leader = _without_tail(leader, through)
        case Tick():
            pass
        case _:
            assert_never(event)
    leader, ended = _end_solo(leader)
    leader, commits = _commit(leader)
    leader, sends = _send(leader)
    return leader, (*ended, *commits, *sends, *_solo(leader))


def _flushed(leader: Leader, records: tuple[Record, ...]) -> Leader:
    with leader.records.mutate() as changing:
        for record in records:
            changing[record.index] = record
        kept = changing.finish()
    leader = evolve(leader, records=kept)
    if leader.first_own is None and records:
        leader = evolve(leader, first_own=records[0].index)
    return leader


def _without_tail(leader: Leader, through: Index) -> Leader:
    """Forget records that no voter needs one by one any more."""
    last = leader.records.get(through)
    if last is None or through > leader.committed:
        return leader
    with leader.records.mutate() as changing:
        for index in range(leader.base.index + 1, through + 1):
            del changing[Index(index)]
        kept = changing.finish()
    return evolve(leader, base=end_of(last), records=kept)


def _answered(leader: Leader, voter: NodeUuid, sent: Monotonic, answer: AppendAnswer) -> Leader:
    peer = leader.peers.get(voter)
    if peer is None:  # it votes no more
        return leader
    peer = evolve(peer, busy=False, due=NEVER, answered=max(peer.answered, sent))
    match answer:
        case Appended(end):
            peer = evolve(peer, match=max(peer.match, end.index), next=end)
        case Mismatch(end, committed):
            places = [place for place in (end, committed) if leader.has(place)]
            peer = evolve(peer, next=places[0] if places else None)
        case _:
            assert_never(answer)
    return evolve(leader, peers=leader.peers.set(voter, peer))


def _lost(leader: Leader, voter: NodeUuid) -> Leader:
    peer = leader.peers.get(voter)
    if peer is None:
        return leader
    peer = evolve(peer, busy=False, due=Monotonic(leader.now + RETRY_SECONDS))
    return evolve(leader, peers=leader.peers.set(voter, peer))


def _with_voters(leader: Leader, voters: frozenset[NodeUuid], index: Index) -> Leader:
    """Change the voters; a change that is under way to the same set goes on."""
    pending = leader.change
    same = pending is not None and voters == leader.voters
    old = pending.old if pending is not None and same else leader.voters
    return _with_peers(evolve(leader, voters=voters, change=VoterChange(index, old)))


def _with_peers(leader: Leader) -> Leader:
    """Attend to everybody who votes, or does until a change is committed."""
    wanted = leader.electorate
    # What is asked first is whether the voter has the leader's log to its end.
    fresh = Peer(next=leader.end.position, since=leader.now)
    peers = {v: leader.peers.get(v, fresh) for v in wanted if v != leader.me}
    return evolve(leader, peers=Map(peers))


def follows(leader: Leader, voters: frozenset[NodeUuid]) -> bool:
    """Whether it is time to go on to voters who count in the stream that says who votes."""
    change = leader.change
    if change is None:
        return voters != leader.voters
    # A change that was found at the start is over there when another set counts than before it.
    return change.index is None and voters != change.old


# --- what counts ---------------------------------------------------------------------------------


def _commit(leader: Leader) -> tuple[Leader, tuple[Effect, ...]]:
    through = _reached(leader)
    if leader.held is not None:
        through = min(through, Index(leader.held - 1))
    if leader.first_own is None or through < leader.first_own or not leader.has_lease:
        return leader, ()
    commits: tuple[Effect, ...] = ()
    if through > leader.committed:
        leader, commits = evolve(leader, committed=through), (Commit(through),)
        leader = _trimmed(leader)
    change = leader.change
    if change is not None and change.index is not None and through >= change.index:
        leader = _with_peers(evolve(leader, change=None))
    return leader, commits


def _trimmed(leader: Leader) -> Leader:
    """Keep records that a straggler may need; without other voters there is none."""
    kept = TAIL_RECORDS if leader.peers else 0
    if len(leader.records) <= 2 * kept:
        return leader
    return _without_tail(leader, Index(min(leader.committed, leader.end.index - kept)))


def _reached(leader: Leader) -> Index:
    """Return up to where enough voters have the log."""
    end = leader.end.index
    if leader.solo_since is not None:
        return end
    matches = {voter: peer.match for voter, peer in leader.peers.items()} | {leader.me: end}
    through = reached(matches, leader.voters, NOWHERE)
    change = leader.change
    if change is None:
        return through
    by_old = reached(matches, change.old, NOWHERE)
    if change.index is None:
        return min(by_old, through)
    # Before the record that changes the voters the old ones alone decide.
    before = min(by_old, Index(change.index - 1))
    return max(before, min(by_old, through))


def _solo(leader: Leader) -> tuple[Effect, ...]:
    """Go on alone when the only other voter has been silent for too long."""
    if leader.solo_since is not None or len(leader.peers) != 1:
        return ()
    heard = max(max(peer.answered, peer.since) for peer in leader.peers.values())
    if leader.now - heard <= SOLO_SECONDS:
        return ()
    return (GoSolo(leader.lacking_since or Index(leader.committed + 1)),)


def _end_solo(leader: Leader) -> tuple[Leader, tuple[Effect, ...]]:
    """End going on alone, and forget it when another voter has everything, or nobody else votes."""
    if leader.lacking_since is None:
        return leader, ()
    caught_up = any(
        peer.match >= leader.end.index and leader.now - peer.answered < SOLO_SECONDS
        for peer in leader.peers.values()
    )
    if caught_up or not leader.peers:
        return evolve(leader, solo_since=None, solo_noted=None), (EndSolo(),)
    # There may be others to ask by now, who lack as much.
    return (leader if len(leader.peers) == 1 else evolve(leader, solo_since=None)), ()


# --- what is sent --------------------------------------------------------------------------------


def _send(leader: Leader) -> tuple[Leader, tuple[Effect, ...]]:
    effects: list[Effect] = []
    peers = leader.peers
    for voter, peer in sorted(peers.items()):
        if not _wants(leader, peer):
            continue
        effects.append(_message(leader, voter, peer))
        peers = peers.set(voter, evolve(peer, busy=True, sent=leader.now, told=leader.committed))
    return (evolve(leader, peers=peers) if effects else leader), tuple(effects)


def _wants(leader: Leader, peer: Peer) -> bool:
    if peer.busy or leader.now < peer.due:
        return False
    if peer.match < leader.end.index:
        return True
    idle = leader.now - peer.sent
    return idle >= (TELL_SECONDS if peer.told < leader.committed else HEARTBEAT_SECONDS)


def _message(leader: Leader, voter: NodeUuid, peer: Peer) -> Effect:
    if peer.next is None or not leader.has(peer.next):
        return SendSnapshot(voter)
    first = peer.next.index + 1
    last = min(leader.end.index, peer.next.index + RECORDS_PER_MESSAGE)
    records = tuple(leader.records[Index(index)] for index in range(first, last + 1))
    return Send(voter, peer.next, records, leader.committed)
