"""``gnt-cluster``: the cluster as a whole."""

from __future__ import annotations

import sys

from gantry.cli.gnt_cluster import info, lifecycle, queue, verify
from gantry.cli.program import Arguments, Command, Program, run, unavailable
from gantry.cli.standard_options import PRIORITY
from gantry.cli.tags import run_search_tags, tag_commands

AVAILABLE = (
    Command("destroy", "Ends the cluster", lifecycle.run_destroy, (), lifecycle.DESTROY_OPTIONS),
    Command("getmaster", "Prints the name of the master node", info.run_getmaster),
    Command("info", "Shows the settings of the cluster", info.run_info, (), info.INFO_OPTIONS),
    Command(
        "init",
        "Makes this machine the first node of a new cluster",
        lifecycle.run_init,
        (Arguments("host", 1, 1),),
        lifecycle.INIT_OPTIONS,
        notes="More nodes: gantry token NODE here, then gantry join TOKEN on the new node.",
    ),
    Command("master-ping", "Checks whether the master answers", info.run_master_ping),
    Command(
        "queue",
        "Closes the job queue, opens it, or shows its state",
        queue.run_queue,
        (Arguments("choice", 1, 1, ("drain", "undrain", "info")),),
    ),
    Command(
        "search-tags",
        "Finds objects by a regular expression on their tags",
        run_search_tags,
        (Arguments("unknown", 1, 1),),
        (PRIORITY,),
    ),
    Command("verify", "Checks the cluster", verify.run_verify, (), verify.OPTIONS),
    Command("version", "Shows the versions of software and formats", info.run_version),
    Command(
        "watcher",
        "Pauses the watcher, lets it continue, or shows its state",
        queue.run_watcher,
        (
            Arguments("choice", 1, 1, ("pause", "continue", "info")),
            Arguments("suggest", 0, 1, ("30m", "1h", "4h")),
        ),
    ),
    *tag_commands("cluster"),
)

NOT_YET = (
    unavailable("activate-master-ip", "Brings the master address up"),
    unavailable("command", "Runs a command on all nodes"),
    unavailable("copyfile", "Copies a file to all nodes"),
    unavailable("deactivate-master-ip", "Takes the master address down"),
    unavailable("epo", "Switches all nodes off in an emergency"),
    unavailable("master-failover", "Makes this node the master"),
    unavailable("modify", "Changes the settings of the cluster"),
    unavailable("redist-conf", "Sends the configuration to all nodes again"),
    unavailable("rename", "Gives the cluster another name"),
    unavailable("renew-crypto", "Makes new keys and certificates"),
    unavailable("repair-disk-sizes", "Corrects the sizes of disks in the configuration"),
    unavailable("show-ispecs-cmd", "Shows the command that sets the present limits"),
    unavailable("upgrade", "Changes to another version"),
    unavailable("verify-disks", "Checks the disks of mirrored instances"),
)

PROGRAM = Program(
    "gnt-cluster",
    (*AVAILABLE, *NOT_YET),
    {"masterfailover": "master-failover", "show": "info"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
