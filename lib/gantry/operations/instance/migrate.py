"""OP_INSTANCE_MIGRATE: move a running instance to another node.

Once the guest runs on the target there is no way back, only forward: what is left then is to
note it and to tidy up.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve

from gantry.operations.hooks import Hooks, with_hooks
from gantry.operations.instance.failover import failover_steps
from gantry.operations.instance.hook_variables import instance_hooks, instance_variables
from gantry.operations.instance.relocation import (
    check_target,
    relocation_locks,
    relocation_target,
)
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import at_node, check_memory, running_on
from gantry.operations.instance.whereabouts import note_whereabouts
from gantry.operations.lookup import disks_of, read_instance
from gantry.operations.operation import Operation, step
from gantry.operations.world import World
from gantry.protocols.changes import SetInstancePrimary
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.noded import call
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.relocation import OpInstanceMigrate
from gantry.protocols.opcodes.vocabulary import SHUTDOWN_SECONDS
from gantry.protocols.runtime_types import InstanceSpec, MigrationSource, MigrationTarget
from gantry.protocols.steps import Commit, Look, NoUndo, Plan, Step, StepName
from gantry.protocols.wconfd import ConfigPart

MIGRATE_SECONDS_MAX: Final = 4 * 3600.0
"""As Ganeti's slowest class of calls but one: a large guest over a slow line."""

ACCEPT: Final = StepName("prepare the target")
SEND: Final = StepName("migrate")


def _is_live(opcode: OpInstanceMigrate, spec: InstanceSpec) -> bool:
    if opcode.mode is not None and opcode.live is not None:
        raise OpPrereqError("give either the migration mode or the older 'live', not both")
    if opcode.live is not None:
        return opcode.live
    return (opcode.mode or spec.hvparams.get("migration_mode", "live")) == "live"


async def plan(opcode: OpInstanceMigrate, world: World) -> Plan:
    """Prepare the target, move the guest, note where it is, tidy up."""
    part, instance = await read_instance(world, opcode.instance_name)
    target = await relocation_target(opcode, world, part, instance)
    spec = instance_spec(part, instance)
    source = part.nodes[instance.primary_node]
    if opcode.cleanup:
        steps = await note_whereabouts(world, part, instance, target)
        return Plan(opcode.op_id(), OPERATION.version, steps)
    live = _is_live(opcode, spec)
    check_target(opcode, part, instance, spec, target)
    runs = await running_on(world, source, spec) is not None
    if opcode.allow_failover and (spec.always_failover or not runs):
        world.say(f"instance {instance.name} is failed over instead of migrated")
        seconds = float(SHUTDOWN_SECONDS)
        steps = await failover_steps(world, instance, spec, target, runs=runs, stop_seconds=seconds)
        made = Plan(opcode.op_id(), OPERATION.version, steps)
    elif runs:
        await check_memory(world, target, spec)
        machine = await world.ask(source, lambda n: n.migration_source(spec))
        steps = _steps(instance, spec, at_node(spec, target), machine, live=live)
        made = Plan(opcode.op_id(), OPERATION.version, steps, no_return=SEND)
    else:
        raise OpPrereqError(
            f"instance {instance.name} is not running; start it, or move it with a failover",
            "wrong_state",
        )
    return with_hooks(made, _hooks(opcode, part, instance, spec, target), part)


def _hooks(
    opcode: OpInstanceMigrate,
    part: ConfigPart,
    instance: Instance,
    spec: InstanceSpec,
    target: Node,
) -> Hooks:
    told = {
        "MIGRATE_LIVE": _is_live(opcode, spec),
        "MIGRATE_CLEANUP": opcode.cleanup,
        "OLD_PRIMARY": part.nodes[instance.primary_node].name,
        "NEW_PRIMARY": target.name,
        "OLD_SECONDARY": "",
        "NEW_SECONDARY": "",
        "ALLOW_RUNTIME_CHANGES": opcode.allow_runtime_changes,
        **instance_variables(part, instance, spec, disks_of(part, instance), "up"),
    }
    return instance_hooks("instance-migrate", part, spec, told, target.uuid)


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
        step(SEND, "checked", send, stay, looks=_arrived(old, new)),
        step("note the new primary node", "idempotent", moved, back),
        step("finish on the target", "idempotent", arrived, only_forward),
        # The guest has moved, whatever becomes of the shell that it has left.
        evolve(
            step("finish on the source", "idempotent", left, only_forward, tolerate=True),
            owed=True,
        ),
    )


def _arrived(old: InstanceSpec, new: InstanceSpec) -> tuple[Look, ...]:
    """Return the signs that a guest was sent: it runs there, or is only a shell here."""
    there = Look(new.primary_node, new.hypervisor, new.name, ("running", "paused"))
    return (there, Look(old.primary_node, old.hypervisor, old.name, ("migrated",)))


OPERATION: Final = Operation(OpInstanceMigrate, relocation_locks, plan)
