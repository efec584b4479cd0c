"""What each change does: ``apply(state, change, now)`` is pure and all there is to it.

The cost of a change is that of the objects it touches. Serial numbers and times move as Ganeti
moves them: a changed object's by one and to now (never back); the cluster's own too when nodes
or instances come and go; the whole configuration's with every change that changes something.
"""

from __future__ import annotations

from typing import TypeVar, assert_never

from attrs import evolve

from gantry.core.config.claims import Ref
from gantry.core.config.cluster_changes import change_cluster
from gantry.core.config.disk_changes import change_disks
from gantry.core.config.draft import Changed, Draft, Refusal
from gantry.core.config.filter_changes import change_filters
from gantry.core.config.group_changes import change_groups
from gantry.core.config.instance_changes import change_instances
from gantry.core.config.leftover_changes import change_leftovers
from gantry.core.config.network_changes import change_networks
from gantry.core.config.nic_changes import change_nics
from gantry.core.config.node_changes import change_nodes
from gantry.core.config.state import State
from gantry.protocols import changes
from gantry.protocols.changes import Change
from gantry.protocols.device_changes import DiskChange, NicChange
from gantry.protocols.network_changes import NetworkChange
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.wconfd import Invariant

Tagged = TypeVar("Tagged", Cluster, NodeGroup, Node, Instance, Network)


def apply(state: State, change: Change, now: float) -> Changed | Invariant:
    """Change a configuration.

    Args:
        state: the configuration; it is not touched.
        change: what to do.
        now: seconds since the epoch.

    Returns:
        The changed configuration, or the first rule that it would break.
    """
    draft = Draft.of(state, now)
    try:
        _make(draft, change)
        return draft.finish()
    except Refusal as refusal:
        return refusal.invariant


def _make(draft: Draft, change: Change) -> None:
    if isinstance(change, changes.InstanceChange):
        change_instances(draft, change)
    elif isinstance(change, DiskChange):
        change_disks(draft, change)
    elif isinstance(change, NicChange):
        change_nics(draft, change)
    elif isinstance(change, NetworkChange):
        change_networks(draft, change)
    elif isinstance(change, changes.NodeChange):
        change_nodes(draft, change)
    elif isinstance(change, changes.GroupChange):
        change_groups(draft, change)
    else:
        _make_other(draft, change)


def _make_other(
    draft: Draft,
    change: changes.ClusterChange
    | changes.FilterChange
    | changes.LeftoverChange
    | changes.ChangeTags,
) -> None:
    if isinstance(change, changes.ClusterChange):
        change_cluster(draft, change)
    elif isinstance(change, changes.FilterChange):
        change_filters(draft, change)
    elif isinstance(change, changes.LeftoverChange):
        change_leftovers(draft, change)
    elif isinstance(change, changes.ChangeTags):
        _change_tags(draft, change)
    else:
        assert_never(change)


def _change_tags(draft: Draft, change: changes.ChangeTags) -> None:
    match change.of:
        case "cluster":
            _tag(draft, draft.configuration.cluster, change)
        case "nodegroup":
            _tag(draft, draft.get(NodeGroup, Ref("nodegroup", change.uuid)), change)
        case "node":
            _tag(draft, draft.get(Node, Ref("node", change.uuid)), change)
        case "instance":
            _tag(draft, draft.get(Instance, Ref("instance", change.uuid)), change)
        case "network":
            _tag(draft, draft.get(Network, Ref("network", change.uuid)), change)
        case _:
            assert_never(change.of)


def _tag(draft: Draft, tagged: Tagged, change: changes.ChangeTags) -> None:
    draft.replace(evolve(tagged, tags=(tagged.tags | change.add) - change.remove))
