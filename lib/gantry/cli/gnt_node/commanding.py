"""``gnt-node restricted-command``: run what the nodes' administrators allow."""

from __future__ import annotations

from typing import cast

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.options import Option, flag
from gantry.cli.standard_options import DRY_RUN, NODE_GROUP, PRIORITY, SUBMISSION

SYNC = flag("--sync", "do_locking", "let no other job use the nodes meanwhile")
MACHINE_NAMES = flag(
    "-M --show-machine-names", "show_machine_names", "begin each line of output with the node"
)

OPTIONS: tuple[Option[object], ...] = (
    SYNC,
    MACHINE_NAMES,
    NODE_GROUP,
    PRIORITY,
    DRY_RUN,
    *SUBMISSION,
)


def run_restricted(call: Invocation) -> int:
    """Run a command on the named nodes, those of a group, or all that are online."""
    command, *named = call.arguments
    names = _nodes(call, named)
    if not names:
        raise CommandError("Failure: no node is online that was named")
    changes = {"nodes": names, "command": command, "use_locking": call.options[SYNC]}
    result = submit_or_run(call, call.opcode("OP_RESTRICTED_COMMAND", changes))
    if not isinstance(result, list):
        return exit_codes.SUCCESS
    outcomes = [cast("list[object]", each) for each in result]
    for name, (succeeded, output) in zip(names, outcomes, strict=True):
        _print(call, name, str(output), failed=not succeeded)
    return exit_codes.SUCCESS if all(each[0] for each in outcomes) else exit_codes.FAILURE


def _nodes(call: Invocation, named: list[str]) -> list[str]:
    """Return the names of the nodes that are meant, without those that are offline."""
    conditions: list[object] = [["!", ["?", "offline"]]]
    if named:
        conditions.append(["|", *(["==", "name", name] for name in named)])
    group = call.options[NODE_GROUP]
    if group is not None:
        conditions.append(["|", ["==", "group", group], ["==", "group.uuid", group]])
    answer = call.client.query("node", ["name"], ["&", *conditions])
    return [str(row[0][1]) for row in answer.rows]


def _print(call: Invocation, node: str, output: str, *, failed: bool) -> None:
    mark = "error: " if failed else ""
    if call.options[MACHINE_NAMES]:
        for line in output.splitlines() or [""]:
            call.say(f"{node}: {mark}{line}")
    else:
        call.say(f"Node {node}{' has failed' if failed else ''}:\n{output.rstrip()}")


COMMANDS = (
    Command(
        "restricted-command",
        run_restricted,
        (Arguments("unknown", 1, 1), Arguments("node", 0, None)),
        OPTIONS,
    ),
)
