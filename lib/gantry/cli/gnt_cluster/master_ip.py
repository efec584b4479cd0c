"""``gnt-cluster activate-master-ip`` and ``deactivate-master-ip``."""

from __future__ import annotations

from gantry.cli import exit_codes, terminal
from gantry.cli.command import Command
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import run_opcode
from gantry.cli.options import flag

YES = flag("--yes", "confirm", "do not ask whether you mean it")

DOWN = (
    "Connections to the cluster's address will break, and the master will be reached at its own "
    "address only. Do you want to go on?"
)


def run_activate(call: Invocation) -> int:
    """Bring the cluster's address up on the master."""
    run_opcode(call, call.opcode("OP_CLUSTER_ACTIVATE_MASTER_IP", {}))
    return exit_codes.SUCCESS


def run_deactivate(call: Invocation) -> int:
    """Take the cluster's address down on the master, until it starts again."""
    if not call.options[YES] and not terminal.confirm(DOWN):
        return exit_codes.FAILURE
    run_opcode(call, call.opcode("OP_CLUSTER_DEACTIVATE_MASTER_IP", {}))
    return exit_codes.SUCCESS


COMMANDS = (
    Command("activate-master-ip", run_activate),
    Command("deactivate-master-ip", run_deactivate, (), (YES,)),
)
