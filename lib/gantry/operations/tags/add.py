"""OP_TAGS_SET: add tags to an object."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gantry.operations.operation import Locks, Operation, step
from gantry.operations.tags.subject import find_subject, lock_subject
from gantry.operations.world import World
from gantry.protocols.changes import ChangeTags
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.tags import OpTagsSet
from gantry.protocols.steps import Commit, Plan

TAG: Final = re.compile(r"[A-Za-z0-9.+*/:@_-]{1,128}")
TAGS_MAX: Final = 4096
"""For each object, as in Ganeti."""


def check_tags(tags: Iterable[str]) -> frozenset[str]:
    """Return the tags.

    Raises:
        OpPrereqError: one has characters or a length that tags do not have.
    """
    checked = frozenset(tags)
    for tag in checked:
        if not TAG.fullmatch(tag):
            raise OpPrereqError(
                f"{tag[:140]!r} can not be a tag: 1 to 128 letters, digits or any of .+*/:@_-"
            )
    return checked


async def needed_locks(opcode: OpTagsSet, world: World) -> Locks:
    """Lock the object exclusively."""
    return await lock_subject(opcode.kind, opcode.name, "exclusive", world)


async def plan(opcode: OpTagsSet, world: World) -> Plan:
    """Add what is not there yet."""
    subject = await find_subject(opcode.kind, opcode.name, world)
    new = check_tags(opcode.tags) - subject.tags
    if len(subject.tags | new) > TAGS_MAX:
        raise OpPrereqError(f"{opcode.kind} {subject.name} would have over {TAGS_MAX} tags")
    if not new:
        return Plan(opcode.op_id(), OPERATION.version, ())
    do = Commit(ChangeTags(opcode.kind, subject.uuid, add=new))
    undo = Commit(ChangeTags(opcode.kind, subject.uuid, remove=new))
    return Plan(opcode.op_id(), OPERATION.version, (step("add tags", "idempotent", do, undo),))


OPERATION: Final = Operation(OpTagsSet, needed_locks, plan)
