"""The rules of instances and of their disks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gantry.core.config.addresses import is_reserved, place_of
from gantry.core.config.breaches import broken
from gantry.core.config.claims import Ref, ref, shown
from gantry.core.config.state import State
from gantry.protocols.objects.disk import Disk, DrbdId
from gantry.protocols.objects.instance import Instance, Nic
from gantry.protocols.wconfd import Invariant

LOCAL_DISKS: Final = frozenset({"plain", "file", "drbd", "blockdev"})
"""Templates of which an instance can only use disks that are on its primary node."""

MAC: Final = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")

DRBD_CHILDREN: Final = (0, 2)
"""A mirrored disk is made of a data and a meta volume, or its volumes are not known (yet)."""


def check_instance(state: State, instance: Instance) -> Iterator[Invariant]:
    """Check an instance, its place among its disks, and its interfaces."""
    yield from _check_disks(state, instance)
    for nic in instance.nics:
        if not MAC.fullmatch(nic.mac):
            text = f"has an interface with the MAC address {nic.mac!r}"
            yield broken("MAC addresses are well-formed", instance, text)
        yield from _check_address(state, instance, nic)


def _check_address(state: State, instance: Instance, nic: Nic) -> Iterator[Invariant]:
    network = state.configuration.networks.get(nic.network) if nic.network else None
    if network is None or nic.ip is None:
        return
    place = place_of(network, nic.ip)
    if place is None:
        text = f"has address {nic.ip} in network {network.name}, which is {network.network}"
        yield broken("addresses are in their network", instance, text)
    elif not is_reserved(network, place):
        text = f"address {nic.ip} is not marked as used in network {network.name}"
        yield broken("used addresses are marked", instance, text)


def check_disk(state: State, disk: Disk) -> Iterator[Invariant]:
    """Check a disk, and the instance whose it is."""
    yield from _check_mirror(disk)
    if disk.size < 0:
        yield broken("disks have a size", disk, f"has {disk.size} MiB")
    for owner in state.referrers(ref(disk)):
        if isinstance(owner, Instance):
            yield from _check_disks(state, owner)


def _check_mirror(disk: Disk) -> Iterator[Invariant]:
    place = disk.logical_id
    if not isinstance(place, DrbdId):
        return
    ends = {place.node_a, place.node_b}
    if len(ends) != 2 or (disk.nodes and set(disk.nodes) != ends):
        text = "is not on the two nodes between which it is mirrored"
        yield broken("mirrored disks are on two nodes", disk, text)
    if len(disk.children) not in DRBD_CHILDREN:
        text = f"is made of {len(disk.children)} devices"
        yield broken("mirrored disks have data and meta volumes", disk, text)


def _check_disks(state: State, instance: Instance) -> Iterator[Invariant]:
    for index, uuid in enumerate(instance.disks):
        disk = state.configuration.disks.get(uuid)
        if disk is None:
            continue
        if disk.iv_name != place_name(index):
            text = f"its disk {uuid} calls itself {disk.iv_name!r} at the place {index}"
            yield broken("disks are named by their place", instance, text)
        local = disk.dev_type in LOCAL_DISKS and disk.nodes
        if local and instance.primary_node not in disk.nodes:
            node = state.get(Ref("node", instance.primary_node))
            text = f"its disk {uuid} is not on its primary node {shown(node) if node else ''}"
            yield broken("local disks are on the primary node", instance, text.rstrip())


def place_name(index: int) -> str:
    """Return what the disk at a place of its instance is called (``iv_name``)."""
    return f"disk/{index}"
