"""Changes of nodes and node groups."""

from __future__ import annotations

from gantry.core.config.cluster_changes import touch_cluster, with_certificate
from gantry.core.config.draft import Draft, Refusal
from gantry.core.config.rules import broken
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.node import Node


def add_node(draft: Draft, node: Node, digest: str | None) -> None:
    """Add a node; the cluster lists the certificate of a master candidate."""
    draft.add(node)
    listed = digest if node.master_candidate else None
    touch_cluster(draft, with_certificate(draft.configuration.cluster, node.uuid, listed))


def update_node(draft: Draft, node: Node, digest: str | None) -> None:
    """Replace a node, and keep the list of candidates' certificates in step."""
    draft.replace(node)
    cluster = draft.configuration.cluster
    listed = cluster.candidate_certs.get(node.uuid)
    wanted = (digest or listed) if node.master_candidate else None
    if wanted != listed:
        touch_cluster(draft, with_certificate(cluster, node.uuid, wanted))


def remove_node(draft: Draft, node: Node) -> None:
    """Remove a node that nothing uses."""
    cluster = draft.configuration.cluster
    if cluster.master_node == node.uuid:
        raise Refusal(broken("the master stays", node, "is the master"))
    draft.remove(node)
    touch_cluster(draft, with_certificate(cluster, node.uuid, None))


def remove_group(draft: Draft, group: NodeGroup) -> None:
    """Remove a group without nodes that is not the last one."""
    if len(draft.configuration.nodegroups) == 1:
        raise Refusal(broken("there is a node group", group, "is the last node group"))
    draft.remove(group)
