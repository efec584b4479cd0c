"""``gnt-network connect`` and ``disconnect``: one job for each node group."""

from __future__ import annotations

from collections.abc import Callable

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.description import records
from gantry.cli.errors import CommandError
from gantry.cli.gnt_network.change import CONFLICTS_CHECK
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import wait_for_all
from gantry.cli.luxi import Opcode
from gantry.cli.options import Option, parameters
from gantry.cli.standard_options import DRY_RUN, PRIORITY

NIC_DEFAULTS = {"mode": "bridged", "link": "xen-br0", "vlan": ""}
"""What interfaces connect with where nothing is said (the reference's NIC parameters)."""

NIC_PARAMETERS = parameters("-N --nic-parameters", "nicparams", "how interfaces connect there")

CONNECT_OPTIONS: tuple[Option[object], ...] = (
    CONFLICTS_CHECK,
    DRY_RUN,
    PRIORITY,
    NIC_PARAMETERS,
)
DISCONNECT_OPTIONS: tuple[Option[object], ...] = (DRY_RUN, PRIORITY)


def run_connect(call: Invocation) -> int:
    """Make a network usable in some node groups, or in all."""
    given = call.options[NIC_PARAMETERS]
    unknown = sorted(set(given) - set(NIC_DEFAULTS))
    if unknown:
        raise CommandError(f"Unknown NIC parameter '{unknown[0]}'; there are: mode, link, vlan")
    nic = {**NIC_DEFAULTS, **given}

    def opcode(network: str, group: str) -> Opcode:
        changes: Opcode = {
            "network_name": network,
            "group_name": group,
            "conflicts_check": call.options[CONFLICTS_CHECK],
            **{f"network_{name}": each for name, each in nic.items()},
        }
        return call.opcode("OP_NETWORK_CONNECT", changes)

    return _in_each_group(call, opcode)


def run_disconnect(call: Invocation) -> int:
    """Make a network unusable in some node groups, or in all."""

    def opcode(network: str, group: str) -> Opcode:
        changes: Opcode = {"network_name": network, "group_name": group}
        return call.opcode("OP_NETWORK_DISCONNECT", changes)

    return _in_each_group(call, opcode)


def _in_each_group(call: Invocation, opcode: Callable[[str, str], Opcode]) -> int:
    network, *groups = call.arguments
    wanted = groups or [str(each["name"]) for each in records(call.client.query("group", ["name"]))]
    jobs = call.client.submit_many_jobs([[opcode(network, group)] for group in wanted])
    outcomes = wait_for_all(call, list(zip(wanted, jobs, strict=True)))
    good = all(outcome.error is None for outcome in outcomes)
    return exit_codes.SUCCESS if good else exit_codes.FAILURE


ARGUMENTS = (Arguments("network", 1, 1), Arguments("group", 0, None))
COMMANDS = (
    Command("connect", run_connect, ARGUMENTS, CONNECT_OPTIONS),
    Command("disconnect", run_disconnect, ARGUMENTS, DISCONNECT_OPTIONS),
)
