"""Changes of networks, of the addresses they give out, and of the node groups they reach."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from attrs import evolve

from gantry.core.config.addresses import is_reserved, marked, place_of, subnet_of
from gantry.core.config.breaches import broken
from gantry.core.config.claims import Ref, ref, shown
from gantry.core.config.draft import Draft, Refusal
from gantry.protocols import network_changes as changes
from gantry.protocols.identity import GroupUuid, NetworkUuid
from gantry.protocols.network_changes import NetworkChange
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.network import Network


def change_networks(draft: Draft, change: NetworkChange) -> None:
    """Make a change of a network."""
    match change:
        case changes.AddNetwork(network, reserve):
            draft.add(_new(network, reserve))
        case changes.UpdateNetwork(network, reserve, release):
            old = _network(draft, network.uuid)
            _check_same_size(old, network)
            moves = network.gateway is not None and network.gateway != old.gateway
            _check_reserve(old, (*reserve, network.gateway) if moves else reserve)
            _check_release(old, release)
            draft.replace(_changed(old, network, reserve, release))
        case changes.RestoreNetwork(network, reserve, release):
            old = _network(draft, network.uuid)
            _check_same_size(old, network)
            draft.replace(_changed(old, draft.rebased(network), reserve, release))
        case changes.RemoveNetwork(uuid):
            draft.remove(_network(draft, uuid))
        case changes.ConnectNetwork(uuid, group, nicparams):
            _network(draft, uuid)
            stored = _group(draft, group)
            draft.replace(evolve(stored, networks={**stored.networks, uuid: nicparams}))
        case changes.DisconnectNetwork(uuid, group):
            _disconnect(draft, _network(draft, uuid), _group(draft, group))
        case _:
            assert_never(change)


def _network(draft: Draft, uuid: NetworkUuid) -> Network:
    return draft.get(Network, Ref("network", uuid))


def _group(draft: Draft, uuid: GroupUuid) -> NodeGroup:
    return draft.get(NodeGroup, Ref("nodegroup", uuid))


def _new(network: Network, reserve: Iterable[str]) -> Network:
    """Return a network whose bitmaps keep back what is never given out."""
    subnet = subnet_of(network)
    if subnet is None:
        return network  # the rules say what is wrong with it
    ends = (str(subnet.network_address), str(subnet.broadcast_address))
    gateway = () if network.gateway is None else (network.gateway,)
    places = [_place(network, ip) for ip in (*ends, *gateway, *reserve)]
    return marked(
        marked(network, "ext_reservations", places, taken=True), "reservations", (), taken=False
    )


def _changed(old: Network, new: Network, reserve: Iterable[str], release: Iterable[str]) -> Network:
    """Return the new network with the old one's bitmaps, but for what is said to change."""
    bits = evolve(new, reservations=old.reservations, ext_reservations=old.ext_reservations)
    freed, taken = [*release], [*reserve]
    if old.gateway != new.gateway:
        freed += () if old.gateway is None else (old.gateway,)
        taken += () if new.gateway is None else (new.gateway,)
    bits = marked(bits, "ext_reservations", [_place(old, ip) for ip in freed], taken=False)
    return marked(bits, "ext_reservations", [_place(old, ip) for ip in taken], taken=True)


def _check_same_size(old: Network, new: Network) -> None:
    if old.network != new.network:
        text = f"is {old.network} and can not become {new.network}"
        raise Refusal(broken("networks keep their addresses", old, text))


def _check_reserve(network: Network, addresses: Iterable[str | None]) -> None:
    for ip in addresses:
        if ip is not None and is_reserved(network, _place(network, ip)):
            text = f"address {ip} is taken already"
            raise Refusal(broken("reserved addresses were free", network, text))


def _check_release(network: Network, addresses: Iterable[str]) -> None:
    subnet = subnet_of(network)
    ends = set() if subnet is None else {subnet.network_address, subnet.broadcast_address}
    kept = {str(end) for end in ends} | {network.gateway}
    for ip in addresses:
        place = _place(network, ip)
        bits = network.ext_reservations or ""
        if ip in kept or bits[place : place + 1] != "1":
            text = f"address {ip} is not kept from the cluster"
            if ip in kept:
                text = f"address {ip} is the network's own, its broadcast's or its gateway's"
            raise Refusal(broken("released addresses were reserved", network, text))


def _place(network: Network, ip: str) -> int:
    place = place_of(network, ip)
    if place is None:
        text = f"{ip} is not an address in {network.network}"
        raise Refusal(broken("addresses are in their network", network, text))
    return place


def _disconnect(draft: Draft, network: Network, group: NodeGroup) -> None:
    for user in draft.users(network):
        if not isinstance(user, Instance):
            continue
        node = draft.configuration.nodes.get(user.primary_node)
        if node is not None and node.group == group.uuid:
            text = f"is used by instance {shown(user)} in node group {group.name}"
            raise Refusal(broken("what is used stays", network, text))
    rest = {uuid: each for uuid, each in group.networks.items() if uuid != ref(network).uuid}
    draft.replace(evolve(group, networks=rest))
