"""``gnt-node``: the machines of the cluster."""

from __future__ import annotations

import sys

from gantry.cli.command import Known, Program
from gantry.cli.program import run

PROGRAM = Program(
    "gnt-node",
    "gantry.cli.gnt_node",
    (
        Known("add", "Adds a node to the cluster", "membership"),
        Known("add-tags", "Adds tags to a node", "tags"),
        Known("clean-up", "Removes what jobs had to leave on a node", "membership"),
        Known("evacuate", "Moves instances away from a node", "leaving"),
        Known("failover", "Restarts the instances of a dead node elsewhere", "leaving"),
        Known("health", "Asks nodes for the health of their hardware"),
        Known("info", "Shows what is known of nodes", "info"),
        Known("list", "Lists nodes; list-fields tells the fields", "listing"),
        Known("list-drbd", "Lists the DRBD devices of a node"),
        Known("list-fields", "Lists the fields that nodes have", "listing"),
        Known("list-storage", "Lists the storage of nodes"),
        Known("list-tags", "Lists the tags of a node", "tags"),
        Known("migrate", "Migrates all instances away from a node", "leaving"),
        Known("modify", "Changes the settings of a node", "modify"),
        Known("modify-storage", "Changes the settings of a node's storage"),
        Known("power", "Switches nodes on or off"),
        Known("powercycle", "Resets a node"),
        Known("remove", "Removes a node from the cluster", "membership"),
        Known("remove-tags", "Removes tags from a node", "tags"),
        Known("repair-storage", "Repairs the storage of a node"),
        Known("restricted-command", "Runs one of a few allowed commands on nodes", "commanding"),
        Known("volumes", "Lists the logical volumes of nodes"),
    ),
    {"show": "info"},
    {"GNT_NODE_LIST": "list"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
