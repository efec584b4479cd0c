"""Where a new instance goes: to the node that was named, or where an allocator puts it."""

from __future__ import annotations

from gantry.operations.allocation import allocator_for, choose_node
from gantry.operations.instance.new_disks import choose_template, disk_size
from gantry.operations.instance.spec import check_hypervisor
from gantry.operations.lookup import find_node
from gantry.operations.world import World
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.instance import OpInstanceCreate
from gantry.protocols.parameters.backend import parse_beparams
from gantry.protocols.parameters.filled import fill_beparams
from gantry.protocols.scripts.iallocator import Allocate
from gantry.protocols.wconfd import ConfigPart


async def place(opcode: OpInstanceCreate, world: World, part: ConfigPart) -> Node:
    """Return the primary node of a new instance.

    Raises:
        OpPrereqError: the named node does not exist, or no allocator finds a place.
    """
    if opcode.pnode is not None:
        return find_node(part, opcode.pnode)
    allocator = allocator_for(opcode.iallocator, part.cluster)
    request = _request(opcode, part.cluster)
    return await choose_node(
        world, allocator, request, template=request.disk_template, hypervisor=request.hypervisor
    )


def _request(opcode: OpInstanceCreate, cluster: Cluster) -> Allocate:
    backend = fill_beparams(cluster, parse_beparams(opcode.beparams).given)
    return Allocate(
        name=opcode.instance_name.lower(),
        disk_template=choose_template(opcode, cluster).name,
        hypervisor=check_hypervisor(opcode.hypervisor or cluster.enabled_hypervisors[0]),
        os=opcode.os_type or "",
        vcpus=backend.vcpus,
        memory_mib=backend.maxmem,
        spindle_use=backend.spindle_use,
        disks=tuple(
            {**disk, "size": disk_size(index, disk.get("size")), "mode": disk.get("mode", "rw")}
            for index, disk in enumerate(opcode.disks)
        ),
        nics=tuple({str(name): value for name, value in nic.items()} for nic in opcode.nics),
        tags=opcode.tags,
        group_name=opcode.group_name,
    )
