"""OP_TEST_DELAY: wait, on the master or on nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gantry.operations.lookup import find_nodes
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.world import World
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import call
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.testing import OpTestDelay
from gantry.protocols.steps import Delay, NoUndo, Plan, Say, Step
from gantry.protocols.wconfd import Selection

_PAST: Final = NoUndo("time that has passed does not come back")

NODE_SLACK_SECONDS: Final = 30.0
"""What a node may take longer than it was asked to wait."""


async def needed_locks(opcode: OpTestDelay, world: World) -> Locks:
    """Lock the nodes exclusively, if locks are wanted at all."""
    if opcode.no_locks:
        return locks()
    part = await world.read(Selection(nodes=opcode.on_nodes))
    members = [node.uuid for node in find_nodes(part, opcode.on_nodes)]
    if opcode.on_master:
        members.append(part.cluster.master_node)
    return locks(("node", "exclusive", members))


async def plan(opcode: OpTestDelay, world: World) -> Plan:
    """Wait once or several times, on the master first, then on the nodes."""
    nodes: Sequence[Node] = ()
    if opcode.on_nodes:
        part = await world.read(Selection(nodes=opcode.on_nodes))
        nodes = find_nodes(part, opcode.on_nodes)
    steps: list[Step] = []
    for number in range(max(1, opcode.repeat)):
        if opcode.repeat:
            steps.append(step(f"announce {number}", "idempotent", _announcement(opcode, number)))
        steps += _one_round(opcode, nodes, number)
    return Plan(opcode.op_id(), OPERATION.version, tuple(steps))


def _announcement(opcode: OpTestDelay, number: int) -> Say:
    return Say(f"Test delay iteration {number}/{opcode.repeat - 1}")


def _one_round(opcode: OpTestDelay, nodes: Sequence[Node], number: int) -> list[Step]:
    steps = []
    if opcode.on_master:
        steps.append(step(f"delay {number}", "idempotent", Delay(opcode.duration), _PAST))
    for node in nodes:
        wait = call(
            NodeUuid(node.uuid),
            lambda n, t: n.delay(t, opcode.duration),
            deadline_seconds=opcode.duration + NODE_SLACK_SECONDS,
        )
        steps.append(step(f"delay {number} on {node.name}", "idempotent", wait, _PAST))
    return steps


OPERATION: Final = Operation(OpTestDelay, needed_locks, plan)
