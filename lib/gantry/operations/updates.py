"""Steps that replace an object of the configuration, and put it back when they are undone.

The job holds the object's lock from its plan to its end.
"""

from __future__ import annotations

from gantry.operations.operation import step
from gantry.protocols.changes import (
    RestoreCluster,
    RestoreGroup,
    RestoreInstance,
    RestoreNode,
    UpdateCluster,
    UpdateGroup,
    UpdateInstance,
    UpdateNode,
)
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.steps import Commit, Step


def update_cluster(old: Cluster, new: Cluster) -> Step:
    """Return the step that changes the cluster's own settings."""
    do, undo = Commit(UpdateCluster(new)), Commit(RestoreCluster(old))
    return step("change the cluster's settings", "idempotent", do, undo)


def update_group(old: NodeGroup, new: NodeGroup) -> Step:
    """Return the step that changes a node group."""
    do, undo = Commit(UpdateGroup(new)), Commit(RestoreGroup(old))
    return step(f"change node group {old.name}", "idempotent", do, undo)


def update_instance(old: Instance, new: Instance) -> Step:
    """Return the step that changes an instance."""
    do, undo = Commit(UpdateInstance(new)), Commit(RestoreInstance(old))
    return step(f"change instance {old.name}", "idempotent", do, undo)


def update_node(old: Node, new: Node, *, listed: str | None, digest: str | None = None) -> Step:
    """Return the step that changes a node.

    Args:
        old: the node as it is.
        new: the node as it is to be.
        listed: the digest of its certificate that the cluster lists, if it is a candidate.
        digest: that of the certificate which it has, if it is to become one.
    """
    do, undo = Commit(UpdateNode(new, digest)), Commit(RestoreNode(old, listed))
    return step(f"change node {old.name}", "idempotent", do, undo)
