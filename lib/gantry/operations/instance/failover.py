"""OP_INSTANCE_FAILOVER: stop an instance and start it on another node."""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import Hooks, with_hooks
from gantry.operations.instance.hook_variables import instance_variables
from gantry.operations.instance.relocation import (
    check_target,
    relocation_locks,
    relocation_target,
)
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import at_node, check_memory, running_on, start, stop
from gantry.operations.instance.whereabouts import note_whereabouts
from gantry.operations.lookup import disks_of, read_instance
from gantry.operations.operation import Operation, step, unique
from gantry.operations.world import World
from gantry.protocols.changes import SetInstancePrimary
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.relocation import OpInstanceFailover
from gantry.protocols.runtime_types import InstanceSpec
from gantry.protocols.steps import Commit, Plan, Step
from gantry.protocols.wconfd import ConfigPart


async def plan(opcode: OpInstanceFailover, world: World) -> Plan:
    """Stop it, note the new node, start it there if it should be running."""
    part, instance = await read_instance(world, opcode.instance_name)
    target = await relocation_target(opcode, world, part, instance)
    spec = instance_spec(part, instance)
    if opcode.cleanup:
        steps = await note_whereabouts(world, part, instance, target)
        return Plan(opcode.op_id(), OPERATION.version, steps)
    check_target(opcode, part, instance, spec, target)
    source = part.nodes[instance.primary_node]
    runs = await _runs(opcode, world, source, spec)
    steps = await failover_steps(
        world, instance, spec, target, runs=runs, stop_seconds=float(opcode.shutdown_timeout)
    )
    made = Plan(opcode.op_id(), OPERATION.version, steps)
    return with_hooks(made, _hooks(opcode, part, instance, spec, target), part)


async def _runs(
    opcode: OpInstanceFailover, world: World, source: Node, spec: InstanceSpec
) -> bool | None:
    """Whether the instance runs on the node that it leaves; ``None`` if that node is gone.

    Raises:
        OpPrereqError: the node should answer and does not, and this is not to be ignored.
    """
    if source.offline:
        world.say(f"node {source.name} is offline: the instance is not stopped there")
        return None
    try:
        return await running_on(world, source, spec) is not None
    except OpPrereqError as error:
        if not opcode.ignore_consistency:
            text = (
                f"{error}; mark the node offline once it is powered off, or give "
                "--ignore-consistency"
            )
            raise OpPrereqError(text, "environment_error") from error
        world.say(f"WARNING: {error}; the instance may still run on node {source.name}")
        return None


async def failover_steps(
    world: World,
    instance: Instance,
    spec: InstanceSpec,
    target: Node,
    *,
    runs: bool | None,
    stop_seconds: float,
) -> tuple[Step, ...]:
    """Return the steps of a failover.

    Args:
        world: where the target's memory is asked for.
        instance: the instance.
        spec: the instance as its node has to run it.
        target: where it goes.
        runs: whether it runs now; ``None`` if its node can not be asked, nor be told to stop it.
        stop_seconds: how long the guest may take for powering off.

    Raises:
        OpPrereqError: the instance should run, and the target has no memory for it.
    """
    moved = Commit(SetInstancePrimary(instance.uuid, target.uuid))
    back = Commit(SetInstancePrimary(instance.uuid, instance.primary_node))
    steps = [step("note the new primary node", "idempotent", moved, back)]
    if runs is not None:
        steps.insert(0, stop(spec, stop_seconds, was_running=runs))
    if instance.admin_state == "up":
        await check_memory(world, target, spec)
        steps.append(start(at_node(spec, target)))
    return tuple(steps)


def _hooks(
    opcode: OpInstanceFailover,
    part: ConfigPart,
    instance: Instance,
    spec: InstanceSpec,
    target: Node,
) -> Hooks:
    source = part.nodes[instance.primary_node]
    told = {
        "IGNORE_CONSISTENCY": opcode.ignore_consistency,
        "SHUTDOWN_TIMEOUT": opcode.shutdown_timeout,
        "OLD_PRIMARY": source.name,
        "NEW_PRIMARY": target.name,
        "OLD_SECONDARY": "",
        "NEW_SECONDARY": "",
        "FAILOVER_CLEANUP": opcode.cleanup,
        **instance_variables(part, instance, spec, disks_of(part, instance), instance.admin_state),
    }
    before = unique((part.cluster.master_node, *spec.secondary_nodes, target.uuid))
    after = unique((*before, source.uuid))
    return Hooks("instance-failover", "INSTANCE", before, after, told)


OPERATION: Final = Operation(OpInstanceFailover, relocation_locks, plan)
