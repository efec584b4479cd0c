"""OP_NETWORK_SET_PARAMS: change a network, and which addresses are not the cluster's."""

from __future__ import annotations

from typing import Final

import attrs

from gantry.core.config.addresses import bit_set, is_reserved, place_of
from gantry.operations.hooks import with_hooks
from gantry.operations.lookup import find_network
from gantry.operations.network.addressing import (
    address4,
    address6,
    addresses4,
    changed,
    mac_prefix,
    subnet6,
)
from gantry.operations.network.hooks import master_hooks, network_variables
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.network_changes import RestoreNetwork, UpdateNetwork
from gantry.protocols.objects.network import Network
from gantry.protocols.opcodes.network import OpNetworkSetParams
from gantry.protocols.steps import Commit, Plan
from gantry.protocols.wconfd import Selection

SETTINGS: Final = (
    "gateway", "network6", "gateway6", "mac_prefix", "add_reserved_ips", "remove_reserved_ips",
)  # fmt: skip


async def needed_locks(opcode: OpNetworkSetParams, world: World) -> Locks:
    """Lock the network."""
    part = await world.read(Selection(networks="all"))
    return locks(("network", "exclusive", [find_network(part, opcode.network_name).uuid]))


async def plan(opcode: OpNetworkSetParams, world: World) -> Plan:
    """Check what is to be given out no more, or again; then change it."""
    if all(getattr(opcode, name) in (None, ()) for name in SETTINGS):
        raise OpPrereqError("say what to change: nothing was given", "wrong_input")
    part = await world.read(Selection(nodes="all", networks="all"))
    network = find_network(part, opcode.network_name)
    reserve, release = addresses4(opcode.add_reserved_ips), addresses4(opcode.remove_reserved_ips)
    wanted = attrs.evolve(
        network,
        gateway=changed(network.gateway, opcode.gateway, address4),
        network6=changed(network.network6, opcode.network6, subnet6),
        gateway6=changed(network.gateway6, opcode.gateway6, address6),
        mac_prefix=changed(network.mac_prefix, opcode.mac_prefix, mac_prefix),
    )
    moves = wanted.gateway is not None and wanted.gateway != network.gateway
    _check_free(network, (*reserve, wanted.gateway) if moves else reserve)
    _check_kept(network, release)
    do = Commit(UpdateNetwork(wanted, reserve, release))
    undo = Commit(RestoreNetwork(network, release, reserve))
    change = step(f"change network {network.name}", "idempotent", do, undo)
    made = Plan(opcode.op_id(), OPERATION.version, (change,))
    return with_hooks(made, master_hooks("network-modify", part, network_variables(wanted)), part)


def _check_free(network: Network, addresses: tuple[str | None, ...]) -> None:
    for ip in addresses:
        place = _place(network, ip or "")
        if is_reserved(network, place):
            who = "kept back" if bit_set(network.ext_reservations, place) else "an instance's"
            text = f"address {ip} of network {network.name} is {who} already"
            raise OpPrereqError(text, "resource_not_unique")


def _check_kept(network: Network, addresses: tuple[str, ...]) -> None:
    for ip in addresses:
        if not bit_set(network.ext_reservations, _place(network, ip)):
            text = f"address {ip} of network {network.name} is not kept back"
            raise OpPrereqError(text, "wrong_state")


def _place(network: Network, ip: str) -> int:
    place = place_of(network, ip)
    if place is None:
        text = f"{ip} is not an address in network {network.name}, which is {network.network}"
        raise OpPrereqError(text, "wrong_input")
    return place


OPERATION: Final = Operation(OpNetworkSetParams, needed_locks, plan)
