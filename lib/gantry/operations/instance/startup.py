"""OP_INSTANCE_STARTUP: start an instance."""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import with_hooks
from gantry.operations.instance.hook_variables import instance_hooks, instance_variables
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import look_on, require_memory, running, set_state, start
from gantry.operations.lookup import disks_of, read_instance
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.instance import OpInstanceStartup
from gantry.protocols.parameters.backend import parse_beparams
from gantry.protocols.parameters.hypervisor import HYPERVISORS
from gantry.protocols.parameters.parameter_set import parse_edits
from gantry.protocols.steps import Plan, Step


async def needed_locks(opcode: OpInstanceStartup, world: World) -> Locks:
    """Lock the instance."""
    _, instance = await read_instance(world, opcode.instance_name)
    return locks(("instance", "exclusive", [instance.name]))


async def plan(opcode: OpInstanceStartup, world: World) -> Plan:
    """Note that it should run, then start it; one that runs already is only noted."""
    part, instance = await read_instance(world, opcode.instance_name)
    if instance.admin_state == "offline":
        raise OpPrereqError(
            f"instance {instance.name} is marked offline; set it to down before starting it",
            "wrong_state",
        )
    hvparams = parse_edits(HYPERVISORS[instance.hypervisor], opcode.hvparams).given
    beparams = parse_beparams(opcode.beparams).given
    spec = instance_spec(part, instance, hvparams=hvparams, beparams=beparams)
    node = part.nodes[instance.primary_node]
    steps: list[Step] = [] if opcode.no_remember else [set_state(instance, "up")]
    if node.offline and opcode.ignore_offline_nodes:
        world.say(f"node {node.name} is offline: instance {instance.name} is only marked as up")
        return Plan(opcode.op_id(), OPERATION.version, tuple(steps))
    here = await look_on(world, node, spec)
    was_running = running(here) is not None
    if not was_running:
        require_memory(here, node, spec)
    steps.append(start(spec, was_running=was_running, paused=opcode.startup_paused))
    variables = instance_variables(part, instance, spec, disks_of(part, instance), "up")
    hooks = instance_hooks("instance-start", part, spec, {"FORCE": opcode.force, **variables})
    return with_hooks(Plan(opcode.op_id(), OPERATION.version, tuple(steps)), hooks, part)


OPERATION: Final = Operation(OpInstanceStartup, needed_locks, plan)
