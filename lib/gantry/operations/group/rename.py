"""OP_GROUP_RENAME: give a node group another name."""

from __future__ import annotations

from typing import Final

import attrs

from gantry.operations.group.hooks import group_hooks
from gantry.operations.group.settings import check_name
from gantry.operations.hooks import with_hooks
from gantry.operations.lookup import find_group
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.updates import update_group
from gantry.operations.world import World
from gantry.protocols.opcodes.group import OpGroupRename
from gantry.protocols.steps import Plan
from gantry.protocols.wconfd import Selection, Want


async def needed_locks(opcode: OpGroupRename, world: World) -> Locks:
    """Lock the group."""
    part = await world.read(Selection(groups="all"))
    return locks(("nodegroup", "exclusive", [find_group(part, opcode.group_name).uuid]))


async def plan(opcode: OpGroupRename, world: World) -> Plan:
    """Rename it; the result is the new name."""
    part = await world.read(Selection(groups="all", nodes="all"))
    group = find_group(part, opcode.group_name)
    new_name = check_name(part, opcode.new_name)
    await world.reserve(Want("node group name", new_name))
    renamed = update_group(group, attrs.evolve(group, name=new_name))
    members = [node.uuid for node in part.nodes.values() if node.group == group.uuid]
    told = {"OLD_NAME": group.name, "NEW_NAME": new_name}
    made = Plan(opcode.op_id(), OPERATION.version, (renamed,), new_name)
    return with_hooks(made, group_hooks("group-rename", part, told, *members), part)


OPERATION: Final = Operation(OpGroupRename, needed_locks, plan)
