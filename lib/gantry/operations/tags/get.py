"""OP_TAGS_GET: return the tags of an object."""

from __future__ import annotations

from typing import Final

from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.tags.subject import find_subject, lock_subject
from gantry.operations.world import World
from gantry.protocols.opcodes.tags import OpTagsGet
from gantry.protocols.steps import Plan


async def needed_locks(opcode: OpTagsGet, world: World) -> Locks:
    """Lock the object shared, if that is asked for."""
    if not opcode.use_locking:
        return locks()
    return await lock_subject(opcode.kind, opcode.name, "shared", world)


async def plan(opcode: OpTagsGet, world: World) -> Plan:
    """Do nothing but read."""
    subject = await find_subject(opcode.kind, opcode.name, world)
    return Plan(opcode.op_id(), OPERATION.version, (), sorted(subject.tags))


OPERATION: Final = Operation(OpTagsGet, needed_locks, plan)
