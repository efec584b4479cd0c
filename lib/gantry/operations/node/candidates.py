"""Steps by which nodes become master candidates, or cease to be."""

from __future__ import annotations

from collections.abc import Iterable

from gantry.operations.node.roles import candidates_missing, role_of, with_role
from gantry.operations.updates import update_node
from gantry.operations.world import World
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.node import Node
from gantry.protocols.steps import Step


async def change_node(world: World, cluster: Cluster, node: Node, changed: Node) -> Step:
    """Return the step that changes a node; one that becomes a candidate shows its certificate.

    Raises:
        OpPrereqError: it does not answer.
    """
    digest = None
    if changed.master_candidate and not node.master_candidate:
        digest = (await world.ask(node, lambda n: n.version())).certificate_digest
    listed = cluster.candidate_certs.get(node.uuid)
    return update_node(node, changed, listed=listed, digest=digest)


async def fill_pool(
    world: World, cluster: Cluster, nodes: list[Node], spared: Iterable[str] = ()
) -> list[Step]:
    """Return the steps that promote regular nodes until there are enough candidates.

    Args:
        world: where the nodes are asked for their certificates.
        cluster: says how many there should be.
        nodes: all nodes.
        spared: the names of those that are not to be promoted.
    """
    free = [
        each
        for each in sorted(nodes, key=lambda each: each.name)
        if each.master_capable and role_of(each) == "regular" and each.name not in spared
    ]
    chosen = free[: candidates_missing(cluster, nodes)]
    world.say(*(f"node {each.name} is promoted to master candidate" for each in chosen))
    return [
        await change_node(world, cluster, each, with_role(each, "candidate")) for each in chosen
    ]
