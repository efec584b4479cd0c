"""OP_GROUP_VERIFY_DISKS: find instances whose disks should be usable and are not there."""

from __future__ import annotations

from typing import Final

from gantry.operations.instance.spec import disk_spec
from gantry.operations.lookup import disks_of, find_group
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.world import NoAnswer, World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.noded import Check
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.verification import OpGroupVerifyDisks
from gantry.protocols.runtime_types import DiskSpec
from gantry.protocols.steps import Plan
from gantry.protocols.wconfd import ConfigPart, Selection


async def _read(
    opcode: OpGroupVerifyDisks, world: World
) -> tuple[ConfigPart, list[Node], list[Instance]]:
    part = await world.read(Selection(nodes="all", groups="all", instances="all"))
    group = find_group(part, opcode.group_name)
    nodes = [node for node in part.nodes.values() if node.group == group.uuid]
    members = {node.uuid for node in nodes}
    instances = [each for each in part.instances.values() if each.primary_node in members]
    return part, nodes, sorted(instances, key=lambda each: each.name)


async def needed_locks(opcode: OpGroupVerifyDisks, world: World) -> Locks:
    """Lock the group, its nodes and its instances shared."""
    part, nodes, instances = await _read(opcode, world)
    return locks(
        ("instance", "shared", [each.name for each in instances]),
        ("nodegroup", "shared", [find_group(part, opcode.group_name).uuid]),
        ("node", "shared", [node.uuid for node in nodes]),
    )


async def plan(opcode: OpGroupVerifyDisks, world: World) -> Plan:
    """Ask all nodes at once.

    The result is, as Ganeti's: errors by node, names of the instances whose disks have to be
    activated, and missing logical volumes by instance, of which there are none without LVM.
    """
    part, nodes, instances = await _read(opcode, world)
    active = [each for each in instances if each.disks_active]
    wanted = {
        node.uuid: tuple(
            disk for each in active if each.primary_node == node.uuid for disk in _disks(part, each)
        )
        for node in nodes
    }
    asked = [node for node in nodes if wanted[node.uuid] and not node.offline]
    answers = await world.ask_all(asked, lambda node, n: n.verify(Check(disks=wanted[node.uuid])))
    errors: dict[str, str] = {}
    lost: set[str] = set()
    for uuid, answer in answers.items():
        if isinstance(answer, NoAnswer):
            errors[uuid] = answer.text
        else:
            lost.update(answer.missing_disks)
    to_activate = [each.name for each in active if lost.intersection(each.disks)]
    result = [errors, to_activate, {}]
    return Plan(opcode.op_id(), OPERATION.version, (), result)


def _disks(part: ConfigPart, instance: Instance) -> list[DiskSpec]:
    """Return the disks that a node can look for; others have no driver."""
    specs = []
    for index, disk in enumerate(disks_of(part, instance)):
        try:
            specs.append(disk_spec(disk, index))
        except OpPrereqError:
            continue
    return specs


OPERATION: Final = Operation(OpGroupVerifyDisks, needed_locks, plan)
