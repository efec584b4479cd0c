"""Changes of nodes."""

from __future__ import annotations

from typing import assert_never

from gantry.core.config.breaches import broken
from gantry.core.config.claims import Ref
from gantry.core.config.cluster_changes import touch_cluster, with_certificate
from gantry.core.config.draft import Draft, Refusal
from gantry.protocols.changes import AddNode, NodeChange, RemoveNode, RestoreNode, UpdateNode
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.node import Node


def change_nodes(draft: Draft, change: NodeChange) -> None:
    """Make a change of a node."""
    match change:
        case AddNode(node, digest):
            _add(draft, node, digest)
        case UpdateNode(node, digest):
            _update(draft, node, digest)
        case RestoreNode(node, digest):
            _update(draft, draft.rebased(node), digest)
        case RemoveNode(uuid):
            _remove(draft, draft.get(Node, Ref("node", uuid)))
        case _:
            assert_never(change)


def _add(draft: Draft, node: Node, digest: str | None) -> None:
    """Add a node; the cluster lists the certificate of a master candidate."""
    draft.add(node)
    listed = digest if node.master_candidate else None
    touch_cluster(draft, with_certificate(draft.configuration.cluster, node.uuid, listed))


def _update(draft: Draft, node: Node, digest: str | None) -> None:
    """Replace a node, and keep the list of candidates' certificates in step."""
    draft.replace(node)
    cluster = draft.configuration.cluster
    listed = cluster.candidate_certs.get(node.uuid)
    wanted = (digest or listed) if node.master_candidate else None
    if wanted != listed:
        touch_cluster(draft, with_certificate(cluster, node.uuid, wanted))


def _remove(draft: Draft, node: Node) -> None:
    """Remove a node that nothing uses. What jobs have left there is of no concern any more."""
    cluster = draft.configuration.cluster
    if cluster.master_node == node.uuid:
        raise Refusal(broken("the master stays", node, "is the master"))
    for user in draft.users(node):
        if isinstance(user, Leftover):
            draft.remove(user)
    draft.remove(node)
    touch_cluster(draft, with_certificate(cluster, node.uuid, None))
