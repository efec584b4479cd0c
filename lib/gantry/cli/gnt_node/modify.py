"""``gnt-node modify``."""

from __future__ import annotations

from gantry.cli import bootstrap, exit_codes, terminal
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.gnt_node.membership import MASTER_CAPABLE, VM_CAPABLE
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import BOOLEAN
from gantry.cli.options import Option, flag, value
from gantry.cli.parameter_types import NODE_TYPES, by_ident, typed
from gantry.cli.standard_options import (
    DISK_STATE,
    DRY_RUN,
    FORCE,
    HYPERVISOR_STATE,
    NODE_PARAMETERS,
    PRIORITY,
    SECONDARY_ADDRESS,
    SUBMISSION,
)

CANDIDATE = value(
    "-C --master-candidate", "master_candidate", BOOLEAN, "it keeps the configuration", "yes|no"
)
DRAINED = value("-D --drained", "drained", BOOLEAN, "it gets no more instances", "yes|no")
OFFLINE = value("-O --offline", "offline", BOOLEAN, "it is not there at all", "yes|no")
AUTO_PROMOTE = flag("--auto-promote", "auto_promote", "promote other nodes in its place")
POWERED = value("--node-powered", "node_powered", BOOLEAN, "whether it has power", "yes|no")

FORCE_QUORUM = flag(
    "--force-quorum",
    "force_quorum",
    "with --offline yes on a master that lost its majority: go on without the silent voters",
)

WITHOUT_MAJORITY = (
    "Every master candidate that does not answer will be marked offline; changes that only they "
    "have are lost, and one of them must not be made the master. Do you want to go on?"
)

OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    *SUBMISSION,
    CANDIDATE,
    DRAINED,
    OFFLINE,
    MASTER_CAPABLE,
    VM_CAPABLE,
    SECONDARY_ADDRESS,
    AUTO_PROMOTE,
    DRY_RUN,
    PRIORITY,
    NODE_PARAMETERS,
    POWERED,
    HYPERVISOR_STATE,
    DISK_STATE,
    FORCE_QUORUM,
)


def run_modify(call: Invocation) -> int:
    """Change a node's role and settings."""
    name, options = call.arguments[0], call.options
    if options[FORCE_QUORUM]:
        return _force_quorum(call, name)
    given = options[NODE_PARAMETERS]
    settings: Opcode = {
        "master_candidate": options[CANDIDATE],
        "offline": options[OFFLINE],
        "drained": options[DRAINED],
        "master_capable": options[MASTER_CAPABLE],
        "vm_capable": options[VM_CAPABLE],
        "secondary_ip": options[SECONDARY_ADDRESS],
        "ndparams": None if given is None else typed(given, NODE_TYPES),
        "powered": options[POWERED],
        "hv_state": by_ident(options[HYPERVISOR_STATE]) or None,
        "disk_state": by_ident(options[DISK_STATE]) or None,
    }
    if all(setting is None for setting in settings.values()):
        raise CommandError("Please give at least one of the parameters.")
    changes: Opcode = {
        "node_name": name,
        **settings,
        "force": options[FORCE],
        "auto_promote": options[AUTO_PROMOTE],
    }
    result = submit_or_run(call, call.opcode("OP_NODE_SET_PARAMS", changes))
    if isinstance(result, list) and result:
        call.say(f"Modified node {name}")
        for parameter, new in result:
            call.say(f" - {parameter!s:<5} -> {new}")
    return exit_codes.SUCCESS


def _force_quorum(call: Invocation, name: str) -> int:
    """Do it on this machine, since no job can be done without a majority."""
    if call.options[OFFLINE] is not True:
        raise CommandError("--force-quorum goes with --offline yes, and does nothing else")
    if not call.options[FORCE] and not terminal.confirm(WITHOUT_MAJORITY):
        raise CommandError("Nothing was done; give --force if you really mean it")
    call.close()
    return bootstrap.promote("force_offline", {"node_name": name})


COMMANDS = (Command("modify", run_modify, (Arguments("node", 1, 1),), OPTIONS),)
