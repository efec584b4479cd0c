"""``gnt-network add``, ``modify``, ``rename`` and ``remove``."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import TEXT
from gantry.cli.options import Option, negative_flag, value
from gantry.cli.standard_options import DRY_RUN, FORCE, PRIORITY, SUBMISSION

SUBNET = value("--network", "network", TEXT, "addresses, such as 192.0.2.0/24", "<cidr>")
GATEWAY = value("--gateway", "gateway", TEXT, "address of the router")
SUBNET6 = value("--network6", "network6", TEXT, "IPv6 addresses, such as 2001:db8::/64", "<cidr>")
GATEWAY6 = value("--gateway6", "gateway6", TEXT, "IPv6 address of the router")
MAC_PREFIX = value("-m --mac-prefix", "mac_prefix", TEXT, "first three bytes of MAC addresses")
RESERVED = value("--add-reserved-ips", "add_reserved_ips", TEXT, "addresses to keep back")
RELEASED = value(
    "--remove-reserved-ips", "remove_reserved_ips", TEXT, "addresses to give out again"
)
TAGS = value("--tags", "tags", TEXT, "comma list of tags")
CONFLICTS_CHECK = negative_flag(
    "--no-conflicts-check",
    "conflicts_check",
    "do not look whether addresses are used otherwise",
)

PLAIN_OPTIONS: tuple[Option[object], ...] = (DRY_RUN, PRIORITY, *SUBMISSION)
SETTINGS: tuple[Option[object], ...] = (GATEWAY, SUBNET6, GATEWAY6, MAC_PREFIX, RESERVED)
ADD_OPTIONS: tuple[Option[object], ...] = (
    *PLAIN_OPTIONS,
    *SETTINGS,
    SUBNET,
    TAGS,
    CONFLICTS_CHECK,
)
MODIFY_OPTIONS: tuple[Option[object], ...] = (*PLAIN_OPTIONS, *SETTINGS, RELEASED)
REMOVE_OPTIONS: tuple[Option[object], ...] = (*PLAIN_OPTIONS, FORCE)


def _items(text: str | None) -> list[str] | None:
    return None if text is None else [each.strip() for each in text.split(",") if each.strip()]


def _settings(call: Invocation) -> Opcode:
    options = call.options
    return {
        "network_name": call.arguments[0],
        "gateway": options[GATEWAY],
        "network6": options[SUBNET6],
        "gateway6": options[GATEWAY6],
        "mac_prefix": options[MAC_PREFIX],
        "add_reserved_ips": _items(options[RESERVED]),
    }


def run_add(call: Invocation) -> int:
    """Add a network."""
    options = call.options
    if options[SUBNET] is None:
        raise CommandError("The --network option must be given")
    changes: Opcode = {
        **_settings(call),
        "network": options[SUBNET],
        "tags": _items(options[TAGS]) or [],
        "conflicts_check": options[CONFLICTS_CHECK],
    }
    submit_or_run(call, call.opcode("OP_NETWORK_ADD", changes))
    return exit_codes.SUCCESS


def run_modify(call: Invocation) -> int:
    """Change a network; the word none removes a setting."""
    changes: Opcode = {
        **_settings(call),
        "remove_reserved_ips": _items(call.options[RELEASED]),
    }
    if all(value is None for name, value in changes.items() if name != "network_name"):
        raise CommandError("Please give at least one of the parameters.")
    submit_or_run(call, call.opcode("OP_NETWORK_SET_PARAMS", changes))
    return exit_codes.SUCCESS


def run_remove(call: Invocation) -> int:
    """Remove a network that no node group is connected to."""
    changes: Opcode = {"network_name": call.arguments[0], "force": call.options[FORCE]}
    submit_or_run(call, call.opcode("OP_NETWORK_REMOVE", changes))
    return exit_codes.SUCCESS


def run_rename(call: Invocation) -> int:
    """Give a network another name."""
    name, new_name = call.arguments
    changes: Opcode = {"network_name": name, "new_name": new_name}
    submit_or_run(call, call.opcode("OP_NETWORK_RENAME", changes))
    return exit_codes.SUCCESS


ONE = (Arguments("network", 1, 1),)
TWO = (*ONE, Arguments("new name", 1, 1))
COMMANDS = (
    Command("add", run_add, ONE, ADD_OPTIONS),
    Command("modify", run_modify, ONE, MODIFY_OPTIONS),
    Command("remove", run_remove, ONE, REMOVE_OPTIONS),
    Command("rename", run_rename, TWO, PLAIN_OPTIONS),
)
