"""OP_OS_DIAGNOSE: which OS definitions the nodes have, and whether they agree."""

from __future__ import annotations

from typing import Final

from gantry.core.query.os_fields import OS_DEFINITIONS
from gantry.operations.operation import Operation, only_the_big_lock
from gantry.operations.query.rows import known_os
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.os_definitions import OpOsDiagnose
from gantry.protocols.steps import Plan


async def plan(opcode: OpOsDiagnose, world: World) -> Plan:
    """Ask all nodes that run instances."""
    if unknown := sorted(set(opcode.output_fields) - OS_DEFINITIONS.fields.keys()):
        raise OpPrereqError(f"unknown output fields selected: {', '.join(unknown)}")
    fields = OS_DEFINITIONS.select(opcode.output_fields)
    rows = [
        [field.read(os)[1] for field in fields]
        for os in await known_os(world)
        if not opcode.names or os.name in opcode.names
    ]
    return Plan(opcode.op_id(), OPERATION.version, (), rows)


OPERATION: Final = Operation(OpOsDiagnose, only_the_big_lock, plan)
