"""OP_INSTANCE_MIGRATE: move a running instance to another node.

Once the guest runs on the target there is no way back, only forward: what is left then is to
note it and to tidy up.
"""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import with_hooks
from gantry.operations.instance.hook_variables import instance_hooks, instance_variables
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import at_node, check_memory, running_on
from gantry.operations.lookup import (
    check_takes_instances,
    disks_of,
    find_node,
    read_instance,
    template_of,
)
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.changes import SetInstancePrimary
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.noded import call
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.relocation import OpInstanceMigrate
from gantry.protocols.runtime_types import InstanceSpec, MigrationSource, MigrationTarget
from gantry.protocols.steps import Commit, NoUndo, Plan, Step, StepName
from gantry.protocols.wconfd import ConfigPart

MIGRATABLE: Final = frozenset({"diskless", "sharedfile", "gluster", "blockdev", "rbd", "ext"})
"""The disk templates whose disks are at hand on every node."""

MIGRATE_SECONDS_MAX: Final = 4 * 3600.0
"""As Ganeti's slowest class of calls but one: a large guest over a slow line."""

ACCEPT: Final = StepName("prepare the target")
SEND: Final = StepName("migrate")


async def needed_locks(opcode: OpInstanceMigrate, world: World) -> Locks:
    """Lock the instance, the node that it leaves and the one that it goes to."""
    part, instance = await read_instance(world, opcode.instance_name)
    nodes = {instance.primary_node, _target(opcode, part, instance).uuid}
    return locks(
        ("instance", "exclusive", [instance.name]),
        ("node", "exclusive", nodes),
        ("node-res", "exclusive", nodes),
    )


def _target(opcode: OpInstanceMigrate, part: ConfigPart, instance: Instance) -> Node:
    template = template_of(disks_of(part, instance))
    if template not in MIGRATABLE:
        raise OpPrereqError(
            f"instance {instance.name} has disks of template {template}, which can not be "
            "migrated; shut it down and move it, or use sharedfile",
            "wrong_state",
        )
    if opcode.iallocator is not None:
        raise OpPrereqError(
            "instance allocators are not available in this version; name the target node"
        )
    if opcode.target_node is None:
        raise OpPrereqError(f"say to which node instance {instance.name} is to be migrated (-n)")
    target = find_node(part, opcode.target_node)
    if target.uuid == instance.primary_node and not opcode.cleanup:
        text = f"instance {instance.name} is on node {target.name} already"
        raise OpPrereqError(text, "wrong_state")
    return target


def _is_live(opcode: OpInstanceMigrate, spec: InstanceSpec) -> bool:
    if opcode.mode is not None and opcode.live is not None:
        raise OpPrereqError("give either the migration mode or the older 'live', not both")
    if opcode.live is not None:
        return opcode.live
    return (opcode.mode or spec.hvparams.get("migration_mode", "live")) == "live"


async def plan(opcode: OpInstanceMigrate, world: World) -> Plan:
    """Prepare the target, move the guest, note where it is, tidy up."""
    part, instance = await read_instance(world, opcode.instance_name)
    target = _target(opcode, part, instance)
    spec = instance_spec(part, instance)
    source = part.nodes[instance.primary_node]
    if opcode.cleanup:
        return await _cleanup(opcode, world, part, instance)
    check_takes_instances(target)
    if await running_on(world, source, spec) is None:
        raise OpPrereqError(
            f"instance {instance.name} is not running; start it, or move it with a failover",
            "wrong_state",
        )
    await check_memory(world, target, spec)
    machine = await world.ask(source, lambda n: n.migration_source(spec))
    steps = _steps(instance, spec, at_node(spec, target), machine, live=_is_live(opcode, spec))
    told = {
        "MIGRATE_LIVE": _is_live(opcode, spec),
        "MIGRATE_CLEANUP": opcode.cleanup,
        "OLD_PRIMARY": source.name,
        "NEW_PRIMARY": target.name,
        "OLD_SECONDARY": "",
        "NEW_SECONDARY": "",
        "ALLOW_RUNTIME_CHANGES": opcode.allow_runtime_changes,
        **instance_variables(part, instance, spec, disks_of(part, instance), "up"),
    }
    hooks = instance_hooks("instance-migrate", part, spec, told, target.uuid)
    made = Plan(opcode.op_id(), OPERATION.version, steps, no_return=SEND)
    return with_hooks(made, hooks, part)


def _steps(
    instance: Instance,
    old: InstanceSpec,
    new: InstanceSpec,
    machine: MigrationSource,
    *,
    live: bool,
) -> tuple[Step, ...]:
    source, target = old.primary_node, new.primary_node
    placeholder = MigrationTarget("")
    accept = call(target, lambda n, t: n.accept_migration(t, new, machine, live))
    refuse = call(target, lambda n, t: n.finish_migration(t, new, "target", False))  # noqa: FBT003 - recorded, see call()
    send = call(
        source,
        lambda n, t: n.migrate_instance(t, old, placeholder, live),
        results={"target": ACCEPT},
        deadline_seconds=MIGRATE_SECONDS_MAX,
    )
    stay = call(source, lambda n, t: n.finish_migration(t, old, "source", False))  # noqa: FBT003 - recorded, see call()
    arrived = call(target, lambda n, t: n.finish_migration(t, new, "target", True))  # noqa: FBT003 - recorded, see call()
    left = call(source, lambda n, t: n.finish_migration(t, old, "source", True))  # noqa: FBT003 - recorded, see call()
    moved = Commit(SetInstancePrimary(instance.uuid, target))
    back = Commit(SetInstancePrimary(instance.uuid, source))
    only_forward = NoUndo("the guest runs on the target already")
    return (
        step(ACCEPT, "compensated", accept, refuse),
        step(SEND, "checked", send, stay),
        step("note the new primary node", "idempotent", moved, back),
        step("finish on the target", "idempotent", arrived, only_forward),
        step("finish on the source", "idempotent", left, only_forward, tolerate=True),
    )


async def _cleanup(
    opcode: OpInstanceMigrate, world: World, part: ConfigPart, instance: Instance
) -> Plan:
    """Find out where a guest is that a failed migration left somewhere, and note it."""
    spec = instance_spec(part, instance)
    target = _target(opcode, part, instance)
    source = part.nodes[instance.primary_node]
    here = await running_on(world, source, spec)
    there = await running_on(world, target, spec) if target.uuid != source.uuid else None
    if here is not None and there is not None:
        raise OpPrereqError(
            f"instance {instance.name} runs on both {source.name} and {target.name}; "
            "stop one of them by hand",
            "wrong_state",
        )
    steps: tuple[Step, ...] = ()
    if there is not None:
        do = Commit(SetInstancePrimary(instance.uuid, target.uuid))
        undo = Commit(SetInstancePrimary(instance.uuid, source.uuid))
        steps = (step("note the new primary node", "idempotent", do, undo),)
    where = target if there is not None else source
    world.say(f"instance {instance.name} belongs to node {where.name}")
    return Plan(opcode.op_id(), OPERATION.version, steps)


OPERATION: Final = Operation(OpInstanceMigrate, needed_locks, plan)
