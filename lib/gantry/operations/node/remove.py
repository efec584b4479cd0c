"""OP_NODE_REMOVE: take a node without instances out of the cluster.

A master candidate loses its vote first: that can be refused, or has to be waited for. Then the
node drops its keys, while the cluster still knows where it is; from there on there is only one
way. A node that does not answer is removed all the same: its certificate is no longer listed then,
and it keeps keys that open nothing but questions. What jobs have left on the node goes with it, but
for what is on storage that others share: another node sees to that first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gantry.core.config.claims import SHARED_FILES
from gantry.operations.hooks import Hooks, with_hooks
from gantry.operations.lookup import find_node
from gantry.operations.node.candidates import change_node
from gantry.operations.node.roles import with_role
from gantry.operations.operation import Operation, step, the_whole_cluster
from gantry.operations.world import World
from gantry.protocols.changes import AddNode, RemoveNode
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import call
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.node import OpNodeRemove
from gantry.protocols.steps import Commit, NodeCall, NoUndo, Plan, Step, StepName
from gantry.protocols.wconfd import ConfigPart, Selection

LEAVE: Final = StepName("have the node leave")

_OF_DISKS: Final = ("remove_disk", "rename_disk")
_TIDY: Final = NoUndo("what is cleaned up stays clean")


async def plan(opcode: OpNodeRemove, world: World) -> Plan:
    """Have the node forget the cluster, and the cluster forget the node."""
    part = await world.read(Selection(nodes="all", instances="all", leftovers_of_nodes="all"))
    node = find_node(part, opcode.node_name)
    if node.uuid == part.cluster.master_node:
        text = f"node {node.name} is the master; make another node master first"
        raise OpPrereqError(text)
    on_disks = {uuid for uuid, disk in part.disks.items() if node.uuid in disk.nodes}
    users = sorted(
        each.name
        for each in part.instances.values()
        if each.primary_node == node.uuid or on_disks & set(each.disks)
    )
    if users:
        raise OpPrereqError(
            f"node {node.name} still has the instances {', '.join(users)}; move or remove them"
        )
    regular = with_role(node, "regular") if node.master_candidate else node
    leave = call(node.uuid, lambda n, t: n.leave_cluster(t))
    back = NoUndo("the node has dropped its keys; it joins again with a token")
    forget, remember = Commit(RemoveNode(node.uuid)), Commit(AddNode(regular))
    steps = [
        step(LEAVE, "idempotent", leave, back, tolerate=True),
        step(f"remove node {node.name}", "idempotent", forget, remember),
    ]
    helper = _helper(part, node)
    steps[:0] = [_done_elsewhere(left, helper) for left in _left_on_shared_storage(part, node)]
    if regular != node:
        steps.insert(0, await change_node(world, part.cluster, node, regular))
    others = tuple(NodeUuid(uuid) for uuid in part.nodes if uuid != node.uuid)
    hooks = Hooks(
        "node-remove",
        "NODE",
        others,
        others,
        {"OP_TARGET": node.name, "NODE_NAME": node.name},
    )
    made = Plan(opcode.op_id(), OPERATION.version, tuple(steps), no_return=LEAVE)
    return with_hooks(made, hooks, part)


def _left_on_shared_storage(part: ConfigPart, node: Node) -> list[Leftover]:
    """Return what was left there and is seen by other nodes, too, the newest first."""
    left = [
        each
        for each in part.leftovers.values()
        if each.node == node.uuid and each.method in _OF_DISKS and _is_shared(each.args.get("disk"))
    ]
    return sorted(left, key=lambda each: each.key, reverse=True)


def _is_shared(disk: Json) -> bool:
    return isinstance(disk, Mapping) and disk.get("template") in SHARED_FILES


def _helper(part: ConfigPart, node: Node) -> NodeUuid:
    """Return a node with the same shared storage: one of the same group, if one may be used."""
    master = part.cluster.master_node
    usable = {
        each.uuid
        for each in part.nodes.values()
        if each.group == node.group and each.vm_capable and not each.offline and each != node
    }
    return master if master in usable or not usable else min(usable)


def _done_elsewhere(left: Leftover, helper: NodeUuid) -> Step:
    what = f"{left.object_kind} {left.object_name} of job {left.job} (step {left.key.step})"
    do = NodeCall(helper, left.method, dict(left.args), deadline_seconds=left.deadline_seconds)
    return step(f"clean up {what} from another node", "idempotent", do, _TIDY)


OPERATION: Final = Operation(OpNodeRemove, the_whole_cluster, plan, version=3)
