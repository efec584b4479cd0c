"""OP_CLUSTER_VERIFY_DISKS: submit a job for each node group that looks at its disks."""

from __future__ import annotations

from typing import Final

from gantry.operations.lookup import find_group
from gantry.operations.operation import Locks, Operation, all_of, locks, step
from gantry.operations.world import World
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.opcodes.verification import OpClusterVerifyDisks, OpGroupVerifyDisks
from gantry.protocols.steps import NoUndo, Plan, StepName, SubmitJobs
from gantry.protocols.wconfd import Selection

SUBMIT: Final = StepName("submit the jobs that look at the disks")


async def needed_locks(opcode: OpClusterVerifyDisks, world: World) -> Locks:
    """Lock the groups shared, so that none comes or goes."""
    if opcode.group_name is None:
        return (*locks(), all_of("nodegroup", "shared"))
    part = await world.read(Selection(groups="all"))
    return locks(("nodegroup", "shared", [find_group(part, opcode.group_name).uuid]))


async def plan(opcode: OpClusterVerifyDisks, world: World) -> Plan:
    """Submit; the jobs wait for nothing."""
    part = await world.read(Selection(groups="all"))
    names = sorted(group.name for group in part.groups.values())
    if opcode.group_name is not None:
        names = [find_group(part, opcode.group_name).name]
    jobs = tuple(
        (
            dump_opcode(
                OpGroupVerifyDisks(group_name=name, reason=opcode.reason, priority=opcode.priority)
            ),
        )
        for name in names
    )
    only_looks = NoUndo("the jobs only look; cancel those that are not wanted")
    steps = (step(SUBMIT, "idempotent", SubmitJobs(jobs), only_looks),)
    return Plan(opcode.op_id(), OPERATION.version, steps, result_from=SUBMIT, result_key="jobs")


OPERATION: Final = Operation(OpClusterVerifyDisks, needed_locks, plan)
