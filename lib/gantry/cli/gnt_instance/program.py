"""``gnt-instance``: virtual machines."""

from __future__ import annotations

import sys

from gantry.cli.command import Known, Program
from gantry.cli.program import run

PROGRAM = Program(
    "gnt-instance",
    "gantry.cli.gnt_instance",
    (
        Known("activate-disks", "Makes the disks of an instance usable on its nodes", "disks"),
        Known("add", "Creates an instance", "create"),
        Known("add-tags", "Adds tags to an instance", "tags"),
        Known("batch-create", "Creates the instances that a file describes"),
        Known("change-group", "Moves an instance to another node group"),
        Known("console", "Opens the serial console of an instance; Ctrl-] leaves it", "console"),
        Known("deactivate-disks", "Takes the disks of an instance out of use", "disks"),
        Known("failover", "Stops an instance and starts it on another node", "change"),
        Known("grow-disk", "Makes a disk of an instance larger"),
        Known("info", "Shows what is known of instances", "info"),
        Known("list", "Lists instances; list-fields tells the fields", "listing"),
        Known("list-fields", "Lists the fields that instances have", "listing"),
        Known("list-tags", "Lists the tags of an instance", "tags"),
        Known("migrate", "Moves a running instance to another node", "change"),
        Known("modify", "Changes the settings of an instance", "modify"),
        Known("move", "Copies an instance with its disks to another node"),
        Known("reboot", "Restarts instances", "power"),
        Known("recreate-disks", "Makes lost disks of an instance anew"),
        Known("reinstall", "Installs the operating system of an instance again", "reinstall"),
        Known("remove", "Removes an instance and its disks", "change"),
        Known("remove-tags", "Removes tags from an instance", "tags"),
        Known("rename", "Gives an instance another name", "change"),
        Known("replace-disks", "Replaces the disks of a mirrored instance"),
        Known("shutdown", "Shuts instances down", "power"),
        Known("startup", "Starts instances", "power"),
    ),
    {"start": "startup", "stop": "shutdown", "show": "info"},
    {"GNT_INSTANCE_LIST": "list"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
