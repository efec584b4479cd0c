"""OP_NODE_SET_PARAMS: change a node's role and settings."""

from __future__ import annotations

from typing import Final

import attrs

from gantry.operations.hooks import Hooks, with_hooks
from gantry.operations.lookup import find_node
from gantry.operations.node.candidates import change_node, fill_pool
from gantry.operations.node.roles import (
    Role,
    candidates_missing,
    might_demote,
    role_of,
    wanted_role,
    with_role,
)
from gantry.operations.operation import Locks, Operation, all_of, locks
from gantry.operations.whole import EVERYTHING
from gantry.operations.world import World
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.node import OpNodeSetParams
from gantry.protocols.parameters.node import NodeParameters
from gantry.protocols.parameters.parameter_set import parse_edits
from gantry.protocols.steps import Plan, Step
from gantry.protocols.wconfd import ConfigPart, Selection

SETTINGS: Final = (
    "offline", "drained", "master_candidate", "master_capable", "vm_capable", "secondary_ip",
    "ndparams", "hv_state", "disk_state", "powered",
)  # fmt: skip


async def needed_locks(opcode: OpNodeSetParams, world: World) -> Locks:
    """Lock the node, or all nodes if others may be promoted in its place."""
    if opcode.auto_promote and might_demote(opcode):
        return (*locks(), all_of("node", "exclusive"), all_of("node-res", "exclusive"))
    node = find_node(await world.read(Selection(nodes="all")), opcode.node_name)
    return locks(("node", "exclusive", [node.uuid]), ("node-res", "exclusive", [node.uuid]))


async def plan(opcode: OpNodeSetParams, world: World) -> Plan:
    """Change the node, and promote others if it leaves the pool of candidates."""
    if all(getattr(opcode, name) is None for name in SETTINGS):
        raise OpPrereqError("say what to change: nothing was given", "wrong_input")
    part = await world.read(EVERYTHING)
    node = find_node(part, opcode.node_name)
    _check_supported(opcode, node)
    others = [each for each in part.nodes.values() if each.uuid != node.uuid]
    room = candidates_missing(part.cluster, [*others, with_role(node, "regular")]) > 0
    role = wanted_role(opcode, node, pool_has_room=room)
    changed = _changed(opcode, part, node, role)
    _check_master(part, node, changed)
    if node.offline and not changed.offline:
        await world.ask(node, lambda n: n.version())  # what does not answer does not come back
    steps = [await change_node(world, part.cluster, node, changed)]
    if role_of(node) == "candidate" and role != "candidate":
        steps += await _successors(opcode, world, part, others, changed)
    hooks = _hooks(part, node, changed)
    made = Plan(opcode.op_id(), OPERATION.version, tuple(steps), _differences(node, changed))
    return with_hooks(made, hooks, part)


def _check_supported(opcode: OpNodeSetParams, node: Node) -> None:
    if opcode.hv_state or opcode.disk_state:
        raise OpPrereqError("static hypervisor and disk states are not available in this version")
    if opcode.powered is not None:
        text = f"node {node.name} has no out-of-band program, so its power state is not kept"
        raise OpPrereqError(text, "wrong_state")
    if opcode.secondary_ip not in (None, node.secondary_ip):
        raise OpPrereqError("the replication address can not be changed in this version")


def _changed(opcode: OpNodeSetParams, part: ConfigPart, node: Node, role: Role) -> Node:
    runs_none = opcode.vm_capable is False
    users = sorted(i.name for i in part.instances.values() if i.primary_node == node.uuid)
    if runs_none and users:
        text = f"node {node.name} still has the instances {', '.join(users)}; move them first"
        raise OpPrereqError(text, "wrong_state")
    capable = node.master_capable if opcode.master_capable is None else opcode.master_capable
    return attrs.evolve(
        with_role(node, role),
        master_capable=capable,
        vm_capable=node.vm_capable if opcode.vm_capable is None else opcode.vm_capable,
        ndparams=parse_edits(NodeParameters, opcode.ndparams or {}).apply(node.ndparams),
    )


def _check_master(part: ConfigPart, node: Node, changed: Node) -> None:
    if part.cluster.master_node != node.uuid:
        return
    if role_of(changed) != "candidate" or not changed.master_capable:
        raise OpPrereqError(
            f"node {node.name} is the master and stays a candidate; make another node master "
            "first (gnt-cluster master-failover)",
            "wrong_input",
        )


async def _successors(
    opcode: OpNodeSetParams, world: World, part: ConfigPart, others: list[Node], changed: Node
) -> list[Step]:
    """Return the steps that fill the pool of candidates up.

    Raises:
        OpPrereqError: it is not full any more, and nobody is to be promoted.
    """
    nodes = [*others, changed]
    missing = candidates_missing(part.cluster, nodes)
    if missing and not opcode.auto_promote:
        raise OpPrereqError(
            f"there would be {missing} master candidates too few; have others promoted "
            "(--auto-promote)",
            "wrong_state",
        )
    return await fill_pool(world, part.cluster, nodes, spared=[changed.name])


def _differences(node: Node, changed: Node) -> list[Json]:
    """Return [setting, new value] of what changes, in Ganeti's form."""
    roles = ("master_candidate", "drained", "offline")
    found: list[Json] = [
        [name, getattr(changed, name)]
        for name in ("master_capable", "vm_capable")
        if getattr(changed, name) != getattr(node, name)
    ]
    if changed.ndparams != node.ndparams:
        found.append(["ndparams", dict(changed.ndparams)])
    return found + [
        [name, str(getattr(changed, name))]
        for name in roles
        if getattr(changed, name) != getattr(node, name)
    ]


def _hooks(part: ConfigPart, node: Node, changed: Node) -> Hooks:
    told = {
        "OP_TARGET": node.name,
        "MASTER_CANDIDATE": changed.master_candidate,
        "OFFLINE": changed.offline,
        "DRAINED": changed.drained,
        "MASTER_CAPABLE": changed.master_capable,
        "VM_CAPABLE": changed.vm_capable,
    }
    where = tuple(dict.fromkeys((part.cluster.master_node, node.uuid)))
    return Hooks("node-modify", "NODE", where, where, told)


OPERATION: Final = Operation(OpNodeSetParams, needed_locks, plan)
