"""OP_NODE_MIGRATE: submit a job for each instance of a node that migrates it away."""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import Hooks, with_hooks
from gantry.operations.lookup import find_node
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.opcodes.node import OpNodeMigrate
from gantry.protocols.opcodes.relocation import OpInstanceMigrate
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.steps import NoUndo, Plan, StepName, SubmitJobs
from gantry.protocols.wconfd import Selection

SUBMIT: Final = StepName("submit the migrations")


async def needed_locks(opcode: OpNodeMigrate, world: World) -> Locks:
    """Lock the node shared; the jobs lock what they change."""
    node = find_node(await world.read(Selection(nodes="all")), opcode.node_name)
    return locks(("node", "shared", [node.uuid]))


async def plan(opcode: OpNodeMigrate, world: World) -> Plan:
    """Submit a job for each of its primary instances."""
    part = await world.read(Selection(nodes="all", instances="all"))
    node = find_node(part, opcode.node_name)
    names = sorted(i.name for i in part.instances.values() if i.primary_node == node.uuid)
    jobs = tuple((dump_opcode(_migration(opcode, name)),) for name in names)
    back = NoUndo("the migrations are jobs of their own; cancel those that are not wanted")
    steps = (step(SUBMIT, "idempotent", SubmitJobs(jobs), back),)
    made = Plan(opcode.op_id(), OPERATION.version, steps, result_from=SUBMIT, result_key="jobs")
    master = (part.cluster.master_node,)
    told = {"NODE_NAME": node.name, "ALLOW_RUNTIME_CHANGES": opcode.allow_runtime_changes}
    return with_hooks(made, Hooks("node-migrate", "NODE", master, master, told), part)


def _migration(opcode: OpNodeMigrate, name: str) -> OpInstanceMigrate:
    return OpInstanceMigrate(
        instance_name=name,
        mode=opcode.mode,
        live=opcode.live,
        target_node=opcode.target_node,
        iallocator=opcode.iallocator,
        allow_runtime_changes=opcode.allow_runtime_changes,
        ignore_ipolicy=opcode.ignore_ipolicy,
        reason=opcode.reason,
        priority=opcode.priority,
    )


OPERATION: Final = Operation(OpNodeMigrate, needed_locks, plan)
