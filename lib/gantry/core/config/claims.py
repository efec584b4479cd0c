"""What an object claims for itself alone, and what it refers to.

These two functions are all that the indexes know about the kinds of objects: an index maps
every claim to the one object that has it, and every object to those that refer to it. So
"is this MAC free" and "does anything use this node" cost the same in a cluster of any size.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, assert_never

from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.disk import (
    BlockDeviceId,
    Disk,
    DrbdId,
    ExternalId,
    FileId,
    ForthcomingDisk,
    RbdId,
    VolumeId,
)
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import ForthcomingInstance, Instance, Nic
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.wconfd import ObjectKind

Stored = (
    Cluster
    | Node
    | NodeGroup
    | Instance
    | ForthcomingInstance
    | Disk
    | ForthcomingDisk
    | Network
    | FilterRule
    | Leftover
)
"""An object of the configuration."""

Space = Literal[
    "uuid",
    "node name",
    "node address",
    "node group name",
    "instance name",
    "network name",
    "MAC address",
    "IP address",
    "TCP port",
    "DRBD minor",
    "logical volume",
    "disk file",
    "block device",
    "RBD image",
    "external volume",
    "disk",
    "undo",
]


class Claim(NamedTuple):
    """A value that at most one object may have.

    ``disk``: being an instance's disk; ``undo``: having left something behind.
    """

    space: Space
    value: str


class Ref(NamedTuple):
    """Which object."""

    kind: ObjectKind
    uuid: str


SHARED_FILES = frozenset({"sharedfile", "gluster"})
"""Disk templates whose files are the same ones on every node."""


def kind_of(stored: Stored) -> ObjectKind:
    """Return the kind of an object."""
    match stored:
        case Cluster():
            return "cluster"
        case Node():
            return "node"
        case NodeGroup():
            return "nodegroup"
        case Instance() | ForthcomingInstance():
            return "instance"
        case Disk() | ForthcomingDisk():
            return "disk"
        case Network():
            return "network"
        case FilterRule():
            return "filter"
        case Leftover():
            return "leftover"
        case _:
            assert_never(stored)


def ref(stored: Stored) -> Ref:
    """Return the reference to an object."""
    return Ref(kind_of(stored), stored.uuid)


def shown(stored: Stored) -> str:
    """Return what people call an object: its name if it has one."""
    match stored:
        case Cluster(cluster_name=name):
            return name
        case Node(name=name) | NodeGroup(name=name) | Instance(name=name) | Network(name=name):
            return name
        case ForthcomingInstance(name=name) if name is not None:
            return name
        case _:
            return stored.uuid


def claims_of(stored: Stored) -> tuple[Claim, ...]:
    """Return everything that an object claims; a claim made twice is listed twice."""
    return (Claim("uuid", stored.uuid), *_claims(stored))


def _claims(stored: Stored) -> tuple[Claim, ...]:
    match stored:
        case Cluster(tcpudp_port_pool=pool):
            return tuple(Claim("TCP port", str(port)) for port in pool)
        case Node(name=name):
            addresses = sorted({stored.primary_ip, stored.secondary_ip})
            return (Claim("node name", name), *(Claim("node address", a) for a in addresses))
        case NodeGroup(name=name):
            return (Claim("node group name", name),)
        case Network(name=name):
            return (Claim("network name", name),)
        case Instance(name=name):
            return (Claim("instance name", name), *_guest_claims(stored))
        case Disk():
            return _device_claims(stored)
        case ForthcomingInstance(name=name):
            names = () if name is None else (Claim("instance name", name),)
            return (*names, *_guest_claims(stored))
        case Leftover(key=key):
            return (Claim("undo", str(key)),)
        case ForthcomingDisk() | FilterRule():
            return ()
        case _:
            assert_never(stored)


def _guest_claims(instance: Instance | ForthcomingInstance) -> tuple[Claim, ...]:
    port = instance.network_port
    return (
        *(Claim("disk", uuid) for uuid in instance.disks or ()),
        *(claim for nic in instance.nics or () for claim in _nic_claims(nic)),
        *(() if port is None else (Claim("TCP port", str(port)),)),
    )


def _nic_claims(nic: Nic) -> tuple[Claim, ...]:
    fixed = (Claim("uuid", nic.uuid), Claim("MAC address", nic.mac.lower()))
    if nic.ip is None:
        return fixed
    return (*fixed, address_claim(nic.network or str(nic.nicparams.get("link", "")), nic.ip))


def address_claim(network: str, ip: str) -> Claim:
    """Return the claim on an address in a network (its UUID, or a link without one)."""
    return Claim("IP address", f"{network}/{ip}")


def minor_claim(node: str, minor: str) -> Claim:
    """Return the claim on the number of a mirrored device on a node."""
    return Claim("DRBD minor", f"{node}/{minor}")


def _device_claims(disk: Disk) -> tuple[Claim, ...]:
    """Return the claims of a disk's own device and of the devices below it."""
    below = (
        claim
        for child in disk.children
        for claim in (Claim("uuid", child.uuid), *_device_claims(child))
    )
    return (*_location_claims(disk), *below)


def _location_claims(disk: Disk) -> tuple[Claim, ...]:
    match disk.logical_id:
        case VolumeId(group, volume):
            return (Claim("logical volume", f"{group}/{volume}"),)
        case DrbdId() as drbd:
            return (
                Claim("TCP port", str(drbd.port)),
                minor_claim(drbd.node_a, str(drbd.minor_a)),
                minor_claim(drbd.node_b, str(drbd.minor_b)),
            )
        case FileId(path=path):
            if disk.dev_type in SHARED_FILES:
                return (Claim("disk file", path),)
            return tuple(Claim("disk file", f"{node}:{path}") for node in disk.nodes)
        case BlockDeviceId(path=path):
            return tuple(Claim("block device", f"{node}:{path}") for node in disk.nodes)
        case RbdId(image=image):
            return (Claim("RBD image", f"{(disk.params or {}).get('pool', '')}/{image}"),)
        case ExternalId(provider, volume):
            return (Claim("external volume", f"{provider}/{volume}"),)
        case _:
            assert_never(disk.logical_id)


def references_of(stored: Stored) -> frozenset[Ref]:
    """Return the objects that must exist as long as this one does."""
    match stored:
        case Cluster(master_node=node):
            return frozenset({Ref("node", node)})
        case Node(group=group):
            return frozenset({Ref("nodegroup", group)})
        case NodeGroup(networks=networks):
            return frozenset(Ref("network", network) for network in networks)
        case Instance() | ForthcomingInstance():
            return _guest_references(stored)
        case Disk():
            return frozenset(Ref("node", node) for node in _nodes_of(stored))
        case Leftover(node=node):
            return frozenset({Ref("node", node)})
        case ForthcomingDisk() | Network() | FilterRule():
            return frozenset()
        case _:
            assert_never(stored)


def _guest_references(instance: Instance | ForthcomingInstance) -> frozenset[Ref]:
    node = instance.primary_node
    nics = [nic.network for nic in instance.nics or () if nic.network is not None]
    return frozenset(
        {
            *(() if node is None else (Ref("node", node),)),
            *(Ref("disk", disk) for disk in instance.disks or ()),
            *(Ref("network", network) for network in nics),
        }
    )


def _nodes_of(disk: Disk) -> frozenset[str]:
    return frozenset(disk.nodes).union(*(_nodes_of(child) for child in disk.children))
