"""OP_GROUP_ASSIGN_NODES: move nodes into a node group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gantry.operations.lookup import disks_of, find_group, find_nodes
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.whole import EVERYTHING
from gantry.operations.world import World
from gantry.protocols.changes import AssignGroups
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import GroupUuid, NodeUuid
from gantry.protocols.opcodes.group import OpGroupAssignNodes
from gantry.protocols.steps import Commit, Plan
from gantry.protocols.wconfd import ConfigPart


async def needed_locks(opcode: OpGroupAssignNodes, world: World) -> Locks:
    """Lock the nodes, the groups that they leave and the one that they go to."""
    part = await world.read(EVERYTHING)
    nodes = find_nodes(part, opcode.nodes)
    groups = {find_group(part, opcode.group_name).uuid, *(node.group for node in nodes)}
    return locks(
        ("nodegroup", "exclusive", groups),
        ("node", "exclusive", [node.uuid for node in nodes]),
    )


async def plan(opcode: OpGroupAssignNodes, world: World) -> Plan:
    """Move them, all or none."""
    part = await world.read(EVERYTHING)
    group, nodes = find_group(part, opcode.group_name), find_nodes(part, opcode.nodes)
    now = {node.uuid: node.group for node in part.nodes.values()}
    then = {**now, **{node.uuid: group.uuid for node in nodes}}
    split = _split(part, then) - _split(part, now)
    if split and not opcode.force:
        text = f"the disks of {', '.join(sorted(split))} would be in two node groups (--force)"
        raise OpPrereqError(text, "wrong_state")
    if split:
        world.say(f"WARNING: in two node groups are now: {', '.join(sorted(split))}")
    before = {node.uuid: node.group for node in nodes if node.group != group.uuid}
    do, undo = AssignGroups(dict.fromkeys(before, group.uuid)), AssignGroups(before)
    move = step(f"move nodes to group {group.name}", "idempotent", Commit(do), Commit(undo))
    return Plan(opcode.op_id(), OPERATION.version, (move,) if before else ())


def _split(part: ConfigPart, groups: Mapping[NodeUuid, GroupUuid]) -> set[str]:
    """Return the names of the instances whose disks are in more than one group."""
    found = set()
    for instance in part.instances.values():
        nodes = {node for disk in disks_of(part, instance) for node in disk.nodes}
        if len({groups[node] for node in nodes | {instance.primary_node}}) > 1:
            found.add(instance.name)
    return found


OPERATION: Final = Operation(OpGroupAssignNodes, needed_locks, plan)
