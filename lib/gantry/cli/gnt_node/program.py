"""``gnt-node``: the machines of the cluster."""

from __future__ import annotations

import sys

from gantry.cli.cell_text import comma_joined
from gantry.cli.gnt_node import info, membership
from gantry.cli.invocation import Invocation
from gantry.cli.listing import (
    LIST_FIELDS_OPTIONS,
    LIST_OPTIONS,
    Listing,
    run_list,
    run_list_fields,
)
from gantry.cli.program import Arguments, Command, Program, run, unavailable
from gantry.cli.tags import tag_commands

NODES = Listing(
    "node",
    ("name", "dtotal", "dfree", "mtotal", "mnode", "mfree", "pinst_cnt", "sinst_cnt"),
    dict.fromkeys(("pinst_list", "sinst_list", "tags"), comma_joined),
)

ONE = (Arguments("node", 1, 1),)
SOME = (Arguments("node", 0, None),)


def run_node_list(call: Invocation) -> int:
    """List nodes."""
    return run_list(call, NODES)


def run_node_list_fields(call: Invocation) -> int:
    """List the fields that nodes have."""
    return run_list_fields(call, "node")


AVAILABLE = (
    Command(
        "add",
        "Adds a node to the cluster",
        membership.run_add,
        (Arguments("host", 1, 1),),
        membership.ADD_OPTIONS,
        notes=membership.JOINING,
    ),
    Command("info", "Shows what is known of nodes", info.run_info, SOME, info.OPTIONS),
    Command(
        "list",
        "Lists nodes; gnt-node list-fields tells the fields",
        run_node_list,
        SOME,
        LIST_OPTIONS,
    ),
    Command(
        "list-fields",
        "Lists the fields that nodes have",
        run_node_list_fields,
        (Arguments("unknown", 0, None),),
        LIST_FIELDS_OPTIONS,
    ),
    Command(
        "remove",
        "Removes a node from the cluster",
        membership.run_remove,
        ONE,
        membership.REMOVE_OPTIONS,
    ),
    *tag_commands("node"),
)

NOT_YET = (
    unavailable("evacuate", "Moves instances away from a node"),
    unavailable("failover", "Restarts the instances of a dead node elsewhere"),
    unavailable("health", "Asks nodes for the health of their hardware"),
    unavailable("list-drbd", "Lists the DRBD devices of a node"),
    unavailable("list-storage", "Lists the storage of nodes"),
    unavailable("migrate", "Migrates all instances away from a node"),
    unavailable("modify", "Changes the settings of a node"),
    unavailable("modify-storage", "Changes the settings of a node's storage"),
    unavailable("power", "Switches nodes on or off"),
    unavailable("powercycle", "Resets a node"),
    unavailable("repair-storage", "Repairs the storage of a node"),
    unavailable("restricted-command", "Runs one of a few allowed commands on nodes"),
    unavailable("volumes", "Lists the logical volumes of nodes"),
)

PROGRAM = Program("gnt-node", (*AVAILABLE, *NOT_YET), {"show": "info"}, {"GNT_NODE_LIST": "list"})


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
