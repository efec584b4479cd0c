"""``gnt-network``: networks whose addresses the cluster hands out."""

from __future__ import annotations

import sys

from gantry.cli.command import Known, Program
from gantry.cli.program import run

PROGRAM = Program(
    "gnt-network",
    "gantry.cli.gnt_network",
    (
        Known("add", "Adds a network", "change"),
        Known("add-tags", "Adds tags to a network", "tags"),
        Known("connect", "Makes a network usable in node groups", "connection"),
        Known("disconnect", "Makes a network unusable in node groups again", "connection"),
        Known("info", "Shows networks and which of their addresses are taken", "info"),
        Known("list", "Lists networks; list-fields tells the fields", "listing"),
        Known("list-fields", "Lists the fields that networks have", "listing"),
        Known("list-tags", "Lists the tags of a network", "tags"),
        Known("modify", "Changes a network", "change"),
        Known("remove", "Removes a network that no node group is connected to", "change"),
        Known("remove-tags", "Removes tags from a network", "tags"),
        Known("rename", "Gives a network another name", "change"),
    ),
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
