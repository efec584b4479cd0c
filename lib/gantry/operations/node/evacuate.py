"""OP_NODE_EVACUATE: submit the jobs by which instances leave a node, as an allocator says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from gantry.operations.allocation import allocator_for, plan_evacuation
from gantry.operations.lookup import find_node
from gantry.operations.operation import Locks, Operation, all_of, locks, step
from gantry.operations.whole import EVERYTHING, view_of
from gantry.operations.world import World
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpExecError, OpPrereqError
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.disks import OpInstanceReplaceDisks
from gantry.protocols.opcodes.node import OpNodeEvacuate
from gantry.protocols.opcodes.parsing import BadOpcode, parse_opcode
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.scripts.iallocator import Evacuate
from gantry.protocols.steps import NoUndo, Plan, StepName, SubmitJobs
from gantry.protocols.wconfd import ConfigPart

SUBMIT: Final = StepName("submit the evacuation")


async def needed_locks(opcode: OpNodeEvacuate, world: World) -> Locks:
    """Lock the instances, all groups and all nodes shared; the jobs lock what they change."""
    part = await world.read(EVERYTHING)
    leaving = _leaving(opcode, part, find_node(part, opcode.node_name))
    every = (all_of("nodegroup", "shared"), all_of("node", "shared"))
    return (*locks(("instance", "shared", leaving)), *every)


def _leaving(opcode: OpNodeEvacuate, part: ConfigPart, node: Node) -> list[str]:
    view = view_of(part)
    found = [
        each.name
        for each in part.instances.values()
        if (opcode.mode != "secondary-only" and each.primary_node == node.uuid)
        or (opcode.mode != "primary-only" and node.uuid in view.secondary_nodes(each))
    ]
    return sorted(found)


async def plan(opcode: OpNodeEvacuate, world: World) -> Plan:
    """Ask an allocator, and submit what it wants."""
    part = await world.read(EVERYTHING)
    node = find_node(part, opcode.node_name)
    if opcode.remote_node is not None:
        text = "only mirrored disks have a secondary node to be named; have an allocator choose"
        raise OpPrereqError(text, "wrong_input")
    leaving = _leaving(opcode, part, node)
    if not leaving:
        world.say(f"no instance has to leave node {node.name}")
        return Plan(opcode.op_id(), OPERATION.version, (), {"jobs": []})
    found = await plan_evacuation(
        world,
        allocator_for(opcode.iallocator, part.cluster),
        Evacuate(tuple(leaving), opcode.mode),
        ignore_soft_errors=bool(opcode.ignore_soft_errors),
    )
    jobs = tuple(tuple(_normal(opcode, each) for each in job) for job in found.jobs)
    back = NoUndo("the moves are jobs of their own; cancel those that are not wanted")
    steps = (step(SUBMIT, "idempotent", SubmitJobs(jobs), back),)
    return Plan(opcode.op_id(), OPERATION.version, steps, result_from=SUBMIT, result_key="jobs")


def _normal(opcode: OpNodeEvacuate, given: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return an opcode of the allocator's in the form in which it is stored.

    Raises:
        OpExecError: it is none.
    """
    try:
        parsed = parse_opcode({"reason": [], **given})
    except BadOpcode as error:
        text = f"the instance allocator wants an opcode that is none: {error}"
        raise OpExecError(text) from error
    if isinstance(parsed, OpInstanceReplaceDisks):
        parsed = attrs.evolve(parsed, early_release=opcode.early_release)
    return dump_opcode(attrs.evolve(parsed, reason=opcode.reason, priority=opcode.priority))


OPERATION: Final = Operation(OpNodeEvacuate, needed_locks, plan)
