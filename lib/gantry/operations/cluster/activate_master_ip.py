"""OP_CLUSTER_ACTIVATE_MASTER_IP: bring the cluster's address up on the master."""

from __future__ import annotations

from typing import Final

from gantry.operations.operation import Operation, step, the_whole_cluster
from gantry.operations.world import World
from gantry.protocols.noded import MasterAddress, call
from gantry.protocols.opcodes.cluster import OpClusterActivateMasterIp
from gantry.protocols.steps import NoUndo, Plan
from gantry.protocols.wconfd import Selection


async def plan(opcode: OpClusterActivateMasterIp, world: World) -> Plan:
    """Have the master's NodeD do it; doing it again changes nothing."""
    cluster = (await world.read(Selection())).cluster
    address = MasterAddress.of(cluster)
    wanted = call(cluster.master_node, lambda n, t: n.activate_master_ip(t, address))
    undo = NoUndo("the address that was brought up may stay")
    steps = (step("activate the master address", "idempotent", wanted, undo),)
    return Plan(opcode.op_id(), OPERATION.version, steps)


OPERATION: Final = Operation(OpClusterActivateMasterIp, the_whole_cluster, plan)
