"""OP_NETWORK_ADD: add a network whose addresses the cluster hands out."""

from __future__ import annotations

from typing import Final

from gantry.core.config.addresses import marked, place_of
from gantry.core.config.network_rules import check_network
from gantry.operations.hooks import with_hooks
from gantry.operations.network.addressing import (
    address4,
    address6,
    addresses4,
    changed,
    mac_prefix,
    subnet4,
    subnet6,
)
from gantry.operations.network.hooks import master_hooks, network_variables
from gantry.operations.operation import Locks, Operation, all_of, locks, step
from gantry.operations.tags.add import check_tags
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import NetworkUuid
from gantry.protocols.network_changes import AddNetwork, RemoveNetwork
from gantry.protocols.objects.network import Network
from gantry.protocols.opcodes.network import OpNetworkAdd
from gantry.protocols.steps import Commit, Plan
from gantry.protocols.wconfd import ConfigPart, Selection, Want


async def needed_locks(opcode: OpNetworkAdd, world: World) -> Locks:
    """Lock the nodes shared, if their addresses are to be kept from the network."""
    return (*locks(), all_of("node", "shared")) if opcode.conflicts_check else locks()


async def plan(opcode: OpNetworkAdd, world: World) -> Plan:
    """Add it; nobody can know it before, so that no lock stands for it."""
    part = await world.read(Selection(nodes="all", networks="all"))
    name = opcode.network_name
    if any(network.name == name for network in part.networks.values()):
        raise OpPrereqError(f"network {name} exists already", "already_exists")
    check_tags(opcode.tags)
    uuid, _ = await world.reserve(Want("uuid"), Want("network name", name))
    network = Network(
        name=name,
        mac_prefix=changed(None, opcode.mac_prefix, mac_prefix),
        network=subnet4(opcode.network),
        network6=changed(None, opcode.network6, subnet6),
        gateway=changed(None, opcode.gateway, address4),
        gateway6=changed(None, opcode.gateway6, address6),
        ctime=world.now(),
        mtime=world.now(),
        uuid=NetworkUuid(uuid),
        serial_no=1,
        tags=frozenset(opcode.tags),
    )
    reserved = addresses4(opcode.add_reserved_ips)
    _check(network, reserved)
    if opcode.conflicts_check:
        reserved = tuple(dict.fromkeys((*reserved, *_of_nodes(world, part, network))))
    do, undo = Commit(AddNetwork(network, reserved)), Commit(RemoveNetwork(network.uuid))
    added = step(f"add network {name}", "idempotent", do, undo)
    made = Plan(opcode.op_id(), OPERATION.version, (added,))
    return with_hooks(made, master_hooks("network-add", part, network_variables(network)), part)


def _check(network: Network, reserved: tuple[str, ...]) -> None:
    for ip in (*reserved, *([network.gateway] if network.gateway else [])):
        if place_of(network, ip) is None:
            raise OpPrereqError(f"{ip} is not an address in {network.network}", "wrong_input")
    for broken in check_network(marked(network, "ext_reservations", _gateway(network), taken=True)):
        raise OpPrereqError(f"network {network.name} can not be: {broken.text}", "wrong_input")


def _gateway(network: Network) -> list[int]:
    place = None if network.gateway is None else place_of(network, network.gateway)
    return [] if place is None else [place]


def _of_nodes(world: World, part: ConfigPart, network: Network) -> list[str]:
    """Return the addresses of nodes and of the cluster that lie in the network."""
    users = {part.cluster.master_ip: "the cluster"}
    for node in part.nodes.values():
        users |= {node.primary_ip: f"node {node.name}", node.secondary_ip: f"node {node.name}"}
    inside = [ip for ip in users if place_of(network, ip) is not None]
    world.say(*(f"address {ip} of {users[ip]} is not given out" for ip in inside))
    return inside


OPERATION: Final = Operation(OpNetworkAdd, needed_locks, plan)
