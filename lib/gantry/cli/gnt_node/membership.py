"""``gnt-node add``, ``remove`` and ``clean-up``."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import run_opcode
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import BOOLEAN
from gantry.cli.options import Option, flag, negative_flag, value
from gantry.cli.parameter_types import NODE_TYPES, by_ident, typed
from gantry.cli.standard_options import (
    DISK_STATE,
    DRY_RUN,
    HYPERVISOR_STATE,
    NODE_GROUP,
    NODE_PARAMETERS,
    PRIORITY,
    SECONDARY_ADDRESS,
)

READD = flag("--readd", "readd", "the node was a member before, and was installed anew")
NO_KEY_CHECK = negative_flag("--no-ssh-key-check", "ssh_key_check", "only for joining over SSH")
FORCE_JOIN = flag("--force-join", "force_join", "only for joining over SSH")
NO_SETUP = negative_flag("--no-node-setup", "node_setup", "only for joining over SSH")
VERBOSE = flag("-v --verbose", "verbose", "say more")
MASTER_CAPABLE = value(
    "--master-capable", "master_capable", BOOLEAN, "it may become the master", "yes|no"
)
VM_CAPABLE = value("--vm-capable", "vm_capable", BOOLEAN, "it may run instances", "yes|no")

ADD_OPTIONS: tuple[Option[object], ...] = (
    DRY_RUN,
    SECONDARY_ADDRESS,
    READD,
    NO_KEY_CHECK,
    FORCE_JOIN,
    NO_SETUP,
    VERBOSE,
    NODE_GROUP,
    PRIORITY,
    MASTER_CAPABLE,
    VM_CAPABLE,
    NODE_PARAMETERS,
    HYPERVISOR_STATE,
    DISK_STATE,
)
REMOVE_OPTIONS: tuple[Option[object], ...] = (DRY_RUN, PRIORITY)

JOINING = """
How a node joins: on the master, 'gantry token NODE' prints a token that works once; on the new
node, 'gantry join TOKEN' brings it the cluster's keys and starts its daemons. No SSH is needed.
Then, on the master, this command adds it to the configuration.
"""


def run_add(call: Invocation) -> int:
    """Add a node that has joined to the configuration."""
    options = call.options
    changes: Opcode = {
        "node_name": call.arguments[0],
        "secondary_ip": options[SECONDARY_ADDRESS],
        "readd": options[READD],
        "group": options[NODE_GROUP],
        "master_capable": options[MASTER_CAPABLE],
        "vm_capable": options[VM_CAPABLE],
        # The node has its keys and certificates already, from its token.
        "node_setup": False,
    }
    if (given := options[NODE_PARAMETERS]) is not None:
        changes["ndparams"] = typed(given, NODE_TYPES)
    if options[HYPERVISOR_STATE]:
        changes["hv_state"] = by_ident(options[HYPERVISOR_STATE])
    if options[DISK_STATE]:
        changes["disk_state"] = by_ident(options[DISK_STATE])
    run_opcode(call, call.opcode("OP_NODE_ADD", changes))
    return exit_codes.SUCCESS


def run_remove(call: Invocation) -> int:
    """Remove a node from the cluster."""
    run_opcode(call, call.opcode("OP_NODE_REMOVE", {"node_name": call.arguments[0]}))
    return exit_codes.SUCCESS


def run_clean_up(call: Invocation) -> int:
    """Remove what jobs had to leave on a node."""
    run_opcode(call, call.opcode("OP_NODE_CLEAN_UP", {"node_name": call.arguments[0]}))
    return exit_codes.SUCCESS


COMMANDS = (
    Command("add", run_add, (Arguments("host", 1, 1),), ADD_OPTIONS, notes=JOINING),
    Command("clean-up", run_clean_up, (Arguments("node", 1, 1),), REMOVE_OPTIONS),
    Command("remove", run_remove, (Arguments("node", 1, 1),), REMOVE_OPTIONS),
)
