"""OP_INSTANCE_ACTIVATE_DISKS: make the disks of a stopped instance usable on its primary node.

Disks that are files are usable as soon as they are there; what is noted is that they should be.
"""

from __future__ import annotations

from typing import Final

from gantry.operations.instance.spec import instance_spec
from gantry.operations.lookup import check_online, read_instance
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.changes import SetInstanceState
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.noded import Check
from gantry.protocols.objects.instance import Instance
from gantry.protocols.opcodes.disks import OpInstanceActivateDisks
from gantry.protocols.steps import Commit, Plan, Step


async def needed_locks(opcode: OpInstanceActivateDisks, world: World) -> Locks:
    """Lock the instance and its node."""
    _, instance = await read_instance(world, opcode.instance_name)
    return locks(
        ("instance", "exclusive", [instance.name]),
        ("node", "exclusive", [instance.primary_node]),
    )


async def plan(opcode: OpInstanceActivateDisks, world: World) -> Plan:
    """Look whether they are there; the result is (node, disk, path) of each."""
    part, instance = await read_instance(world, opcode.instance_name)
    spec, node = instance_spec(part, instance), part.nodes[instance.primary_node]
    check_online(node)
    report = await world.ask(node, lambda n: n.verify(Check(disks=spec.disks)))
    lost = [f"disk/{disk.index}" for disk in spec.disks if disk.uuid in report.missing_disks]
    if lost:
        text = f"{', '.join(lost)} of instance {instance.name} is not on node {node.name}"
        raise OpPrereqError(text, "wrong_state")
    result: list[Json] = [[node.name, f"disk/{disk.index}", disk.path] for disk in spec.disks]
    return Plan(opcode.op_id(), OPERATION.version, (mark_disks(instance, active=True),), result)


def mark_disks(instance: Instance, *, active: bool) -> Step:
    """Return the step that notes whether the disks should be usable."""
    do = SetInstanceState(instance.uuid, disks_active=active)
    undo = SetInstanceState(instance.uuid, disks_active=instance.disks_active)
    name = f"mark the disks of instance {instance.name} as {'' if active else 'in'}active"
    return step(name, "idempotent", Commit(do), Commit(undo))


OPERATION: Final = Operation(OpInstanceActivateDisks, needed_locks, plan)
