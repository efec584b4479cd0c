"""Have an instance allocator choose nodes."""

from __future__ import annotations

from gantry.core.allocation.document import NodeFigures, document
from gantry.operations.lookup import find_node
from gantry.operations.operation import Locks, all_of
from gantry.operations.whole import EVERYTHING, view_of
from gantry.operations.world import NoAnswer, World
from gantry.protocols.codec import Malformed
from gantry.protocols.errors import OpExecError, OpPrereqError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.node import Node
from gantry.protocols.scripts.iallocator import DEFAULT, Request, nodes_of
from gantry.protocols.wconfd import ConfigPart

EVERY_NODE: Locks = (
    all_of("nodegroup", "shared"),
    all_of("node", "exclusive"),
    all_of("node-res", "exclusive"),
)
"""What is locked until the choice is made: two that chose at once would choose the same space."""


def allocator_for(name: str | None, cluster: Cluster) -> str:
    """Return the allocator to use: the named one or the cluster's default.

    Raises:
        OpPrereqError: the cluster has no default.
    """
    chosen = cluster.default_iallocator if name in (None, DEFAULT) else name
    if not chosen:
        raise OpPrereqError(
            "name a node (-n) or an instance allocator (-I): the cluster has no default allocator",
            "wrong_input",
        )
    return chosen


async def choose_node(
    world: World, allocator: str, request: Request, *, template: str, hypervisor: str
) -> Node:
    """Return the node that an allocator chooses for one instance.

    Args:
        world: where nodes are asked for their figures.
        allocator: its name.
        request: what is wanted.
        template: the disk template of the instance.
        hypervisor: the hypervisor of the instance.

    Raises:
        OpPrereqError: a node does not answer, or the allocator finds no place.
        OpExecError: the allocator does not do as allocators do.
    """
    part = await world.read(EVERYTHING)
    figures = await _figures(world, part, hypervisor)
    shown = document(view_of(part), figures, request, template)
    answer = await world.run_allocator(allocator, shown, part.cluster.default_iallocator_params)
    if not answer.success:
        raise OpPrereqError(
            f"instance allocator {allocator} finds no place for {request.name}: {answer.info}",
            "insufficient_resources",
        )
    try:
        (name,) = nodes_of(answer, 1)
    except Malformed as error:
        raise OpExecError(f"instance allocator {allocator}: {error}") from error
    world.say(f"instance allocator {allocator} chose node {name} for instance {request.name}")
    return find_node(part, name)


async def _figures(world: World, part: ConfigPart, hypervisor: str) -> dict[NodeUuid, NodeFigures]:
    asked = [node for node in part.nodes.values() if node.vm_capable and not node.offline]
    infos = await world.ask_all(asked, lambda _, n: n.info((hypervisor,)))
    running = await world.ask_all(asked, lambda _, n: n.instances((hypervisor,)))
    figures = {}
    for node in asked:
        info, instances = infos[node.uuid], running[node.uuid]
        if isinstance(info, NoAnswer) or isinstance(instances, NoAnswer):
            raise OpPrereqError(
                f"node {node.name} does not say what it has free; mark it offline if it is gone",
                "environment_error",
            )
        figures[node.uuid] = NodeFigures(info, instances)
    return figures
