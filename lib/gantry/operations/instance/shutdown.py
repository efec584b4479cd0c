"""OP_INSTANCE_SHUTDOWN: stop an instance."""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import with_hooks
from gantry.operations.instance.hook_variables import instance_hooks, instance_variables
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import running_on, set_state, stop
from gantry.operations.lookup import disks_of, read_instance
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.instance import OpInstanceShutdown
from gantry.protocols.steps import Plan, Step


async def needed_locks(opcode: OpInstanceShutdown, world: World) -> Locks:
    """Lock the instance."""
    _, instance = await read_instance(world, opcode.instance_name)
    return locks(("instance", "exclusive", [instance.name]))


async def plan(opcode: OpInstanceShutdown, world: World) -> Plan:
    """Note that it should not run, then stop it."""
    part, instance = await read_instance(world, opcode.instance_name)
    if instance.admin_state == "offline" and not opcode.force:
        text = f"instance {instance.name} is marked offline: there is nothing to stop"
        raise OpPrereqError(text, "wrong_state")
    spec = instance_spec(part, instance)
    node = part.nodes[instance.primary_node]
    source = opcode.admin_state_source or "admin"
    steps: list[Step] = [] if opcode.no_remember else [set_state(instance, "down", source)]
    if node.offline and opcode.ignore_offline_nodes:
        world.say(f"node {node.name} is offline: instance {instance.name} is only marked as down")
        return Plan(opcode.op_id(), OPERATION.version, tuple(steps))
    was_running = await running_on(world, node, spec) is not None
    steps.append(stop(spec, float(opcode.timeout), was_running=was_running))
    variables = instance_variables(part, instance, spec, disks_of(part, instance), "down")
    hooks = instance_hooks("instance-stop", part, spec, {"TIMEOUT": opcode.timeout, **variables})
    return with_hooks(Plan(opcode.op_id(), OPERATION.version, tuple(steps)), hooks, part)


OPERATION: Final = Operation(OpInstanceShutdown, needed_locks, plan)
