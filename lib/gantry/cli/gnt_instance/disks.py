"""``gnt-instance activate-disks`` and ``deactivate-disks``."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.luxi import Opcode
from gantry.cli.options import Option, flag
from gantry.cli.standard_options import DRY_RUN, FORCE, PRIORITY, SUBMISSION

IGNORE_SIZE = flag("--ignore-size", "ignore_size", "use the size that they have, whatever is noted")
WAIT = flag("--wait-for-sync", "wait_for_sync", "wait until mirrors are in sync")

ACTIVATE_OPTIONS: tuple[Option[object], ...] = (*SUBMISSION, IGNORE_SIZE, DRY_RUN, PRIORITY, WAIT)
DEACTIVATE_OPTIONS: tuple[Option[object], ...] = (FORCE, *SUBMISSION, DRY_RUN, PRIORITY)


def run_activate(call: Invocation) -> int:
    """Make the disks of an instance usable, and say where they are."""
    changes: Opcode = {
        "instance_name": call.arguments[0],
        "ignore_size": call.options[IGNORE_SIZE],
        "wait_for_sync": call.options[WAIT],
    }
    result = submit_or_run(call, call.opcode("OP_INSTANCE_ACTIVATE_DISKS", changes))
    for each in result if isinstance(result, list) else ():
        call.say(":".join(map(str, each)))
    return exit_codes.SUCCESS


def run_deactivate(call: Invocation) -> int:
    """Take the disks of an instance out of use."""
    changes: Opcode = {"instance_name": call.arguments[0], "force": call.options[FORCE]}
    submit_or_run(call, call.opcode("OP_INSTANCE_DEACTIVATE_DISKS", changes))
    return exit_codes.SUCCESS


ONE = (Arguments("instance", 1, 1),)
COMMANDS = (
    Command("activate-disks", run_activate, ONE, ACTIVATE_OPTIONS),
    Command("deactivate-disks", run_deactivate, ONE, DEACTIVATE_OPTIONS),
)
