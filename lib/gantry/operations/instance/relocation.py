"""Where an instance whose disks all nodes see may go, and the locks of going there."""

from __future__ import annotations

from typing import Final

from gantry.operations.allocation import EVERY_NODE, allocator_for, choose_node
from gantry.operations.instance.policy import check_policy
from gantry.operations.lookup import (
    check_takes_instances,
    disks_of,
    find_node,
    read_instance,
    template_of,
)
from gantry.operations.operation import Locks, Members, locks
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.relocation import OpInstanceFailover, OpInstanceMigrate
from gantry.protocols.runtime_types import InstanceSpec
from gantry.protocols.scripts.iallocator import Relocate, disk_space
from gantry.protocols.wconfd import ConfigPart

Relocation = OpInstanceMigrate | OpInstanceFailover

RELOCATABLE: Final = frozenset({"diskless", "sharedfile", "gluster", "blockdev", "rbd", "ext"})
"""The disk templates whose disks are at hand on every node."""


async def relocation_locks(opcode: Relocation, world: World) -> Locks:
    """Lock the instance, the node that it leaves and the one that it goes to.

    An allocator may choose among all nodes, so that all are locked for it.
    """
    part, instance = await read_instance(world, opcode.instance_name)
    own: Members = ("instance", "exclusive", [instance.name])
    target = _named_target(opcode, part, instance)
    if target is None:
        return (*locks(own), *EVERY_NODE)
    nodes = {instance.primary_node, target.uuid}
    return locks(own, ("node", "exclusive", nodes), ("node-res", "exclusive", nodes))


async def relocation_target(
    opcode: Relocation, world: World, part: ConfigPart, instance: Instance
) -> Node:
    """Return the node that the opcode names, or that an allocator chooses.

    Raises:
        OpPrereqError: the instance can not go there, or there is no place for it.
    """
    named = _named_target(opcode, part, instance)
    if named is not None:
        return named
    disks = disks_of(part, instance)
    template = template_of(disks)
    leaves = part.nodes[instance.primary_node].name
    space = disk_space(template, [disk.size for disk in disks])
    return await choose_node(
        world,
        allocator_for(opcode.iallocator, part.cluster),
        Relocate(instance.name, (leaves,), space),
        template=template,
        hypervisor=instance.hypervisor,
    )


def _named_target(opcode: Relocation, part: ConfigPart, instance: Instance) -> Node | None:
    """Return the node that the opcode names; ``None`` if an allocator is to choose.

    Raises:
        OpPrereqError: the instance can not go there, or nobody is named that could choose.
    """
    template = template_of(disks_of(part, instance))
    if template not in RELOCATABLE:
        raise OpPrereqError(
            f"instance {instance.name} has disks of template {template}, which only node "
            f"{part.nodes[instance.primary_node].name} has; it can go elsewhere only with "
            "sharedfile",
            "wrong_state",
        )
    if opcode.target_node is None:
        if opcode.cleanup:
            text = f"say to which node instance {instance.name} was to go (-n)"
            raise OpPrereqError(text, "wrong_input")
        allocator_for(opcode.iallocator, part.cluster)
        return None
    if opcode.iallocator is not None:
        text = "give either the target node (-n) or an instance allocator (-I), not both"
        raise OpPrereqError(text, "wrong_input")
    target = find_node(part, opcode.target_node)
    if target.uuid == instance.primary_node and not opcode.cleanup:
        text = f"instance {instance.name} is on node {target.name} already"
        raise OpPrereqError(text, "wrong_state")
    return target


def check_target(
    opcode: Relocation, part: ConfigPart, instance: Instance, spec: InstanceSpec, target: Node
) -> None:
    """Refuse a node that takes no instances, or whose group's policy the instance does not fit.

    As in Ganeti, a policy is not held against an instance that stays in its group.

    Raises:
        OpPrereqError: with what to do instead.
    """
    check_takes_instances(target)
    if target.group != part.nodes[instance.primary_node].group:
        group, disks = part.groups[target.group], disks_of(part, instance)
        check_policy(part.cluster, group, spec, disks, force=opcode.ignore_ipolicy)
