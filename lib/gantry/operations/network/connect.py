"""OP_NETWORK_CONNECT: make a network usable in a node group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gantry.core.config.addresses import place_of
from gantry.operations.hooks import with_hooks
from gantry.operations.lookup import find_group, find_network
from gantry.operations.network.hooks import group_hooks
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.whole import EVERYTHING
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.network_changes import ConnectNetwork, DisconnectNetwork
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.network import Network
from gantry.protocols.opcodes.network import OpNetworkConnect
from gantry.protocols.parameters.nic import NicParameters
from gantry.protocols.parameters.parameter_set import parse_edits
from gantry.protocols.steps import Commit, Plan
from gantry.protocols.wconfd import ConfigPart


async def needed_locks(opcode: OpNetworkConnect, world: World) -> Locks:
    """Lock the group; its instances and the network shared, if conflicts are looked for."""
    part = await world.read(EVERYTHING)
    group = find_group(part, opcode.group_name)
    network = find_network(part, opcode.network_name)
    looks = opcode.conflicts_check
    return locks(
        ("instance", "shared", instances_of(part, group) if looks else ()),
        ("nodegroup", "exclusive", [group.uuid]),
        ("network", "shared", [network.uuid] if looks else ()),
    )


def instances_of(part: ConfigPart, group: NodeGroup) -> list[str]:
    """Return the names of the instances whose primary node is in a group."""
    members = {node.uuid for node in part.nodes.values() if node.group == group.uuid}
    return sorted(i.name for i in part.instances.values() if i.primary_node in members)


async def plan(opcode: OpNetworkConnect, world: World) -> Plan:
    """Connect it; that it is connected already is said, and no error."""
    part = await world.read(EVERYTHING)
    group = find_group(part, opcode.group_name)
    network = find_network(part, opcode.network_name)
    if network.uuid in group.networks:
        world.say(f"network {network.name} is connected to node group {group.name} already")
        return Plan(opcode.op_id(), OPERATION.version, ())
    given = {
        "mode": opcode.network_mode,
        "link": opcode.network_link,
        "vlan": opcode.network_vlan,
    }
    parameters = dict(parse_edits(NicParameters, given).given)
    conflicts = list(_conflicts(part, group, network)) if opcode.conflicts_check else []
    if conflicts:
        text = (
            f"instances of node group {group.name} have addresses in {network.network} without "
            f"being in network {network.name}: {', '.join(conflicts)}; change these first, or "
            "give --no-conflicts-check"
        )
        raise OpPrereqError(text, "wrong_state")
    do = Commit(ConnectNetwork(network.uuid, group.uuid, parameters))
    undo = Commit(DisconnectNetwork(network.uuid, group.uuid))
    connected = step(f"connect {network.name} to {group.name}", "idempotent", do, undo)
    made = Plan(opcode.op_id(), OPERATION.version, (connected,))
    return with_hooks(made, group_hooks("network-connect", part, group, parameters), part)


def _conflicts(part: ConfigPart, group: NodeGroup, network: Network) -> Iterator[str]:
    names = set(instances_of(part, group))
    for instance in part.instances.values():
        for nic in instance.nics if instance.name in names else ():
            if nic.ip is not None and nic.network is None and place_of(network, nic.ip) is not None:
                yield f"{instance.name} ({nic.ip})"


OPERATION: Final = Operation(OpNetworkConnect, needed_locks, plan)
