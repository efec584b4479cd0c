"""OP_INSTANCE_REMOVE: stop an instance and remove it with its disks.

Its disks are its point of no return: up to there everything is undone, from there on the removal
is only carried on, since what is left of the disks is of no use to anybody.
"""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import Hooks, with_hooks
from gantry.operations.instance.hook_variables import instance_variables
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import running_on, set_state, stop
from gantry.operations.lookup import disks_of, read_instance
from gantry.operations.operation import Locks, Operation, locks, step, unique
from gantry.operations.world import World
from gantry.protocols.changes import RemoveInstance
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.noded import call
from gantry.protocols.opcodes.instance import OpInstanceRemove
from gantry.protocols.runtime_types import DiskSpec, InstanceSpec
from gantry.protocols.steps import Commit, NoUndo, Plan, Step, StepName

GONE: Final = NoUndo("the disk's data is gone")


async def needed_locks(opcode: OpInstanceRemove, world: World) -> Locks:
    """Lock the instance, its nodes as they are, and their resources if it gives some back."""
    part, instance = await read_instance(world, opcode.instance_name)
    nodes = {n for disk in disks_of(part, instance) for n in disk.nodes} | {instance.primary_node}
    has_some = bool(instance.disks) or instance.admin_state == "up"
    return locks(
        ("instance", "exclusive", [instance.name]),
        ("node", "shared", nodes),
        ("node-res", "exclusive", nodes if has_some else ()),
    )


async def plan(opcode: OpInstanceRemove, world: World) -> Plan:
    """Stop it, remove its disks, forget it."""
    part, instance = await read_instance(world, opcode.instance_name)
    spec = instance_spec(part, instance)
    node = part.nodes[instance.primary_node]
    tolerate = opcode.ignore_failures
    steps: list[Step] = []
    try:
        was_running = await running_on(world, node, spec) is not None
    except OpPrereqError:
        if not tolerate:
            raise
        world.say(f"WARNING: node {node.name} does not answer; its remains stay behind")
    else:
        seconds = float(opcode.shutdown_timeout)
        steps.append(stop(spec, seconds, was_running=was_running, tolerate=tolerate))
    marked = set_state(instance, "down", name=f"begin to remove instance {instance.name}")
    steps.append(marked)
    if steps[0] is not marked:
        steps += [remove_disk(spec, disk, tolerate=tolerate) for disk in spec.disks]
    forget = Commit(RemoveInstance(instance.uuid))
    steps.append(step("remove it from the configuration", "idempotent", forget, GONE))
    made = Plan(opcode.op_id(), OPERATION.version, tuple(steps), no_return=StepName(marked.name))
    master = part.cluster.master_node
    told = {
        "SHUTDOWN_TIMEOUT": opcode.shutdown_timeout,
        **instance_variables(part, instance, spec, disks_of(part, instance), instance.admin_state),
    }
    after = unique((instance.primary_node, *spec.secondary_nodes, master))
    return with_hooks(made, Hooks("instance-remove", "INSTANCE", (master,), after, told), part)


def remove_disk(spec: InstanceSpec, disk: DiskSpec, *, tolerate: bool) -> Step:
    """Return the step that removes one disk for good."""
    do = call(spec.primary_node, lambda n, t: n.remove_disk(t, spec.name, disk))
    return step(f"remove disk {disk.index}", "idempotent", do, GONE, tolerate=tolerate)


OPERATION: Final = Operation(OpInstanceRemove, needed_locks, plan)
