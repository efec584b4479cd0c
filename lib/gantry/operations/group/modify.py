"""OP_GROUP_SET_PARAMS: change a node group's settings."""

from __future__ import annotations

from typing import Final

from gantry.operations.group.hooks import group_hooks
from gantry.operations.group.settings import differences, with_settings
from gantry.operations.hooks import with_hooks
from gantry.operations.lookup import find_group
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.updates import update_group
from gantry.operations.whole import EVERYTHING
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.group import OpGroupSetParams
from gantry.protocols.steps import Plan

SETTINGS: Final = ("alloc_policy", "ndparams", "diskparams", "ipolicy", "hv_state", "disk_state")


async def needed_locks(opcode: OpGroupSetParams, world: World) -> Locks:
    """Lock the group, and its instances shared."""
    part = await world.read(EVERYTHING)
    group = find_group(part, opcode.group_name)
    members = {node.uuid for node in part.nodes.values() if node.group == group.uuid}
    instances = [i.name for i in part.instances.values() if i.primary_node in members]
    return locks(("instance", "shared", instances), ("nodegroup", "exclusive", [group.uuid]))


async def plan(opcode: OpGroupSetParams, world: World) -> Plan:
    """Change it; the result lists what changed."""
    if all(getattr(opcode, name) is None for name in SETTINGS):
        raise OpPrereqError("say what to change: nothing was given", "wrong_input")
    part = await world.read(EVERYTHING)
    group = find_group(part, opcode.group_name)
    changed = with_settings(group, opcode, part.cluster)
    steps = (update_group(group, changed),)
    made = Plan(opcode.op_id(), OPERATION.version, steps, differences(group, changed))
    told = {"GROUP_NAME": group.name, "NEW_ALLOC_POLICY": changed.alloc_policy}
    return with_hooks(made, group_hooks("group-modify", part, told), part)


OPERATION: Final = Operation(OpGroupSetParams, needed_locks, plan)
