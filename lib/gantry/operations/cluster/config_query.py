"""OP_CLUSTER_CONFIG_QUERY: return single values that describe the cluster."""

from __future__ import annotations

from typing import Final

from gantry.core.query.cluster_fields import CLUSTER
from gantry.operations.operation import Operation, only_the_big_lock
from gantry.operations.query.rows import cluster_row
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.cluster import OpClusterConfigQuery
from gantry.protocols.steps import Plan


async def plan(opcode: OpClusterConfigQuery, world: World) -> Plan:
    """Read the fields of the cluster's only row; what is not set is ``None``."""
    if unknown := sorted(set(opcode.output_fields) - CLUSTER.fields.keys()):
        text = f"there are no output fields {', '.join(unknown)}"
        raise OpPrereqError(text, "wrong_input")
    row = await cluster_row(world)
    values = [field.read(row)[1] for field in CLUSTER.select(opcode.output_fields)]
    return Plan(opcode.op_id(), OPERATION.version, (), values)


OPERATION: Final = Operation(OpClusterConfigQuery, only_the_big_lock, plan)
