"""A voter's copy of a stream: what it accepts, from whom, and what it does with its own tail.

Raft's AppendEntries (Ongaro and Ousterhout, 2014, section 5.3) with checksums that chain the
records in the place of (term, index): two logs that have the same checksum at an index are equal
up to there.
"""

from __future__ import annotations

from attrs import evolve, field, frozen
from immutables import Map

from gantry.protocols.identity import Epoch
from gantry.protocols.records import Index, Position, Record
from gantry.protocols.replication import (
    NOTHING,
    Appended,
    LogEnd,
    Mismatch,
    end_of,
)


@frozen
class Replica:
    """A copy of a stream, as it is on the disk."""

    promised: Epoch
    """No older epoch is followed."""
    base: LogEnd = NOTHING
    """The end of the snapshot."""
    records: Map[Index, Record] = field(factory=Map)
    """What follows the snapshot, without gaps."""
    committed: Position = NOTHING.position
    """What the leader has called committed; never older than the snapshot."""

    @property
    def end(self) -> LogEnd:
        """The end of the log."""
        last = self.records.get(Index(self.base.index + len(self.records)))
        return self.base if last is None else end_of(last)

    def has(self, position: Position) -> bool:
        """Whether the log goes through a place."""
        return self.at(position.index) == position

    def at(self, index: Index) -> Position | None:
        """Return the log's place at an index, if the log still knows it."""
        if index == self.base.index:
            return self.base.position
        record = self.records.get(index)
        return None if record is None else record.position

    def after(self, index: Index) -> tuple[Record, ...]:
        """Return the records after an index."""
        return tuple(self.records[Index(i)] for i in range(index + 1, self.end.index + 1))


@frozen
class Append:
    """The leader's records after a place; none at all is a question for that place."""

    epoch: Epoch
    previous: Position
    records: tuple[Record, ...]
    committed: Index


@frozen
class Install:
    """The leader's snapshot: it replaces everything."""

    epoch: Epoch
    end: LogEnd


# --- effects, to be carried out in order and durably before the answer is sent ---


@frozen
class Promise:
    """Remember that no older epoch is followed."""

    epoch: Epoch


@frozen
class SaveAside:
    """Keep a copy of records that are about to be cut off: they never counted."""

    records: tuple[Record, ...]


@frozen
class CutAfter:
    """Cut the log off after a place."""

    position: Position


@frozen
class Write:
    """Append records to the log."""

    records: tuple[Record, ...]


@frozen
class ReplaceAll:
    """Put the snapshot in the place of the old one, and begin an empty log."""

    end: LogEnd


Effect = Promise | SaveAside | CutAfter | Write | ReplaceAll


@frozen
class Stale:
    """The sender has been replaced by the leader of a newer epoch."""

    newest: Epoch


@frozen
class Late:
    """What the sender has sent is older than the snapshot here, which is its own: ask again."""


def promise(replica: Replica, epoch: Epoch) -> tuple[Replica, tuple[Effect, ...]] | Stale:
    """Promise an epoch to a candidate: never twice the same one."""
    if epoch <= replica.promised:
        return Stale(replica.promised)
    return evolve(replica, promised=epoch), (Promise(epoch),)


def append(
    replica: Replica, message: Append
) -> tuple[Replica, tuple[Effect, ...], Appended | Mismatch] | Stale:
    """Take what the leader sends."""
    if message.epoch < replica.promised:
        return Stale(replica.promised)
    replica, effects = _followed(replica, message.epoch)
    shared = _shared(replica, message)
    if shared is None or (shared[1] and shared[0].index < replica.committed.index):
        return replica, effects, Mismatch(replica.end.position, replica.committed)
    place, fresh = shared
    if fresh:
        replica, written = _written(replica, place, fresh)
        effects += written
        place = fresh[-1].position
    return _committed(replica, place, message.committed), effects, Appended(place)


def install(
    replica: Replica, message: Install
) -> tuple[Replica, tuple[Effect, ...]] | Stale | Late:
    """Take a snapshot of the leader in the place of everything.

    One that was long under way may be older than what the leader has sent since, and counts on:
    a log that ends with a record of the leader's own epoch is the leader's, and stays.
    """
    if message.epoch < replica.promised:
        return Stale(replica.promised)
    if replica.end.epoch == message.epoch:
        if replica.has(message.end.position):
            return _followed(replica, message.epoch)
        if message.end.index < replica.base.index:
            return Late()
    replica, effects = _followed(replica, message.epoch)
    aside = replica.after(replica.committed.index) or (
        () if replica.committed.index <= message.end.index else replica.after(replica.base.index)
    )
    if aside and not replica.has(message.end.position):
        effects += (SaveAside(aside),)
    replaced = Replica(replica.promised, message.end, Map(), message.end.position)
    return replaced, (*effects, ReplaceAll(message.end))


def folded(replica: Replica, through: Index) -> Replica:
    """Forget records that the snapshot on the disk holds now; all of them are committed."""
    base = replica.base if through == replica.base.index else end_of(replica.records[through])
    kept = Map({record.index: record for record in replica.after(through)})
    return evolve(replica, base=base, records=kept)


def _followed(replica: Replica, epoch: Epoch) -> tuple[Replica, tuple[Effect, ...]]:
    if epoch == replica.promised:
        return replica, ()
    return evolve(replica, promised=epoch), (Promise(epoch),)


def _shared(replica: Replica, message: Append) -> tuple[Position, tuple[Record, ...]] | None:
    """Return the last place of the message that the log goes through, and what follows it.

    The message may begin with what the snapshot holds: its first places are not known then.
    """
    for number in range(len(message.records), 0, -1):
        place = message.records[number - 1].position
        if replica.has(place):
            return place, message.records[number:]
    return (message.previous, message.records) if replica.has(message.previous) else None


def _written(
    replica: Replica, place: Position, fresh: tuple[Record, ...]
) -> tuple[Replica, tuple[Effect, ...]]:
    effects: tuple[Effect, ...] = ()
    tail = replica.after(place.index)
    if tail:
        effects = (SaveAside(tail), CutAfter(place))
    with replica.records.mutate() as changing:
        for record in tail:
            del changing[record.index]
        for record in fresh:
            changing[record.index] = record
        records = changing.finish()
    return evolve(replica, records=records), (*effects, Write(fresh))


def _committed(replica: Replica, matched: Position, leaders: Index) -> Replica:
    """Note what the leader calls committed, as far as the logs are known to be equal."""
    index = Index(min(matched.index, leaders))
    position = replica.at(index)
    if position is None or index <= replica.committed.index:
        return replica
    return evolve(replica, committed=position)
