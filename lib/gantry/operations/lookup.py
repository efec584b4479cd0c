"""Find objects by what people call them, in a part of the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.names import is_short_for
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.wconfd import ConfigPart, Selection

Named = TypeVar("Named", Instance, Node, NodeGroup, Network)


def _find(kind: str, objects: Mapping[str, Named], name: str) -> Named:
    for uuid, each in objects.items():
        if name in (uuid, each.name):
            return each
    meant = [each for each in objects.values() if is_short_for(name, each.name)]
    if len(meant) > 1:
        names = ", ".join(sorted(each.name for each in meant))
        raise OpPrereqError(f"{kind} '{name}' is ambiguous: {names}")
    if meant and kind in ("instance", "node"):
        return meant[0]
    raise OpPrereqError(f"{kind} '{name}' is not known", "unknown_entity")


def find_instance(part: ConfigPart, name: str) -> Instance:
    """Return an instance by name, by the beginning of its name up to a dot, or by UUID.

    Raises:
        OpPrereqError: there is none, or several are meant; so say all functions here.
    """
    return _find("instance", part.instances, name)


def find_node(part: ConfigPart, name: str) -> Node:
    """Return a node by name or UUID."""
    return _find("node", part.nodes, name)


def find_nodes(part: ConfigPart, names: Iterable[str]) -> list[Node]:
    """Return nodes by name or UUID, in the order of the names."""
    return [find_node(part, name) for name in names]


def find_group(part: ConfigPart, name: str) -> NodeGroup:
    """Return a node group by name or UUID."""
    return _find("node group", part.groups, name)


def find_network(part: ConfigPart, name: str) -> Network:
    """Return a network by name or UUID."""
    return _find("network", part.networks, name)


def disks_of(part: ConfigPart, instance: Instance) -> list[Disk]:
    """Return an instance's disks in their order."""
    return [part.disks[uuid] for uuid in instance.disks]


def template_of(disks: Iterable[Disk]) -> str:
    """Return the disk template of an instance with these disks."""
    types = {disk.dev_type for disk in disks}
    if not types:
        return "diskless"
    return next(iter(types)) if len(types) == 1 else "mixed"


async def read_instance(world: World, name: str) -> tuple[ConfigPart, Instance]:
    """Read an instance with its disks, all nodes, groups and networks that concern it."""
    part = await world.read(Selection(instances=(name,), nodes="all", groups="all", networks="all"))
    return part, find_instance(part, name)


def check_online(node: Node) -> None:
    """Refuse a node on which nothing can be done.

    Raises:
        OpPrereqError: it is marked offline.
    """
    if node.offline:
        text = f"node {node.name} is marked offline; mark it online again, or use another node"
        raise OpPrereqError(text, "wrong_state")


def check_takes_instances(node: Node) -> None:
    """Refuse a node that may not get another instance.

    Raises:
        OpPrereqError: it is offline, drained, or not meant for instances.
    """
    check_online(node)
    if node.drained:
        raise OpPrereqError(f"node {node.name} is drained; use another node", "wrong_state")
    if not node.vm_capable:
        raise OpPrereqError(f"node {node.name} is not vm_capable; use another node", "wrong_state")
