"""Replicas in memory behind a switch, for those who lead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import trio
from attrs import define, field
from typing_extensions import override

from gantry.core.replication import replica as pure
from gantry.core.replication.replica import Append, Install, Late, Replica, Stale
from gantry.protocols.errors import ConnectionLost, StaleEpoch
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.noded import MasterAddress
from gantry.protocols.records import ORIGIN, Index, Position, Record
from gantry.protocols.replication import (
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
from gantry.runtime.replicated_log import AskVoter

ONE = Epoch(1)
BASE = LogEnd(ONE, ORIGIN.index, ORIGIN.checksum)


@define
class Node(Replicas):
    """A replica in memory; what a leader never asks it does not answer."""

    replica: Replica = field(factory=lambda: Replica(ONE, BASE, committed=BASE.position))
    away: bool = False
    answers_after_seconds: float = 0.001
    messages: int = 0

    @override
    async def append_records(
        self,
        stream: Stream,
        epoch: Epoch,
        previous: Position,
        records: tuple[Record, ...],
        committed: Index,
    ) -> AppendAnswer:
        self.messages += 1
        taken = pure.append(self.replica, Append(epoch, previous, records, committed))
        if isinstance(taken, Stale):
            raise StaleEpoch(epoch, taken.newest)
        self.replica, _, answer = taken
        return answer

    @override
    async def install_snapshot(self, stream: Stream, epoch: Epoch, snapshot: Snapshot) -> Appended:
        taken = pure.install(self.replica, Install(epoch, snapshot.end))
        if isinstance(taken, Stale):
            raise StaleEpoch(epoch, taken.newest)
        if isinstance(taken, Late):
            raise ConnectionLost("a newer snapshot is here")
        self.replica, _ = taken
        return Appended(snapshot.end.position)

    @override
    async def promise(self, epoch: Epoch) -> Promised:
        raise NotImplementedError

    @override
    async def replica_state(self, stream: Stream) -> ReplicaState:
        raise NotImplementedError

    @override
    async def replica_copy(self, stream: Stream) -> ReplicaCopy:
        raise NotImplementedError

    @override
    async def tell_epoch(self, epoch: Epoch) -> None:
        raise NotImplementedError

    @override
    async def hold_address(self, epoch: Epoch, address: MasterAddress) -> None:
        raise NotImplementedError

    @override
    async def stop_master(self, epoch: Epoch) -> None:
        raise NotImplementedError

    @override
    async def start_master(self, epoch: Epoch, voters: tuple[NodeUuid, ...] | None) -> None:
        raise NotImplementedError


def asking(nodes: Mapping[NodeUuid, Node]) -> AskVoter:
    """Return the way to these nodes."""

    async def ask(
        voter: NodeUuid,
        question: Callable[[Replicas], Awaitable[AppendAnswer]],
        deadline_seconds: float,
    ) -> AppendAnswer:
        await trio.sleep(nodes[voter].answers_after_seconds)
        if nodes[voter].away:
            await trio.sleep(deadline_seconds)
            raise ConnectionLost("nobody there")
        return await question(nodes[voter])

    return ask
