"""OP_NETWORK_REMOVE: remove a network that no node group is connected to."""

from __future__ import annotations

from typing import Final

from gantry.operations.hooks import with_hooks
from gantry.operations.lookup import find_network
from gantry.operations.network.hooks import master_hooks
from gantry.operations.operation import Locks, Operation, all_of, locks, step
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.network_changes import AddNetwork, RemoveNetwork
from gantry.protocols.opcodes.network import OpNetworkRemove
from gantry.protocols.steps import Commit, Plan
from gantry.protocols.wconfd import Selection


async def needed_locks(opcode: OpNetworkRemove, world: World) -> Locks:
    """Lock the network, and all groups shared, so that none connects to it."""
    part = await world.read(Selection(networks="all"))
    big, member = locks(("network", "exclusive", [find_network(part, opcode.network_name).uuid]))
    return (big, all_of("nodegroup", "shared"), member)


async def plan(opcode: OpNetworkRemove, world: World) -> Plan:
    """Remove it."""
    part = await world.read(Selection(nodes="all", groups="all", networks="all"))
    network = find_network(part, opcode.network_name)
    groups = sorted(g.name for g in part.groups.values() if network.uuid in g.networks)
    if groups:
        names = ", ".join(groups)
        text = (
            f"network {network.name} is connected to the node groups {names}; disconnect it "
            "there first"
        )
        raise OpPrereqError(text, "wrong_state")
    do, undo = Commit(RemoveNetwork(network.uuid)), Commit(AddNetwork(network))
    removed = step(f"remove network {network.name}", "idempotent", do, undo)
    made = Plan(opcode.op_id(), OPERATION.version, (removed,))
    hooks = master_hooks("network-remove", part, {"NETWORK_NAME": network.name})
    return with_hooks(made, hooks, part)


OPERATION: Final = Operation(OpNetworkRemove, needed_locks, plan)
