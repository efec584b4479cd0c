"""``gantry``: what Ganeti has no command for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import cast

from gantry.cli import bootstrap, exit_codes, terminal
from gantry.cli.command import Arguments, Command, Known, Program
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.option_values import TEXT
from gantry.cli.options import Option, flag, value
from gantry.cli.program import run
from gantry.cli.version import version_line

LIFETIME = value("--lifetime", "lifetime", TEXT, "how long the token works, such as 30m", "<span>")
NODE_NAME = value("--name", "node_name", TEXT, "name of this node, if the token's is not it")
ADDRESS = value("--address", "primary_ip", TEXT, "address of this node")
TOKEN_OPTIONS: tuple[Option[object], ...] = (LIFETIME,)
YES = flag("--yes", "yes", "do not ask whether you mean it")
TAKEOVER_OPTIONS: tuple[Option[object], ...] = (YES,)
JOIN_OPTIONS: tuple[Option[object], ...] = (NODE_NAME, ADDRESS)

DEVCLUSTER = "devcluster"


def run_token(call: Invocation) -> int:
    """Print a token with which a node may join once."""
    from gantry.cli.option_values import parse_time_span

    lifetime = call.options[LIFETIME]
    try:
        seconds = None if lifetime is None else parse_time_span(lifetime)
    except ValueError as error:
        raise CommandError(f"Failure: {error}") from None
    return bootstrap.act(
        "issue_join_token", {"node_name": call.arguments[0], "lifetime_seconds": seconds}
    )


def run_join(call: Invocation) -> int:
    """Make this machine a node of the cluster that issued the token.

    The token may come on standard input (``-``), so that no process list shows it.
    """
    [token] = call.arguments
    if token == "-":
        token = sys.stdin.readline().strip()
    return bootstrap.act("join_cluster", {**call.options.by_dest(), "token": token})


def run_takeover(call: Invocation) -> int:
    """Make this machine, the master of a Ganeti cluster, the master of the same cluster here.

    What would be done is said before it is done. Ganeti's daemons must be stopped on all nodes.
    """
    arguments: dict[str, object] = {"config_data": call.arguments[0]}
    bootstrap.act("show_takeover", arguments)
    question = "Do you want to take this cluster over?"
    if not call.options[YES] and not terminal.confirm(question, "--yes"):
        raise CommandError("Nothing was done")
    return bootstrap.act("take_over_cluster", arguments)


def run_confd(call: Invocation) -> int:
    """Ask the master candidates' ConfDs, also while there is no master.

    The queries are: ping, node-role NODE, node-ip-by-instance-ip IP, cluster-master, node-ips,
    candidate-ips, instance-ips [LINK], node-drbd NODE, node-instances NODE, instance-disks
    INSTANCE, config-value [POINTER], data-collectors. The answer is JSON.
    """
    query, *rest = call.arguments
    return bootstrap.look("ask_confd", {"query": query, "argument": rest[0] if rest else None})


def run_export(call: Invocation) -> int:
    """Print the configuration as Ganeti would have it, for going back or for looking at it."""
    del call
    return bootstrap.look("export_configuration", {})


def run_version(call: Invocation) -> int:
    """Print the version of this program."""
    call.say(version_line(call.program))
    return exit_codes.SUCCESS


COMMANDS = (
    Command(
        "token",
        run_token,
        (Arguments("host", 1, 1),),
        TOKEN_OPTIONS,
        notes="On the new node: gantry join TOKEN. Then, here: gnt-node add NODE.",
    ),
    Command(
        "join",
        run_join,
        (Arguments("token", 1, 1),),
        JOIN_OPTIONS,
        notes="With - for the token, it is read from standard input.",
    ),
    Command(
        "takeover",
        run_takeover,
        (Arguments("config.data", 1, 1),),
        TAKEOVER_OPTIONS,
        notes="Given on the master node, with Ganeti stopped on all nodes.",
    ),
    Command("confd", run_confd, (Arguments("query", 1, 2),)),
    Command("export", run_export),
    Command("version", run_version),
    Command(
        DEVCLUSTER,
        lambda call: _run_devcluster(call.arguments),
        (Arguments("argument", 0, None),),
    ),
)

PROGRAM = Program(
    "gantry",
    "gantry.cli",
    (
        Known(DEVCLUSTER, "Runs a cluster of several nodes on this machine", "gantry_command"),
        Known("confd", "Asks the master candidates, also without a master", "gantry_command"),
        Known("export", "Prints the configuration in Ganeti's form", "gantry_command"),
        Known("join", "Makes this machine a node of a cluster, by a token", "gantry_command"),
        Known("takeover", "Takes a cluster over from Ganeti", "gantry_command"),
        Known("token", "Prints a token with which a node may join, once", "gantry_command"),
        Known("version", "Prints the version of this program", "gantry_command"),
    ),
)


def _run_devcluster(words: list[str]) -> int:
    module = importlib.import_module("gantry.cli.devcluster.main")
    devcluster = cast("Callable[[list[str]], int]", module.main)
    return devcluster(words)


def main() -> None:
    """Run the program."""
    if sys.argv[1:2] == [DEVCLUSTER]:
        # It has a command line of its own, with options before and behind arguments.
        sys.exit(_run_devcluster(sys.argv[2:]))
    sys.exit(run(PROGRAM))
