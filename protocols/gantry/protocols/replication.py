"""What master candidates say to each other about the two replicated streams.

A stream is a log of :class:`gantry.protocols.records.Record`. The leader of an epoch sends it to
the other voters; see ``doc/design/replication.md`` for who votes and what counts as committed.
"""

from __future__ import annotations

from typing import Final, Literal, NewType, Protocol

from attrs import frozen

from gantry.protocols.codec import Json
from gantry.protocols.errors import StaleEpoch
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.noded import MasterAddress, StepFailed
from gantry.protocols.records import ORIGIN, Checksum, Index, Position, Record
from gantry.protocols.service import Service, raises

Stream = Literal["config", "queue"]

STREAMS: Final[tuple[Stream, ...]] = ("config", "queue")

RECORDS_PER_MESSAGE: Final = 512
"""More wait for the next message."""

Monotonic = NewType("Monotonic", float)
"""A moment of a machine's monotonic clock, in seconds; never compared with another machine's."""


@frozen
class LogEnd:
    """The last record of a log, or of the snapshot that it continues."""

    epoch: Epoch
    index: Index
    checksum: Checksum

    @property
    def position(self) -> Position:
        """The place after it."""
        return Position(self.index, self.checksum)

    @property
    def rank(self) -> tuple[int, int]:
        """What logs are compared by: the greater one is more advanced."""
        return self.epoch, self.index


NOTHING: Final = LogEnd(Epoch(0), ORIGIN.index, ORIGIN.checksum)
"""The end of a log that a node does not have."""


def end_of(record: Record) -> LogEnd:
    """Return the end of a log whose last record this is."""
    return LogEnd(record.epoch, record.index, record.checksum)


@frozen
class Appended:
    """The replica holds the leader's log up to ``end``, durably."""

    end: Position


@frozen
class Mismatch:
    """The replica does not have the record after which it should append; nothing was changed."""

    end: Position
    """Where its log ends."""
    committed: Position
    """Up to where it knows its log to be committed."""


AppendAnswer = Appended | Mismatch


@frozen
class Promised:
    """A voter follows no older epoch any more; these are the ends of its logs."""

    epoch: Epoch
    config: LogEnd
    queue: LogEnd

    def end(self, stream: Stream) -> LogEnd:
        """Return the end of one log."""
        return self.config if stream == "config" else self.queue


@frozen
class ReplicaState:
    """What a node knows of a stream."""

    promised: Epoch
    """It follows no older epoch."""
    end: LogEnd
    committed: Index
    """Up to where the node knows the stream to be committed."""
    heard_seconds: float = 0.0
    """How long ago a leader has sent something, or NodeD has started."""


@frozen
class Snapshot:
    """Everything that the records up to ``end`` have made, in the stream's own form."""

    end: LogEnd
    data: Json


@frozen
class ReplicaCopy:
    """A whole replica, for a node that is about to lead: a snapshot and what follows it."""

    snapshot: Snapshot
    records: tuple[Record, ...]


class Replicas(Protocol):
    """What NodeD does with the replicas on its node, beside the NodeD protocol and like it.

    Only master candidates may call it. ``StaleEpoch`` says that the caller's reign is over.
    """

    @raises(StaleEpoch, StepFailed)
    async def append_records(
        self,
        stream: Stream,
        epoch: Epoch,
        previous: Position,
        records: tuple[Record, ...],
        committed: Index,
    ) -> AppendAnswer:
        """Append a leader's records after a place; a tail of another history is saved aside."""

    @raises(StaleEpoch, StepFailed)
    async def install_snapshot(self, stream: Stream, epoch: Epoch, snapshot: Snapshot) -> Appended:
        """Put a leader's snapshot in the place of the replica."""

    @raises(StaleEpoch, StepFailed)
    async def promise(self, epoch: Epoch) -> Promised:
        """Follow no older epoch any more, and no other candidate of this one."""

    @raises(StepFailed)
    async def replica_state(self, stream: Stream) -> ReplicaState:
        """Say what the node has of a stream."""

    @raises(StepFailed)
    async def replica_copy(self, stream: Stream) -> ReplicaCopy:
        """Return the whole replica, for a candidate that a majority has given its promise."""

    @raises(StaleEpoch, StepFailed)
    async def tell_epoch(self, epoch: Epoch) -> None:
        """Refuse changes under older epochs from now on."""

    @raises(StaleEpoch, StepFailed)
    async def hold_address(self, epoch: Epoch, address: MasterAddress) -> None:
        """Bring the cluster's address up on this node, which leads the epoch."""

    @raises(StaleEpoch, StepFailed)
    async def stop_master(self, epoch: Epoch) -> None:
        """Stop the master daemons of this node; answered when they have ended."""

    @raises(StaleEpoch, StepFailed)
    async def start_master(self, epoch: Epoch, voters: tuple[NodeUuid, ...] | None) -> None:
        """Start the master daemons of this node, to lead in an epoch that it has promised.

        ``voters``: who votes from now on, if the promotion had no majority; the other voters
        become offline.
        """


REPLICAS: Final = Service(Replicas)


# --- what a leader tells about itself ------------------------------------------------------------


@frozen
class VoterFigures:
    """Another voter, as the leader sees it."""

    voter: NodeUuid
    lag: int | None
    """How many records of the leader's log it is not known to have; ``None``: nothing is known."""
    silent_seconds: float | None
    """How long ago the last message was sent that it has answered; ``None``: none was."""


@frozen
class StreamFigures:
    """How the leader of a stream is doing, since its daemon has started."""

    stream: Stream
    epoch: Epoch
    index: Index
    """The end of the log on the leader's disk."""
    committed: Index
    lease_age_seconds: float | None
    """How long ago a majority was heard of; 0 without other voters, ``None``: it never was."""
    has_lease: bool
    alone_since: Index | None
    """Since which record the master goes on alone, without the only other voter."""
    flushes: int
    records_appended: int
    batch_records_max: int
    """How many records the largest flush made durable."""
    bytes_written: int
    file_bytes: int
    messages: int
    """Sent to other voters; snapshots are counted apart."""
    snapshots: int
    voters: tuple[VoterFigures, ...]


class Leading(Protocol):
    """What the daemon that leads a stream tells whoever asks on this machine."""

    async def figures(self) -> StreamFigures:
        """Return figures about the stream."""


LEADING: Final = Service(Leading)


def leading_socket(stream: Stream) -> str:
    """Return the name of the socket on which the leader of a stream serves its figures."""
    return f"leading-{stream}"
