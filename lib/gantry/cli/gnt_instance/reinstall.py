"""``gnt-instance reinstall``: one job for each instance."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.gnt_instance.selection import SELECTION_OPTIONS, select
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import NamedJob, submit_all
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import TEXT
from gantry.cli.options import Option, flag, value
from gantry.cli.standard_options import (
    DRY_RUN,
    FORCE,
    OS_PARAMETERS,
    OS_PRIVATE,
    OS_SECRET,
    PRIORITY,
    SUBMISSION,
)
from gantry.cli.terminal import confirm

OS_TYPE = value("-o --os-type", "os", TEXT, "another OS definition than the present one", "<os>")
FORCE_VARIANT = flag("--force-variant", "force_variant", "take a variant that is not listed")
SELECT_OS = flag("--select-os", "select_os", "ask which OS definition to install")

OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    OS_TYPE,
    FORCE_VARIANT,
    *SELECTION_OPTIONS,
    SELECT_OS,
    *SUBMISSION,
    DRY_RUN,
    PRIORITY,
    OS_PARAMETERS,
    OS_PRIVATE,
    OS_SECRET,
)


def run_reinstall(call: Invocation) -> int:
    """Install the operating system of stopped instances again."""
    options = call.options
    if options[SELECT_OS]:
        raise CommandError(
            "Failure: there is no menu of OS definitions; name one with -o (gnt-os list)"
        )
    names = select(call, "Install them again")
    if names is None:
        return exit_codes.FAILURE
    question = f"All data on the disks of {', '.join(names)} will be lost. Continue?"
    if not options[FORCE] and not confirm(question):
        return exit_codes.FAILURE
    changes: Opcode = {
        "os_type": options[OS_TYPE],
        "force_variant": options[FORCE_VARIANT],
        "osparams": options[OS_PARAMETERS],
        "osparams_private": options[OS_PRIVATE],
        "osparams_secret": options[OS_SECRET],
    }
    jobs = [
        NamedJob(name, [call.opcode("OP_INSTANCE_REINSTALL", {"instance_name": name, **changes})])
        for name in names
    ]
    return submit_all(call, jobs)


COMMANDS = (Command("reinstall", run_reinstall, (Arguments("instance", 0, None),), OPTIONS),)
