"""OP_INSTANCE_REBOOT: restart an instance."""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import with_hooks
from gantry.operations.instance.hook_variables import instance_hooks, instance_variables
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import (
    START_SECONDS_MAX,
    look_on,
    require_memory,
    running,
    set_state,
    start,
)
from gantry.operations.lookup import disks_of, read_instance
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.noded import call
from gantry.protocols.opcodes.instance import OpInstanceReboot
from gantry.protocols.runtime_types import InstanceRuntime, InstanceSpec, InstanceState
from gantry.protocols.steps import Kind, Look, NoUndo, Plan, Step


async def needed_locks(opcode: OpInstanceReboot, world: World) -> Locks:
    """Lock the instance."""
    _, instance = await read_instance(world, opcode.instance_name)
    return locks(("instance", "exclusive", [instance.name]))


async def plan(opcode: OpInstanceReboot, world: World) -> Plan:
    """Restart it where it runs; start it if it does not."""
    part, instance = await read_instance(world, opcode.instance_name)
    spec = instance_spec(part, instance)
    node = part.nodes[instance.primary_node]
    steps: list[Step] = []
    here = await look_on(world, node, spec)
    runs = running(here)
    if runs is None:
        require_memory(here, node, spec)
        steps.append(start(spec))
    else:
        how, seconds = opcode.reboot_type, float(opcode.shutdown_timeout)
        do = call(
            spec.primary_node,
            lambda n, t: n.reboot_instance(t, spec, how, seconds),
            deadline_seconds=seconds + START_SECONDS_MAX,
        )
        back = NoUndo("what a reboot interrupted can not be brought back")
        looks = () if how == "soft" else _restarted(spec, runs)
        kind: Kind = "checked" if looks else "idempotent"
        steps.append(step(f"reboot instance {instance.name}", kind, do, back, looks=looks))
    if instance.admin_state != "up":
        steps.append(set_state(instance, "up"))
    told = {
        "IGNORE_SECONDARIES": opcode.ignore_secondaries,
        "REBOOT_TYPE": opcode.reboot_type,
        "SHUTDOWN_TIMEOUT": opcode.shutdown_timeout,
        **instance_variables(part, instance, spec, disks_of(part, instance), "up"),
    }
    hooks = instance_hooks("instance-reboot", part, spec, told)
    return with_hooks(Plan(opcode.op_id(), OPERATION.version, tuple(steps)), hooks, part)


def _restarted(spec: InstanceSpec, before: InstanceRuntime) -> tuple[Look, ...]:
    """Return the sign that the guest was started anew; there is none if its start is not known."""
    if before.started_at is None:
        return ()
    states: tuple[InstanceState, ...] = ("running", "paused")
    return (Look(spec.primary_node, spec.hypervisor, spec.name, states, before.started_at),)


OPERATION: Final = Operation(OpInstanceReboot, needed_locks, plan)
