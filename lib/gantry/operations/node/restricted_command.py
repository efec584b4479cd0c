"""OP_RESTRICTED_COMMAND: run a command on nodes whose administrators allow it.

What it does nobody here knows. So it can neither be done twice nor be looked for nor be undone:
if it was interrupted a person decides.
"""

from __future__ import annotations

from typing import Final

from gantry.operations.lookup import find_nodes
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.world import World
from gantry.protocols.locks import Mode
from gantry.protocols.noded import call
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.node import OpRestrictedCommand
from gantry.protocols.runtime_types import RESTRICTED_SECONDS_MAX
from gantry.protocols.steps import NoUndo, Plan, Step, StepName
from gantry.protocols.wconfd import Selection

SLACK_SECONDS: Final = 60.0
"""What a node may take longer than the command: it waits for its turn, and before a refusal."""

UNKNOWN: Final = "it was not run, or its end is not known; the job's log says more"

_DONE: Final = NoUndo("nobody but the one who has written the command knows how")


async def needed_locks(opcode: OpRestrictedCommand, world: World) -> Locks:
    """Lock the nodes, for nobody else if that is wanted."""
    nodes = await _nodes(opcode, world)
    mode: Mode = "exclusive" if opcode.use_locking else "shared"
    return locks(("node", mode, [node.uuid for node in nodes]))


async def _nodes(opcode: OpRestrictedCommand, world: World) -> list[Node]:
    part = await world.read(Selection(nodes=opcode.nodes))
    return find_nodes(part, opcode.nodes)


async def plan(opcode: OpRestrictedCommand, world: World) -> Plan:
    """Run it on each node; the result has for each whether it succeeded, and its output."""
    steps = tuple(_on(node, opcode.command) for node in await _nodes(opcode, world))
    names = tuple(each.name for each in steps)
    return Plan(opcode.op_id(), OPERATION.version, steps, results_from=names)


def _on(node: Node, command: str) -> Step:
    do = call(
        node.uuid,
        lambda n, t: n.run_restricted(t, command),
        deadline_seconds=RESTRICTED_SECONDS_MAX + SLACK_SECONDS,
    )
    name = StepName(f"run {command} on {node.name}")
    return Step(name, "once", do, _DONE, tolerate=True, otherwise=[False, UNKNOWN])


OPERATION: Final = Operation(OpRestrictedCommand, needed_locks, plan)
