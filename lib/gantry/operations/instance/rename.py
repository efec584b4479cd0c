"""OP_INSTANCE_RENAME: give a stopped instance another name."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

import attrs

from gantry.operations.hooks import with_hooks
from gantry.operations.instance.hook_variables import instance_hooks, instance_variables
from gantry.operations.instance.names import check_instance_name
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import running_on
from gantry.operations.lookup import disks_of, read_instance
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.changes import RenameInstance
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.noded import call
from gantry.protocols.objects.instance import Instance
from gantry.protocols.opcodes.instance import OpInstanceRename
from gantry.protocols.runtime_types import DiskSpec, InstanceSpec
from gantry.protocols.steps import Commit, NoUndo, Plan, Step
from gantry.protocols.wconfd import Want

OS_SECONDS_MAX: Final = 3600.0


async def needed_locks(opcode: OpInstanceRename, world: World) -> Locks:
    """Lock the instance under both of its names."""
    _, instance = await read_instance(world, opcode.instance_name)
    return locks(("instance", "exclusive", [instance.name, opcode.new_name.lower()]))


async def plan(opcode: OpInstanceRename, world: World) -> Plan:
    """Move its disks, note the new name, let the OS definition's script follow."""
    part, instance = await read_instance(world, opcode.instance_name)
    new_name = await check_instance_name(world, opcode.new_name, resolve=opcode.name_check)
    if new_name == instance.name:
        raise OpPrereqError(f"instance {instance.name} has that name already")
    await world.reserve(Want("instance name", new_name))
    spec = instance_spec(part, instance)
    node = part.nodes[instance.primary_node]
    if await running_on(world, node, spec) is not None:
        text = f"instance {instance.name} is running; shut it down to rename it"
        raise OpPrereqError(text, "wrong_state")
    moved = tuple(_moved(disk, instance.name, new_name) for disk in spec.disks)
    renamed = attrs.evolve(spec, name=new_name, disks=moved)
    steps = [
        *(_move_disk(spec, old, renamed, new) for old, new in zip(spec.disks, moved, strict=True)),
        _note(instance, spec, renamed),
    ]
    if instance.os:
        steps.append(_run_script(renamed, instance.name))
    told = {
        "INSTANCE_NEW_NAME": new_name,
        **instance_variables(part, instance, spec, disks_of(part, instance), "down"),
    }
    hooks = instance_hooks("instance-rename", part, spec, told)
    made = Plan(opcode.op_id(), OPERATION.version, tuple(steps), new_name)
    return with_hooks(made, hooks, part)


def _moved(disk: DiskSpec, old_name: str, new_name: str) -> DiskSpec:
    """Return a disk in the folder of the new name, if it was in that of the old one."""
    path = PurePosixPath(disk.path)
    if path.parent.name != old_name:
        return disk
    return attrs.evolve(disk, path=str(path.parent.parent / new_name / path.name))


def _move_disk(old: InstanceSpec, disk: DiskSpec, new: InstanceSpec, moved: DiskSpec) -> Step:
    node = old.primary_node
    do = call(node, lambda n, t: n.rename_disk(t, old.name, disk, new.name, moved))
    undo = call(node, lambda n, t: n.rename_disk(t, new.name, moved, old.name, disk))
    return step(f"move disk {disk.index}", "idempotent", do, undo)


def _note(instance: Instance, old: InstanceSpec, new: InstanceSpec) -> Step:
    do = RenameInstance(instance.uuid, new.name, {d.uuid: [d.driver, d.path] for d in new.disks})
    back = {d.uuid: [d.driver, d.path] for d in old.disks}
    undo = RenameInstance(instance.uuid, old.name, back)
    return step("note the new name", "idempotent", Commit(do), Commit(undo))


def _run_script(renamed: InstanceSpec, old_name: str) -> Step:
    do = call(
        renamed.primary_node,
        lambda n, t: n.rename_os(t, renamed, old_name),
        deadline_seconds=OS_SECONDS_MAX,
    )
    back = NoUndo("the script answers for what it changed inside of the disks")
    return step("run the OS definition's rename script", "idempotent", do, back, tolerate=True)


OPERATION: Final = Operation(OpInstanceRename, needed_locks, plan)
