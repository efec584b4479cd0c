"""OP_GROUP_ADD: add an empty node group."""

from __future__ import annotations

from typing import Final

from gantry.operations.group.hooks import group_hooks
from gantry.operations.group.settings import check_name, with_settings
from gantry.operations.hooks import with_hooks
from gantry.operations.operation import Operation, only_the_big_lock, step
from gantry.operations.world import World
from gantry.protocols.changes import AddGroup, RemoveGroup
from gantry.protocols.identity import GroupUuid
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.opcodes.group import OpGroupAdd
from gantry.protocols.steps import Commit, Plan
from gantry.protocols.wconfd import Selection, Want


async def plan(opcode: OpGroupAdd, world: World) -> Plan:
    """Add it; nobody can know it before, so that no lock stands for it."""
    part = await world.read(Selection(groups="all", nodes="all"))
    name = check_name(part, opcode.group_name)
    uuid, _ = await world.reserve(Want("uuid"), Want("node group name", name))
    empty = NodeGroup(
        name=name,
        ndparams={},
        alloc_policy="preferred",
        ipolicy={},
        diskparams={},
        networks={},
        ctime=world.now(),
        mtime=world.now(),
        uuid=GroupUuid(uuid),
        serial_no=1,
    )
    group = with_settings(empty, opcode, part.cluster)
    do, undo = Commit(AddGroup(group)), Commit(RemoveGroup(group.uuid))
    added = step(f"add node group {name}", "idempotent", do, undo)
    made = Plan(opcode.op_id(), OPERATION.version, (added,))
    return with_hooks(made, group_hooks("group-add", part, {"GROUP_NAME": name}), part)


OPERATION: Final = Operation(OpGroupAdd, only_the_big_lock, plan)
