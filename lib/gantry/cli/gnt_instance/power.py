"""``gnt-instance startup``, ``shutdown`` and ``reboot``: one job for each instance."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.gnt_instance.selection import SELECTION_OPTIONS, select
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import NamedJob, submit_all
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import INTEGER, choice
from gantry.cli.options import Option, flag, parameters, value_or
from gantry.cli.parameter_types import BACKEND_TYPES, HYPERVISOR_TYPES, typed
from gantry.cli.standard_options import (
    BACKEND,
    DEFAULT_SHUTDOWN_SECONDS,
    DRY_RUN,
    FORCE,
    PRIORITY,
    SHUTDOWN_TIMEOUT,
    SUBMISSION,
)

IGNORE_OFFLINE = flag("--ignore-offline", "ignore_offline", "go on if the node is offline")
NO_REMEMBER = flag("--no-remember", "no_remember", "do not keep the new state in the configuration")
PAUSED = flag("--paused", "startup_paused", "start it paused")
IGNORE_SECONDARIES = flag("--ignore-secondaries", "ignore_secondaries", "ignore their disk errors")
HYPERVISOR_PARAMETERS = parameters(
    "-H --hypervisor-parameters", "hvparams", "hypervisor parameters, for this start only"
)
REBOOT_TYPE = value_or(
    "-t --type", "reboot_type", choice("full", "hard", "soft"), "hard", "how", "<REBOOT>"
)
TIMEOUT = value_or(
    "--timeout", "timeout", INTEGER, DEFAULT_SHUTDOWN_SECONDS, "seconds for a clean shutdown"
)

STARTUP_OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    *SELECTION_OPTIONS,
    *SUBMISSION,
    HYPERVISOR_PARAMETERS,
    BACKEND,
    DRY_RUN,
    PRIORITY,
    IGNORE_OFFLINE,
    NO_REMEMBER,
    PAUSED,
)
SHUTDOWN_OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    *SELECTION_OPTIONS,
    TIMEOUT,
    *SUBMISSION,
    DRY_RUN,
    PRIORITY,
    IGNORE_OFFLINE,
    NO_REMEMBER,
)
REBOOT_OPTIONS: tuple[Option[object], ...] = (
    REBOOT_TYPE,
    IGNORE_SECONDARIES,
    *SELECTION_OPTIONS,
    *SUBMISSION,
    SHUTDOWN_TIMEOUT,
    DRY_RUN,
    PRIORITY,
)


def run_startup(call: Invocation) -> int:
    """Start instances."""
    options = call.options
    changes: Opcode = {
        "force": options[FORCE],
        "ignore_offline_nodes": options[IGNORE_OFFLINE],
        "no_remember": options[NO_REMEMBER],
        "startup_paused": options[PAUSED],
    }
    if options[HYPERVISOR_PARAMETERS]:
        changes["hvparams"] = typed(options[HYPERVISOR_PARAMETERS], HYPERVISOR_TYPES)
    if options[BACKEND]:
        changes["beparams"] = typed(options[BACKEND], BACKEND_TYPES)
    return _for_each(call, "Start them", "OP_INSTANCE_STARTUP", changes)


def run_shutdown(call: Invocation) -> int:
    """Shut instances down."""
    options = call.options
    changes: Opcode = {
        "force": options[FORCE],
        "timeout": options[TIMEOUT],
        "ignore_offline_nodes": options[IGNORE_OFFLINE],
        "no_remember": options[NO_REMEMBER],
    }
    return _for_each(call, "Shut them down", "OP_INSTANCE_SHUTDOWN", changes)


def run_reboot(call: Invocation) -> int:
    """Restart instances."""
    options = call.options
    changes: Opcode = {
        "reboot_type": options[REBOOT_TYPE],
        "ignore_secondaries": options[IGNORE_SECONDARIES],
        "shutdown_timeout": options[SHUTDOWN_TIMEOUT],
    }
    return _for_each(call, "Restart them", "OP_INSTANCE_REBOOT", changes)


def _for_each(call: Invocation, verb: str, opcode: str, changes: Opcode) -> int:
    names = select(call, verb)
    if names is None:
        return exit_codes.FAILURE
    jobs = [
        NamedJob(name, [call.opcode(opcode, {"instance_name": name, **changes})]) for name in names
    ]
    return submit_all(call, jobs)


SOME = (Arguments("instance", 0, None),)
COMMANDS = (
    Command("reboot", run_reboot, SOME, REBOOT_OPTIONS),
    Command("shutdown", run_shutdown, SOME, SHUTDOWN_OPTIONS),
    Command("startup", run_startup, SOME, STARTUP_OPTIONS),
)
