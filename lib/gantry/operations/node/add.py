"""OP_NODE_ADD: take a machine that has joined into the configuration.

A machine joins first: with a one-time token it gets its certificate and the cluster's keys from
the master (``gantry token`` there, ``gantry join`` here). Then its NodeD answers the master, and
this operation makes it a node.
"""

from __future__ import annotations

from typing import Final

import attrs

from gantry.operations.hooks import Hooks, with_hooks
from gantry.operations.lookup import find_group
from gantry.operations.operation import Operation, step, the_whole_cluster
from gantry.operations.world import World
from gantry.protocols.changes import AddNode, RemoveNode, UpdateNode
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import GroupUuid, NodeUuid
from gantry.protocols.noded import NodeVersion
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.node import OpNodeAdd
from gantry.protocols.parameters.node import NodeParameters
from gantry.protocols.parameters.parameter_set import parse_edits
from gantry.protocols.steps import Commit, NoUndo, Plan, Step
from gantry.protocols.wconfd import ConfigPart, Selection

UNKNOWN: Final = NodeUuid("")
"""Stands for the UUID of a machine that has not said who it is yet."""


async def plan(opcode: OpNodeAdd, world: World) -> Plan:
    """Ask the machine who it is, then add it."""
    part = await world.read(Selection(nodes="all", groups="all"))
    name = opcode.node_name.lower()
    known = next((node for node in part.nodes.values() if node.name == name), None)
    if known is not None and not opcode.readd:
        text = f"node {name} is in the cluster already; use --readd if it was installed anew"
        raise OpPrereqError(text, "already_exists")
    if known is None and opcode.readd:
        raise OpPrereqError(f"node {name} is not in the cluster: add it without --readd")
    group = _group(opcode, part).uuid if known is None else known.group
    node = await _design(opcode, world, part, name, group)
    version = await world.ask(node, lambda n: n.version())
    _check_answer(version, name, part)
    node = attrs.evolve(node, uuid=version.uuid)
    added = _add(node, version) if known is None else _renew(known, node, version)
    made = Plan(opcode.op_id(), OPERATION.version, (added,))
    return with_hooks(made, _hooks(node, part), part)


async def _design(
    opcode: OpNodeAdd, world: World, part: ConfigPart, name: str, group: GroupUuid
) -> Node:
    primary_ip = opcode.primary_ip or await world.resolve(name)
    taken = {n.primary_ip: n.name for n in part.nodes.values() if n.name != name}
    if primary_ip in taken:
        text = f"the address {primary_ip} of {name} belongs to node {taken[primary_ip]}"
        raise OpPrereqError(text, "resource_not_unique")
    capable = opcode.master_capable is not False
    candidates = sum(node.master_candidate for node in part.nodes.values())
    return Node(
        name=name,
        primary_ip=primary_ip,
        secondary_ip=opcode.secondary_ip or primary_ip,
        master_candidate=capable and candidates < part.cluster.candidate_pool_size,
        offline=False,
        drained=False,
        group=group,
        master_capable=capable,
        vm_capable=opcode.vm_capable is not False,
        ndparams=parse_edits(NodeParameters, opcode.ndparams or {}).given,
        powered=True,
        ctime=world.now(),
        mtime=world.now(),
        uuid=UNKNOWN,
        serial_no=1,
    )


def _group(opcode: OpNodeAdd, part: ConfigPart) -> NodeGroup:
    if opcode.group is not None:
        return find_group(part, opcode.group)
    if len(part.groups) != 1:
        names = ", ".join(sorted(group.name for group in part.groups.values()))
        raise OpPrereqError(f"say to which node group the node belongs (-g): {names}")
    return next(iter(part.groups.values()))


def _check_answer(version: NodeVersion, name: str, part: ConfigPart) -> None:
    if version.node != name:
        text = f"the machine at that address calls itself {version.node}, not {name}"
        raise OpPrereqError(text, "wrong_state")
    holder = part.nodes.get(version.uuid)
    if holder is not None and holder.name != name:
        text = (
            f"the machine has the identity of node {holder.name}; join it with a token of its own"
        )
        raise OpPrereqError(text, "resource_not_unique")


def _add(node: Node, version: NodeVersion) -> Step:
    digest = version.certificate_digest if node.master_candidate else None
    undo = Commit(RemoveNode(node.uuid))
    return step(f"add node {node.name}", "idempotent", Commit(AddNode(node, digest)), undo)


def _renew(known: Node, node: Node, version: NodeVersion) -> Step:
    if node.uuid != known.uuid:
        raise OpPrereqError(
            f"node {known.name} joined with another identity than it had; remove the old one first",
            "wrong_state",
        )
    renewed = attrs.evolve(
        known,
        primary_ip=node.primary_ip,
        secondary_ip=node.secondary_ip,
        offline=False,
        drained=False,
    )
    undo = NoUndo("that the node is back is true")
    digest = version.certificate_digest if renewed.master_candidate else None
    do = Commit(UpdateNode(renewed, digest))
    return step(f"take node {node.name} in again", "idempotent", do, undo)


def _hooks(node: Node, part: ConfigPart) -> Hooks:
    others = tuple(uuid for uuid in part.nodes if uuid != node.uuid)
    told = {
        "OP_TARGET": node.name,
        "NODE_NAME": node.name,
        "NODE_PIP": node.primary_ip,
        "NODE_SIP": node.secondary_ip,
        "MASTER_CAPABLE": node.master_capable,
        "VM_CAPABLE": node.vm_capable,
    }
    nodes = tuple(NodeUuid(uuid) for uuid in others)
    return Hooks("node-add", "NODE", nodes, nodes, told)


OPERATION: Final = Operation(OpNodeAdd, the_whole_cluster, plan)
