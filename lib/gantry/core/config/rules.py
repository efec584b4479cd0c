"""The rules of the configuration: each is a check of one object, over the indexes.

A change checks the objects that it touches; ``gnt-cluster verify`` checks all of them with the
same functions. Uniqueness and references are not here: they hold for every kind of object in
the same way, see :mod:`gantry.core.config.claims`.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from typing import assert_never

from gantry.core.config.claims import Ref, Stored, claims_of, kind_of, ref, references_of, shown
from gantry.core.config.state import State
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.disk import Disk, ForthcomingDisk
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import ForthcomingInstance, Instance
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.wconfd import Invariant

LOCAL_DISKS = frozenset({"plain", "file", "drbd", "blockdev"})
"""Templates of which an instance can only use disks that are on its primary node."""


def broken(rule: str, stored: Stored, text: str) -> Invariant:
    """Say which rule an object breaks."""
    return Invariant(rule, kind_of(stored), shown(stored), text)


def check(state: State, stored: Stored) -> Iterator[Invariant]:
    """Check one object that is in the state; every broken rule is reported."""
    yield from _check_claims(state, stored)
    for target in sorted(references_of(stored)):
        if state.get(target) is None:
            text = f"refers to {target.kind} {target.uuid}, which does not exist"
            yield broken("references resolve", stored, text)
    yield from _check_own(state, stored)


def _check_claims(state: State, stored: Stored) -> Iterator[Invariant]:
    for claim, count in Counter(claims_of(stored)).items():
        owner = state.owner_of(claim)
        if count > 1:
            yield broken("values are unique", stored, f"uses {claim.space} {claim.value} twice")
        elif owner is not None and ref(owner) != ref(stored):
            text = f"{claim.space} {claim.value} belongs to {kind_of(owner)} {shown(owner)}"
            yield broken("values are unique", stored, text)


def _check_own(state: State, stored: Stored) -> Iterator[Invariant]:
    match stored:
        case Cluster():
            yield from _check_cluster(state, stored)
        case Node():
            yield from _check_node(state, stored)
        case Instance():
            yield from _check_instance(state, stored)
        case Disk():
            for owner in state.referrers(ref(stored)):
                if isinstance(owner, Instance):
                    yield from _check_disks(state, owner)
        case Network():
            yield from _check_network(stored)
        case FilterRule() | Leftover() | NodeGroup() | ForthcomingInstance() | ForthcomingDisk():
            return
        case _:
            assert_never(stored)


def _check_cluster(state: State, cluster: Cluster) -> Iterator[Invariant]:
    if not cluster.enabled_hypervisors:
        yield broken("some hypervisor is enabled", cluster, "no hypervisor is enabled")
    for hypervisor in cluster.enabled_hypervisors:
        if hypervisor not in cluster.hvparams:
            text = f"hypervisor {hypervisor} is enabled and has no parameters"
            yield broken("hypervisors have parameters", cluster, text)
    if not cluster.enabled_disk_templates:
        yield broken("some disk template is enabled", cluster, "no disk template is enabled")
    master = state.configuration.nodes.get(cluster.master_node)
    if master is not None:
        yield from _check_master(master)


def _check_node(state: State, node: Node) -> Iterator[Invariant]:
    roles = {
        "master candidate": node.master_candidate,
        "drained": node.drained,
        "offline": node.offline,
    }
    taken = [role for role, has in roles.items() if has]
    if len(taken) > 1:
        yield broken("a node has one role", node, f"is {' and '.join(taken)} at once")
    if node.master_candidate and not node.master_capable:
        text = "is a master candidate and not capable of being master"
        yield broken("candidates are master capable", node, text)
    if state.configuration.cluster.master_node == node.uuid:
        yield from _check_master(node)


def _check_master(node: Node) -> Iterator[Invariant]:
    if not node.master_candidate:
        yield broken("the master is a candidate", node, "is the master and no master candidate")


def _check_instance(state: State, instance: Instance) -> Iterator[Invariant]:
    yield from _check_disks(state, instance)
    for nic in instance.nics:
        network = state.configuration.networks.get(nic.network) if nic.network else None
        if network is None or nic.ip is None:
            continue
        place = place_of(network, nic.ip)
        if place is None:
            text = f"has address {nic.ip} in network {network.name}, which is {network.network}"
            yield broken("addresses are in their network", instance, text)
        elif not is_reserved(network, place):
            text = f"address {nic.ip} is not marked as used in network {network.name}"
            yield broken("used addresses are marked", instance, text)


def _check_disks(state: State, instance: Instance) -> Iterator[Invariant]:
    for uuid in instance.disks:
        disk = state.configuration.disks.get(uuid)
        if disk is None or disk.dev_type not in LOCAL_DISKS:
            continue
        if disk.nodes and instance.primary_node not in disk.nodes:
            node = state.get(Ref("node", instance.primary_node))
            text = f"its disk {uuid} is not on its primary node {shown(node) if node else ''}"
            yield broken("local disks are on the primary node", instance, text.rstrip())


def _check_network(network: Network) -> Iterator[Invariant]:
    try:
        size = ipaddress.IPv4Network(network.network).num_addresses
    except ValueError as error:
        yield broken("networks are IPv4 networks", network, str(error))
        return
    for bitmap in (network.reservations, network.ext_reservations):
        if bitmap is not None and (len(bitmap) != size or set(bitmap) - {"0", "1"}):
            text = f"a reservation bitmap is not made of {size} zeros and ones"
            yield broken("bitmaps fit their network", network, text)


def place_of(network: Network, ip: str) -> int | None:
    """Return an address's place in a network's bitmaps, or ``None`` if it is not in it."""
    try:
        subnet, address = ipaddress.IPv4Network(network.network), ipaddress.IPv4Address(ip)
    except ValueError:
        return None
    return int(address) - int(subnet.network_address) if address in subnet else None


def is_reserved(network: Network, place: int) -> bool:
    """Whether the address at a place in the bitmaps is taken."""
    return any(bit_set(bits, place) for bits in (network.reservations, network.ext_reservations))


def bit_set(bitmap: str | None, place: int) -> bool:
    """Whether a bitmap has a one at a place; no bitmap is all zeros."""
    return bitmap is not None and bitmap[place : place + 1] == "1"
