"""``gnt-node info``."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.description import Record, inherited, records
from gantry.cli.info_text import Entry, print_info
from gantry.cli.invocation import Invocation
from gantry.cli.options import Option
from gantry.cli.query_filter import simple_condition
from gantry.cli.standard_options import FORMAT

OPTIONS: tuple[Option[object], ...] = (FORMAT,)
FIELDS = [
    *("name", "pip", "sip", "master_candidate", "drained", "offline", "master_capable"),
    *("vm_capable", "powered", "pinst_list", "sinst_list", "ndparams", "custom_ndparams"),
]


def run_info(call: Invocation) -> int:
    """Print what is known of nodes."""
    condition = simple_condition("name", call.arguments) if call.arguments else None
    found = records(call.client.query("node", FIELDS, condition))
    print_info(call, [_describe(each) for each in found], raw=[each.values() for each in found])
    return exit_codes.SUCCESS


def _describe(node: Record) -> list[Entry]:
    entries = [
        Entry("Node name", node["name"]),
        Entry("primary ip", node["pip"]),
        Entry("secondary ip", node["sip"]),
        Entry("master candidate", node["master_candidate"]),
        Entry("drained", node["drained"]),
        Entry("offline", node["offline"]),
    ]
    if node["powered"] is not None:
        entries.append(Entry("powered", node["powered"]))
    return [
        *entries,
        Entry("master_capable", node["master_capable"]),
        Entry("vm_capable", node["vm_capable"]),
        Entry("primary for instances", node.items("pinst_list")),
        Entry("secondary for instances", node.items("sinst_list")),
        Entry(
            "node parameters", inherited(node.mapping("custom_ndparams"), node.mapping("ndparams"))
        ),
    ]


COMMANDS = (Command("info", run_info, (Arguments("node", 0, None),), OPTIONS),)
