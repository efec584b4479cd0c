"""Have an instance allocator choose nodes."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from attrs import field, frozen

from gantry.core.allocation.document import NodeFigures, document
from gantry.operations.lookup import find_node
from gantry.operations.operation import Locks, all_of
from gantry.operations.whole import EVERYTHING, view_of
from gantry.operations.world import NoAnswer, World
from gantry.protocols.codec import Json, Malformed
from gantry.protocols.errors import OpExecError, OpPrereqError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.node import Node
from gantry.protocols.scripts.iallocator import (
    DEFAULT,
    Answer,
    Evacuate,
    Evacuation,
    Placement,
    Request,
    evacuation_of,
    nodes_of,
)
from gantry.protocols.wconfd import ConfigPart

EVERY_NODE: Locks = (
    all_of("nodegroup", "shared"),
    all_of("node", "exclusive"),
    all_of("node-res", "exclusive"),
)
"""What is locked until the choice is made: two that chose at once would choose the same space."""


@frozen
class About:
    """What a question to an allocator is about."""

    template: str
    """The disk template for which nodes say what space they have."""
    hypervisor: str
    """The hypervisor that nodes are asked about."""
    parameters: Mapping[str, Json] = field(factory=dict)
    """For the allocator, besides those of the cluster."""


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
    world: World, allocator: str, request: Placement, *, template: str, hypervisor: str
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
    answer = await _consult(world, part, allocator, request, About(template, hypervisor))
    try:
        (name,) = nodes_of(answer, 1)
    except Malformed as error:
        raise OpExecError(f"instance allocator {allocator}: {error}") from error
    world.say(f"instance allocator {allocator} chose node {name} for instance {request.name}")
    return find_node(part, name)


async def plan_evacuation(
    world: World, allocator: str, request: Evacuate, *, ignore_soft_errors: bool
) -> Evacuation:
    """Return how an allocator wants instances to leave their nodes.

    Raises:
        OpPrereqError: a node does not answer, or the allocator finds no way for all of them.
        OpExecError: the allocator does not do as allocators do.
    """
    part = await world.read(EVERYTHING)
    more: dict[str, Json] = {"ignore-soft-errors": None} if ignore_soft_errors else {}
    usual = About(part.cluster.enabled_disk_templates[0], part.cluster.enabled_hypervisors[0])
    answer = await _consult(world, part, allocator, request, attrs.evolve(usual, parameters=more))
    try:
        found = evacuation_of(answer)
    except Malformed as error:
        raise OpExecError(f"instance allocator {allocator}: {error}") from error
    if found.failed:
        why = "; ".join(f"{name}: {reason}" for name, reason in sorted(found.failed.items()))
        text = f"instance allocator {allocator} finds no way for all instances: {why}"
        raise OpPrereqError(text, "insufficient_resources")
    return found


async def _consult(
    world: World,
    part: ConfigPart,
    allocator: str,
    request: Request,
    about: About,
) -> Answer:
    figures = await _figures(world, part, about.hypervisor)
    shown = document(view_of(part), figures, request, about.template)
    parameters = {**part.cluster.default_iallocator_params, **about.parameters}
    answer = await world.run_allocator(allocator, shown, parameters)
    if not answer.success:
        text = f"instance allocator {allocator} finds no place: {answer.info}"
        raise OpPrereqError(text, "insufficient_resources")
    return answer


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
