"""``gnt-group``: groups of nodes between which instances may move."""

from __future__ import annotations

import sys

from gantry.cli.command import Known, Program
from gantry.cli.program import run

PROGRAM = Program(
    "gnt-group",
    "gantry.cli.gnt_group",
    (
        Known("add", "Adds an empty node group", "change"),
        Known("add-tags", "Adds tags to a node group", "tags"),
        Known("assign-nodes", "Moves nodes into a node group", "change"),
        Known("evacuate", "Moves all instances out of a node group"),
        Known("info", "Shows what is known of node groups"),
        Known("list", "Lists node groups; list-fields tells the fields", "listing"),
        Known("list-fields", "Lists the fields that node groups have", "listing"),
        Known("list-tags", "Lists the tags of a node group", "tags"),
        Known("modify", "Changes the settings of a node group", "change"),
        Known("remove", "Removes an empty node group", "change"),
        Known("remove-tags", "Removes tags from a node group", "tags"),
        Known("rename", "Gives a node group another name", "change"),
        Known("show-ispecs-cmd", "Shows the command that sets the present limits"),
    ),
    {},
    {"GNT_GROUP_LIST": "list"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
