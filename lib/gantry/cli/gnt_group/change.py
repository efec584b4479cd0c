"""``gnt-group add``, ``modify``, ``rename``, ``remove`` and ``assign-nodes``."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.instance_policy import POLICY_OPTIONS, policy
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import IDENTIFIED, TEXT
from gantry.cli.options import Option, value, values
from gantry.cli.parameter_types import NODE_TYPES, by_ident, typed
from gantry.cli.standard_options import (
    DISK_STATE,
    DRY_RUN,
    FORCE,
    HYPERVISOR_STATE,
    NODE_PARAMETERS,
    PRIORITY,
    SUBMISSION,
)

POLICY = value(
    "--alloc-policy",
    "alloc_policy",
    TEXT,
    "whether allocators use it: preferred, last_resort or unallocable",
    "POLICY",
)
DISK_PARAMETERS = values(
    "-D --disk-parameters", "diskparams", IDENTIFIED, "as TEMPLATE:key=value,..."
)

PLAIN_OPTIONS: tuple[Option[object], ...] = (DRY_RUN, PRIORITY, *SUBMISSION)
ASSIGN_OPTIONS: tuple[Option[object], ...] = (FORCE, *PLAIN_OPTIONS)
SETTING_OPTIONS: tuple[Option[object], ...] = (
    *PLAIN_OPTIONS,
    POLICY,
    NODE_PARAMETERS,
    DISK_PARAMETERS,
    HYPERVISOR_STATE,
    DISK_STATE,
    *POLICY_OPTIONS,
)


def _settings(call: Invocation) -> Opcode:
    options = call.options
    given = options[NODE_PARAMETERS]
    return {
        "alloc_policy": options[POLICY],
        "ndparams": None if given is None else typed(given, NODE_TYPES),
        "diskparams": by_ident(options[DISK_PARAMETERS]) or None,
        "hv_state": by_ident(options[HYPERVISOR_STATE]) or None,
        "disk_state": by_ident(options[DISK_STATE]) or None,
        "ipolicy": policy(options),
    }


def run_add(call: Invocation) -> int:
    """Add an empty node group."""
    changes: Opcode = {"group_name": call.arguments[0], **_settings(call)}
    submit_or_run(call, call.opcode("OP_GROUP_ADD", changes))
    return exit_codes.SUCCESS


def run_modify(call: Invocation) -> int:
    """Change the settings of a node group."""
    name, settings = call.arguments[0], _settings(call)
    if all(setting is None for setting in settings.values()):
        raise CommandError("Please give at least one of the parameters.")
    opcode = call.opcode("OP_GROUP_SET_PARAMS", {"group_name": name, **settings})
    result = submit_or_run(call, opcode)
    if isinstance(result, list) and result:
        call.say(f"Modified node group {name}")
        for parameter, new in result:
            call.say(f" - {parameter!s:<5} -> {new}")
    return exit_codes.SUCCESS


def run_rename(call: Invocation) -> int:
    """Give a node group another name."""
    name, new_name = call.arguments
    changes: Opcode = {"group_name": name, "new_name": new_name}
    submit_or_run(call, call.opcode("OP_GROUP_RENAME", changes))
    return exit_codes.SUCCESS


def run_remove(call: Invocation) -> int:
    """Remove an empty node group."""
    submit_or_run(call, call.opcode("OP_GROUP_REMOVE", {"group_name": call.arguments[0]}))
    return exit_codes.SUCCESS


def run_assign_nodes(call: Invocation) -> int:
    """Move nodes into a node group."""
    group, *nodes = call.arguments
    changes: Opcode = {"group_name": group, "nodes": nodes, "force": call.options[FORCE]}
    submit_or_run(call, call.opcode("OP_GROUP_ASSIGN_NODES", changes))
    return exit_codes.SUCCESS


ONE = (Arguments("group", 1, 1),)
COMMANDS = (
    Command("add", run_add, ONE, SETTING_OPTIONS),
    Command("assign-nodes", run_assign_nodes, (*ONE, Arguments("node", 0, None)), ASSIGN_OPTIONS),
    Command("modify", run_modify, ONE, SETTING_OPTIONS),
    Command("remove", run_remove, ONE, PLAIN_OPTIONS),
    Command("rename", run_rename, (Arguments("group", 2, 2),), PLAIN_OPTIONS),
)
