"""OP_CLUSTER_QUERY: return what describes the cluster, as LUXI's QueryClusterInfo does."""

from __future__ import annotations

from typing import Final

from gantry.core.query.cluster import cluster_info
from gantry.operations.operation import Operation, only_the_big_lock
from gantry.operations.whole import read_view
from gantry.operations.world import World
from gantry.protocols.opcodes.cluster import OpClusterQuery
from gantry.protocols.steps import Plan


async def plan(opcode: OpClusterQuery, world: World) -> Plan:
    """Do nothing but read."""
    result = cluster_info(await read_view(world), world.release())
    return Plan(opcode.op_id(), OPERATION.version, (), result)


OPERATION: Final = Operation(OpClusterQuery, only_the_big_lock, plan)
