"""OP_NETWORK_RENAME: give a network another name; instances and node groups know it by UUID."""

from __future__ import annotations

from typing import Final

import attrs

from gantry.operations.hooks import with_hooks
from gantry.operations.lookup import find_network
from gantry.operations.network.hooks import master_hooks, network_variables
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.network_changes import RestoreNetwork, UpdateNetwork
from gantry.protocols.opcodes.network import OpNetworkRename
from gantry.protocols.steps import Commit, Plan
from gantry.protocols.wconfd import Selection, Want


async def needed_locks(opcode: OpNetworkRename, world: World) -> Locks:
    """Lock the network."""
    part = await world.read(Selection(networks="all"))
    return locks(("network", "exclusive", [find_network(part, opcode.network_name).uuid]))


async def plan(opcode: OpNetworkRename, world: World) -> Plan:
    """Rename it; the result is the new name."""
    part = await world.read(Selection(networks="all"))
    network, name = find_network(part, opcode.network_name), opcode.new_name
    if any(name in (each.name, each.uuid) for each in part.networks.values()):
        raise OpPrereqError(f"there is a network {name} already", "already_exists")
    await world.reserve(Want("network name", name))
    renamed = attrs.evolve(network, name=name)
    do, undo = Commit(UpdateNetwork(renamed)), Commit(RestoreNetwork(network))
    change = step(f"rename network {network.name}", "idempotent", do, undo)
    told = {**network_variables(network), "OLD_NAME": network.name, "NEW_NAME": name}
    made = Plan(opcode.op_id(), OPERATION.version, (change,), name)
    return with_hooks(made, master_hooks("network-rename", part, told), part)


OPERATION: Final = Operation(OpNetworkRename, needed_locks, plan)
