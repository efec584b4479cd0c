"""``gnt-instance``: virtual machines."""

from __future__ import annotations

import sys

from gantry.cli.cell_text import comma_joined
from gantry.cli.gnt_instance import change, console, create, info, power
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

LIST_VALUED = [
    "tags",
    "disk.names",
    "disk.sizes",
    "disk.spindles",
    "disk.uuids",
    "nic.bridges",
    "nic.ips",
    "nic.links",
    "nic.macs",
    "nic.modes",
    "nic.names",
    "nic.networks",
    "nic.networks.names",
    "nic.uuids",
    "nic.vlans",
    "snodes",
    "snodes.group",
    "snodes.group.uuid",
]

INSTANCES = Listing(
    "instance",
    ("name", "hypervisor", "os", "pnode", "status", "oper_ram"),
    dict.fromkeys(LIST_VALUED, comma_joined),
)

ONE = (Arguments("instance", 1, 1),)
SOME = (Arguments("instance", 0, None),)


def run_instance_list(call: Invocation) -> int:
    """List instances."""
    return run_list(call, INSTANCES)


def run_instance_list_fields(call: Invocation) -> int:
    """List the fields that instances have."""
    return run_list_fields(call, "instance")


AVAILABLE = (
    Command(
        "add",
        "Creates an instance",
        create.run_add,
        (Arguments("host", 1, 1),),
        create.OPTIONS,
        notes="Sizes are numbers with m, g or t behind, in MiB without.\n"
        "Example: gnt-instance add -t file -s 1G -o busybox -n node1 -B maxmem=256m web1",
    ),
    Command(
        "console",
        "Opens the serial console of an instance; Ctrl-] leaves it",
        console.run_console,
        ONE,
        console.OPTIONS,
    ),
    Command("info", "Shows what is known of instances", info.run_info, SOME, info.OPTIONS),
    Command(
        "list",
        "Lists instances; gnt-instance list-fields tells the fields",
        run_instance_list,
        SOME,
        LIST_OPTIONS,
    ),
    Command(
        "list-fields",
        "Lists the fields that instances have",
        run_instance_list_fields,
        (Arguments("unknown", 0, None),),
        LIST_FIELDS_OPTIONS,
    ),
    Command(
        "migrate",
        "Moves a running instance to another node",
        change.run_migrate,
        ONE,
        change.MIGRATE_OPTIONS,
    ),
    Command("reboot", "Restarts instances", power.run_reboot, SOME, power.REBOOT_OPTIONS),
    Command(
        "remove", "Removes an instance and its disks", change.run_remove, ONE, change.REMOVE_OPTIONS
    ),
    Command(
        "rename",
        "Gives an instance another name",
        change.run_rename,
        (*ONE, Arguments("host", 1, 1)),
        change.RENAME_OPTIONS,
    ),
    Command("shutdown", "Shuts instances down", power.run_shutdown, SOME, power.SHUTDOWN_OPTIONS),
    Command("startup", "Starts instances", power.run_startup, SOME, power.STARTUP_OPTIONS),
    *tag_commands("instance"),
)

NOT_YET = (
    unavailable("activate-disks", "Makes the disks of an instance usable on its nodes"),
    unavailable("batch-create", "Creates the instances that a file describes"),
    unavailable("change-group", "Moves an instance to another node group"),
    unavailable("deactivate-disks", "Takes the disks of an instance out of use"),
    unavailable("failover", "Stops an instance and starts it on another node"),
    unavailable("grow-disk", "Makes a disk of an instance larger"),
    unavailable("modify", "Changes the settings of an instance"),
    unavailable("move", "Copies an instance with its disks to another node"),
    unavailable("recreate-disks", "Makes lost disks of an instance anew"),
    unavailable("reinstall", "Installs the operating system of an instance again"),
    unavailable("replace-disks", "Replaces the disks of a mirrored instance"),
)

PROGRAM = Program(
    "gnt-instance",
    (*AVAILABLE, *NOT_YET),
    {"start": "startup", "stop": "shutdown", "show": "info"},
    {"GNT_INSTANCE_LIST": "list"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
