"""OP_GROUP_REMOVE: remove an empty node group."""

from __future__ import annotations

from typing import Final

from gantry.operations.group.hooks import group_hooks
from gantry.operations.hooks import with_hooks
from gantry.operations.lookup import find_group
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.changes import AddGroup, RemoveGroup
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.group import OpGroupRemove
from gantry.protocols.steps import Commit, Plan
from gantry.protocols.wconfd import Selection


async def needed_locks(opcode: OpGroupRemove, world: World) -> Locks:
    """Lock the group."""
    part = await world.read(Selection(groups="all"))
    return locks(("nodegroup", "exclusive", [find_group(part, opcode.group_name).uuid]))


async def plan(opcode: OpGroupRemove, world: World) -> Plan:
    """Remove it, unless it has nodes or is the last one."""
    part = await world.read(Selection(groups="all", nodes="all"))
    group = find_group(part, opcode.group_name)
    nodes = sorted(node.name for node in part.nodes.values() if node.group == group.uuid)
    if nodes:
        text = f"node group {group.name} still has the nodes {', '.join(nodes)}; move them first"
        raise OpPrereqError(text, "wrong_state")
    if len(part.groups) == 1:
        text = f"node group {group.name} is the last one, and a cluster has at least one"
        raise OpPrereqError(text, "wrong_state")
    do, undo = Commit(RemoveGroup(group.uuid)), Commit(AddGroup(group))
    removed = step(f"remove node group {group.name}", "idempotent", do, undo)
    made = Plan(opcode.op_id(), OPERATION.version, (removed,))
    return with_hooks(made, group_hooks("group-remove", part, {"GROUP_NAME": group.name}), part)


OPERATION: Final = Operation(OpGroupRemove, needed_locks, plan)
