"""OP_TAGS_DEL: remove tags from an object."""

from __future__ import annotations

from typing import Final

from gantry.operations.operation import Locks, Operation, step
from gantry.operations.tags.add import check_tags
from gantry.operations.tags.subject import find_subject, lock_subject
from gantry.operations.world import World
from gantry.protocols.changes import ChangeTags
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.tags import OpTagsDel
from gantry.protocols.steps import Commit, Plan


async def needed_locks(opcode: OpTagsDel, world: World) -> Locks:
    """Lock the object exclusively."""
    return await lock_subject(opcode.kind, opcode.name, "exclusive", world)


async def plan(opcode: OpTagsDel, world: World) -> Plan:
    """Remove the tags, all of which must be there."""
    subject = await find_subject(opcode.kind, opcode.name, world)
    gone = check_tags(opcode.tags)
    if missing := sorted(gone - subject.tags):
        text = f"{opcode.kind} {subject.name} has no tag {', '.join(missing)}"
        raise OpPrereqError(text, "unknown_entity")
    if not gone:
        return Plan(opcode.op_id(), OPERATION.version, ())
    do = Commit(ChangeTags(opcode.kind, subject.uuid, remove=gone))
    undo = Commit(ChangeTags(opcode.kind, subject.uuid, add=gone))
    return Plan(opcode.op_id(), OPERATION.version, (step("remove tags", "idempotent", do, undo),))


OPERATION: Final = Operation(OpTagsDel, needed_locks, plan)
