"""What each change does: ``apply(state, change, now)`` is pure and all there is to it.

The cost of a change is that of the objects it touches. Serial numbers and times move as Ganeti
moves them: a changed object's by one and to now (never back); the cluster's own too when nodes
or instances come and go; the whole configuration's with every change that changes something.
"""

from __future__ import annotations

from typing import TypeVar, assert_never

from attrs import evolve

from gantry.core.config.claims import Ref
from gantry.core.config.cluster_changes import update_cluster
from gantry.core.config.draft import Changed, Draft, Refusal
from gantry.core.config.instance_changes import (
    add_instance,
    remove_instance,
    rename_instance,
    set_primary,
    set_state,
    update_instance,
)
from gantry.core.config.node_changes import add_node, remove_group, remove_node, update_node
from gantry.core.config.state import State
from gantry.protocols import changes
from gantry.protocols.changes import Change
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


def _make(draft: Draft, change: Change) -> None:  # noqa: C901, PLR0912 - one case for each change
    match change:
        case changes.AddNode(node, digest):
            add_node(draft, node, digest)
        case changes.UpdateNode(node, digest):
            update_node(draft, node, digest)
        case changes.RemoveNode(uuid):
            remove_node(draft, draft.get(Node, Ref("node", uuid)))
        case changes.AddGroup(group):
            draft.add(evolve(group, members=()))
        case changes.UpdateGroup(group):
            draft.replace(group)
        case changes.RemoveGroup(uuid):
            remove_group(draft, draft.get(NodeGroup, Ref("nodegroup", uuid)))
        case changes.UpdateCluster(cluster):
            update_cluster(draft, cluster)
        case changes.AddInstance(instance, disks):
            add_instance(draft, instance, disks)
        case changes.UpdateInstance(instance):
            update_instance(draft, instance)
        case changes.RenameInstance(uuid, new_name, disks):
            rename_instance(draft, draft.get(Instance, Ref("instance", uuid)), new_name, disks)
        case changes.SetInstanceState(uuid):
            set_state(draft, draft.get(Instance, Ref("instance", uuid)), change)
        case changes.SetInstancePrimary(uuid, node_uuid):
            set_primary(draft, draft.get(Instance, Ref("instance", uuid)), node_uuid)
        case changes.RemoveInstance(uuid):
            remove_instance(draft, draft.get(Instance, Ref("instance", uuid)))
        case changes.RestoreCluster(cluster):
            update_cluster(draft, draft.rebased(cluster))
        case changes.RestoreGroup(group):
            draft.replace(draft.rebased(group))
        case changes.RestoreNode(node, digest):
            update_node(draft, draft.rebased(node), digest)
        case changes.RestoreInstance(instance):
            update_instance(draft, draft.rebased(instance))
        case changes.ChangeTags():
            _change_tags(draft, change)
        case _:
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
