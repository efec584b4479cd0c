"""OP_NODE_CLEAN_UP: do on a node what earlier jobs could not undo there.

Each call is made under the key of the undo that it stands for, so that a node which never did
what was to be undone, or has undone it meanwhile, does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gantry.operations.lookup import check_online, find_node
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.changes import RemoveLeftover
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.node import OpNodeCleanUp
from gantry.protocols.steps import Commit, NodeCall, NoUndo, Plan, Step, TakeBack
from gantry.protocols.wconfd import Selection

_TIDY: Final = NoUndo("what is cleaned up stays clean")


async def _read(opcode: OpNodeCleanUp, world: World) -> tuple[Node, list[Leftover]]:
    """Return the node and what was left there: the newest first, as undoing goes."""
    part = await world.read(Selection(nodes=(opcode.node_name,), leftovers_of_nodes="all"))
    node = find_node(part, opcode.node_name)
    left = [each for each in part.leftovers.values() if each.node == node.uuid]
    return node, sorted(left, key=lambda each: each.key, reverse=True)


async def needed_locks(opcode: OpNodeCleanUp, world: World) -> Locks:
    """Lock the node and the instances of which it has parts."""
    node, leftovers = await _read(opcode, world)
    names = [each.object_name for each in leftovers if each.object_kind == "instance"]
    return locks(("instance", "exclusive", names), ("node", "exclusive", [node.uuid]))


async def plan(opcode: OpNodeCleanUp, world: World) -> Plan:
    """Make each call and strike the left-over out; the result is what was cleaned up."""
    node, leftovers = await _read(opcode, world)
    if leftovers:
        check_online(node)
    steps = [each for left in leftovers for each in _steps(left)]
    result = [f"{left.object_kind} {left.object_name}" for left in leftovers]
    return Plan(opcode.op_id(), OPERATION.version, tuple(steps), list(result))


def _steps(left: Leftover) -> Iterator[Step]:
    what = f"{left.object_kind} {left.object_name} of job {left.job} (step {left.key.step})"
    call = NodeCall(left.node, left.method, dict(left.args), deadline_seconds=left.deadline_seconds)
    yield step(f"clean up {what}", "idempotent", TakeBack(left.key, call), _TIDY)
    struck = Commit(RemoveLeftover(left.uuid))
    yield step(f"strike out {what}", "idempotent", struck, _TIDY)


OPERATION: Final = Operation(OpNodeCleanUp, needed_locks, plan)
