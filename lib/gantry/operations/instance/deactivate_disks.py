"""OP_INSTANCE_DEACTIVATE_DISKS: undo the activation of a stopped instance's disks."""

from __future__ import annotations

from typing import Final

from gantry.operations.instance.activate_disks import mark_disks
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import running_on
from gantry.operations.lookup import read_instance
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.disks import OpInstanceDeactivateDisks
from gantry.protocols.steps import Plan


async def needed_locks(opcode: OpInstanceDeactivateDisks, world: World) -> Locks:
    """Lock the instance and its node."""
    _, instance = await read_instance(world, opcode.instance_name)
    return locks(
        ("instance", "exclusive", [instance.name]),
        ("node", "exclusive", [instance.primary_node]),
    )


async def plan(opcode: OpInstanceDeactivateDisks, world: World) -> Plan:
    """Note that they need not be usable, unless a guest uses them."""
    part, instance = await read_instance(world, opcode.instance_name)
    if not opcode.force:
        spec, node = instance_spec(part, instance), part.nodes[instance.primary_node]
        if await running_on(world, node, spec) is not None:
            text = f"instance {instance.name} is running; shut it down first"
            raise OpPrereqError(text, "wrong_state")
    return Plan(opcode.op_id(), OPERATION.version, (mark_disks(instance, active=False),))


OPERATION: Final = Operation(OpInstanceDeactivateDisks, needed_locks, plan)
