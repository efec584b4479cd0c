"""OP_CLUSTER_DESTROY: make sure that a cluster may be taken down.

The job only checks, since it lives on what is taken down: the command that submitted it then
stops the daemons and removes the cluster's files from the master.
"""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import Hooks, with_hooks
from gantry.operations.operation import Operation, the_whole_cluster
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.cluster import OpClusterDestroy
from gantry.protocols.steps import Plan
from gantry.protocols.wconfd import Selection


async def plan(opcode: OpClusterDestroy, world: World) -> Plan:
    """Check that nothing is left but the master; the result is its UUID."""
    part = await world.read(Selection(nodes="all", instances="all"))
    others = [n.name for n in part.nodes.values() if n.uuid != part.cluster.master_node]
    if others:
        text = f"the cluster still has the nodes {', '.join(sorted(others))}; remove them first"
        raise OpPrereqError(text)
    if part.instances:
        names = ", ".join(sorted(each.name for each in part.instances.values()))
        raise OpPrereqError(f"the cluster still has the instances {names}; remove them first")
    master = part.cluster.master_node
    hooks = Hooks(
        "cluster-destroy", "CLUSTER", (), (master,), {"OP_TARGET": part.cluster.cluster_name}
    )
    return with_hooks(Plan(opcode.op_id(), OPERATION.version, (), master), hooks, part)


OPERATION: Final = Operation(OpClusterDestroy, the_whole_cluster, plan)
