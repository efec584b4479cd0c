"""OP_CLUSTER_VERIFY: submit a job for the configuration and one for each node group."""

from __future__ import annotations

from typing import Final

from gantry.operations.lookup import find_group
from gantry.operations.operation import Operation, only_the_big_lock, step
from gantry.operations.world import World
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.opcodes.verification import (
    OpClusterVerify,
    OpClusterVerifyConfig,
    OpClusterVerifyGroup,
)
from gantry.protocols.steps import NoUndo, Plan, StepName, SubmitJobs
from gantry.protocols.wconfd import Selection

SUBMIT: Final = StepName("submit the verification jobs")


async def plan(opcode: OpClusterVerify, world: World) -> Plan:
    """Submit; the groups' jobs wait for the configuration's."""
    part = await world.read(Selection(groups="all"))
    jobs: list[Opcode] = []
    if opcode.group_name is None:
        jobs.append(
            OpClusterVerifyConfig(
                debug_simulate_errors=opcode.debug_simulate_errors,
                error_codes=opcode.error_codes,
                ignore_errors=opcode.ignore_errors,
                verbose=opcode.verbose,
                reason=opcode.reason,
                priority=opcode.priority,
            )
        )
        names = sorted(group.name for group in part.groups.values())
    else:
        names = [find_group(part, opcode.group_name).name]
    jobs += [_group_job(opcode, name, after=len(jobs) + n) for n, name in enumerate(names)]
    submit = SubmitJobs(tuple((dump_opcode(job),) for job in jobs))
    once = NoUndo("the jobs only look; cancel those that are not wanted")
    steps = (step(SUBMIT, "idempotent", submit, once),)
    return Plan(opcode.op_id(), OPERATION.version, steps, result_from=SUBMIT, result_key="jobs")


def _group_job(opcode: OpClusterVerify, name: str, *, after: int) -> OpClusterVerifyGroup:
    """Return a group's opcode; ``after`` counts back to the configuration's job."""
    whole = opcode.group_name is None
    return OpClusterVerifyGroup(
        group_name=name,
        debug_simulate_errors=opcode.debug_simulate_errors,
        error_codes=opcode.error_codes,
        skip_checks=opcode.skip_checks,
        ignore_errors=opcode.ignore_errors,
        verbose=opcode.verbose,
        verify_clutter=opcode.verify_clutter,
        depends=((-after, ()),) if whole else None,
        reason=opcode.reason,
        priority=opcode.priority,
    )


OPERATION: Final = Operation(OpClusterVerify, only_the_big_lock, plan)
