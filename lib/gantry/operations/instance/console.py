"""OP_INSTANCE_CONSOLE: say how an instance's console is reached."""

from __future__ import annotations

from typing import Final

from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import running_on
from gantry.operations.lookup import read_instance
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.world import World
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.instance import OpInstanceConsole
from gantry.protocols.runtime_types import ConsoleAccess, MessageConsole, SocketConsole
from gantry.protocols.steps import Plan


def console_object(instance: str, host: str, access: ConsoleAccess) -> dict[str, Json]:
    """Return the console as Ganeti's clients know it.

    A serial console is a unix socket on the node: a client on that machine connects to it,
    others run the command there by SSH.
    """
    empty: dict[str, Json] = {"port": None, "user": None, "command": None, "display": None}
    known: dict[str, Json]
    match access:
        case SocketConsole(path=path):
            command = ["socat", "STDIO,raw,echo=0,escape=0x1d", f"UNIX-CONNECT:{path}"]
            known = {
                "kind": "ssh",
                "host": host,
                "user": "root",
                "command": command,
                "message": None,
            }
        case MessageConsole(text=text):
            known = {"kind": "msg", "host": None, "message": text}
    return {"instance": instance, **empty, **known}


async def needed_locks(opcode: OpInstanceConsole, world: World) -> Locks:
    """Lock the instance shared."""
    _, instance = await read_instance(world, opcode.instance_name)
    return locks(("instance", "shared", [instance.name]))


async def plan(opcode: OpInstanceConsole, world: World) -> Plan:
    """Ask the node on which the instance runs."""
    part, instance = await read_instance(world, opcode.instance_name)
    spec = instance_spec(part, instance)
    node = part.nodes[instance.primary_node]
    if await running_on(world, node, spec) is None:
        text = f"instance {instance.name} is not running; start it to have a console"
        raise OpPrereqError(text, "wrong_state")
    access = await world.ask(node, lambda n: n.console(spec))
    result = console_object(instance.name, node.name, access)
    return Plan(opcode.op_id(), OPERATION.version, (), result)


OPERATION: Final = Operation(OpInstanceConsole, needed_locks, plan)
