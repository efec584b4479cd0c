"""OP_CLUSTER_DEACTIVATE_MASTER_IP: take the cluster's address down on the master."""

from __future__ import annotations

from typing import Final

from gantry.operations.operation import Operation, step, the_whole_cluster
from gantry.operations.world import World
from gantry.protocols.noded import MasterAddress, call
from gantry.protocols.opcodes.cluster import OpClusterDeactivateMasterIp
from gantry.protocols.steps import NoUndo, Plan
from gantry.protocols.wconfd import Selection


async def plan(opcode: OpClusterDeactivateMasterIp, world: World) -> Plan:
    """Have the master's NodeD do it; doing it again changes nothing."""
    cluster = (await world.read(Selection())).cluster
    address = MasterAddress.of(cluster)
    wanted = call(cluster.master_node, lambda n, t: n.deactivate_master_ip(t, address))
    undo = NoUndo("the address is down, as was wanted")
    steps = (step("deactivate the master address", "idempotent", wanted, undo),)
    return Plan(opcode.op_id(), OPERATION.version, steps)


OPERATION: Final = Operation(OpClusterDeactivateMasterIp, the_whole_cluster, plan)
