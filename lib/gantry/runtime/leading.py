"""A leader's figures, on a socket of the node, for whoever watches the cluster."""

from __future__ import annotations

import math
from typing import Final

import trio
from attrs import frozen
from typing_extensions import override

from gantry.core.replication.leader import NOWHERE, Leader, Peer
from gantry.core.replication.quorum import LEASE_SECONDS
from gantry.protocols.identity import NodeUuid
from gantry.protocols.replication import (
    LEADING,
    Leading,
    StreamFigures,
    VoterFigures,
    leading_socket,
)
from gantry.runtime.environment import Environment
from gantry.runtime.replicated_log import ReplicatedLog
from gantry.runtime.rpc import serve

SOCKET_MODE: Final = 0o666
"""There is no secret in it; MonD, who asks, may write no files of others."""


@frozen
class LeaderFigures(Leading):
    """Answers for one stream."""

    log: ReplicatedLog

    @override
    async def figures(self) -> StreamFigures:
        await trio.lowlevel.checkpoint()
        return figures_of(self.log)


def figures_of(log: ReplicatedLog) -> StreamFigures:
    """Return how a stream is doing now."""
    leader, journal, now = log.leader, log.journal.figures, trio.current_time()
    return StreamFigures(
        stream=log.stream,
        epoch=leader.epoch,
        index=leader.end.index,
        committed=leader.committed,
        lease_age_seconds=_lease_age(leader, now),
        has_lease=log.has_lease,
        alone_since=log.alone_since,
        flushes=journal.flushes,
        records_appended=journal.appended,
        batch_records_max=journal.batch_max,
        bytes_written=journal.bytes_written,
        file_bytes=journal.file_bytes,
        messages=log.messages,
        snapshots=log.snapshots,
        voters=tuple(_voter(leader, *each, now) for each in sorted(leader.peers.items())),
    )


def _lease_age(leader: Leader, now: float) -> float | None:
    if leader.lease_until == math.inf:
        return 0.0
    heard = leader.lease_until - LEASE_SECONDS
    return None if heard == -math.inf else max(0.0, now - heard)


def _voter(leader: Leader, voter: NodeUuid, peer: Peer, now: float) -> VoterFigures:
    return VoterFigures(
        voter,
        lag=None if peer.match == NOWHERE else max(0, leader.end.index - peer.match),
        silent_seconds=None if peer.answered == -math.inf else max(0.0, now - peer.answered),
    )


async def serve_figures(env: Environment, log: ReplicatedLog) -> None:
    """Serve the figures of a stream until cancelled."""
    path = env.paths.socket(leading_socket(log.stream))
    await serve(LEADING, LeaderFigures(log), await env.network.listen_unix(path, SOCKET_MODE))
