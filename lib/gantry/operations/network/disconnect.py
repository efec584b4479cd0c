"""OP_NETWORK_DISCONNECT: make a network unusable in a node group again."""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import with_hooks
from gantry.operations.lookup import find_group, find_network
from gantry.operations.network.connect import instances_of
from gantry.operations.network.hooks import group_hooks
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.whole import EVERYTHING
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.network_changes import ConnectNetwork, DisconnectNetwork
from gantry.protocols.opcodes.network import OpNetworkDisconnect
from gantry.protocols.steps import Commit, Plan


async def needed_locks(opcode: OpNetworkDisconnect, world: World) -> Locks:
    """Lock the group, and its instances shared."""
    part = await world.read(EVERYTHING)
    group = find_group(part, opcode.group_name)
    return locks(
        ("instance", "shared", instances_of(part, group)),
        ("nodegroup", "exclusive", [group.uuid]),
    )


async def plan(opcode: OpNetworkDisconnect, world: World) -> Plan:
    """Disconnect it, unless an instance there uses it."""
    part = await world.read(EVERYTHING)
    group = find_group(part, opcode.group_name)
    network = find_network(part, opcode.network_name)
    parameters = group.networks.get(network.uuid)
    if parameters is None:
        world.say(f"network {network.name} is not connected to node group {group.name}")
        return Plan(opcode.op_id(), OPERATION.version, ())
    names = set(instances_of(part, group))
    users = sorted(
        instance.name
        for instance in part.instances.values()
        if instance.name in names and any(nic.network == network.uuid for nic in instance.nics)
    )
    if users:
        text = f"network {network.name} is used in node group {group.name} by {', '.join(users)}"
        raise OpPrereqError(text, "wrong_state")
    do = Commit(DisconnectNetwork(network.uuid, group.uuid))
    undo = Commit(ConnectNetwork(network.uuid, group.uuid, parameters))
    apart = step(f"disconnect {network.name} from {group.name}", "idempotent", do, undo)
    made = Plan(opcode.op_id(), OPERATION.version, (apart,))
    return with_hooks(made, group_hooks("network-disconnect", part, group, parameters), part)


OPERATION: Final = Operation(OpNetworkDisconnect, needed_locks, plan)
