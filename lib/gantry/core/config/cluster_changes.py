"""Changes of the cluster's own object, and the TCP ports that it keeps account of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from attrs import evolve

from gantry.core.config.draft import Draft
from gantry.protocols.changes import ClusterChange, RestoreCluster, UpdateCluster
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.cluster import Cluster

PORTS: Final = range(11000, 15000)
"""The TCP ports for DRBD and for instances' consoles (Ganeti: FIRST/LAST_DRBD_PORT)."""


def change_cluster(draft: Draft, change: ClusterChange) -> None:
    """Make a change of the cluster's own object."""
    match change:
        case UpdateCluster(cluster):
            draft.replace(cluster)
        case RestoreCluster(cluster):
            draft.replace(_with_accounts_of(draft.configuration.cluster, draft.rebased(cluster)))
        case _:
            assert_never(change)


def _with_accounts_of(stored: Cluster, earlier: Cluster) -> Cluster:
    """Return an earlier version of the cluster with what other changes keep account of in it."""
    return evolve(
        earlier,
        master_node=stored.master_node,
        candidate_certs=stored.candidate_certs,
        highest_used_port=stored.highest_used_port,
        tcpudp_port_pool=stored.tcpudp_port_pool,
    )


def touch_cluster(draft: Draft, changed: Cluster | None = None) -> None:
    """Raise the cluster's serial number, as when nodes or instances come and go."""
    stored = draft.configuration.cluster
    mtime = max(draft.now, stored.mtime)
    draft.put(evolve(changed or stored, serial_no=stored.serial_no + 1, mtime=mtime))


def with_certificate(cluster: Cluster, node: NodeUuid, digest: str | None) -> Cluster:
    """Return the cluster with another digest of a candidate's certificate, or without one."""
    certificates: Mapping[NodeUuid, str] = {
        uuid: each for uuid, each in cluster.candidate_certs.items() if uuid != node
    }
    if digest is not None:
        certificates = {**certificates, node: digest}
    return evolve(cluster, candidate_certs=certificates)


def with_ports(cluster: Cluster, taken: Iterable[int], freed: Iterable[int] = ()) -> Cluster:
    """Return the cluster with some ports in use and others free again.

    Every port of :data:`PORTS` up to the highest one ever used is either in use or in the pool.
    """
    pool, highest = set(cluster.tcpudp_port_pool), cluster.highest_used_port
    for port in taken:
        pool.discard(port)
        if port in PORTS and port > highest:
            pool.update(range(max(highest + 1, PORTS.start), port))
            highest = port
    pool.update(port for port in freed if port in PORTS)
    changed = pool != set(cluster.tcpudp_port_pool)
    free = tuple(sorted(pool)) if changed else cluster.tcpudp_port_pool
    return evolve(cluster, tcpudp_port_pool=free, highest_used_port=highest)
