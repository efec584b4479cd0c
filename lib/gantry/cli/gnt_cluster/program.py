"""``gnt-cluster``: the cluster as a whole."""

from __future__ import annotations

import sys

from gantry.cli.command import Known, Program
from gantry.cli.program import run

PROGRAM = Program(
    "gnt-cluster",
    "gantry.cli.gnt_cluster",
    (
        Known("activate-master-ip", "Brings the master address up", "master_ip"),
        Known("add-tags", "Adds tags to the cluster", "tags"),
        Known("command", "Runs a command on all nodes"),
        Known("copyfile", "Copies a file to all nodes"),
        Known("deactivate-master-ip", "Takes the master address down", "master_ip"),
        Known("destroy", "Ends the cluster", "lifecycle"),
        Known("epo", "Switches all nodes off in an emergency"),
        Known("getmaster", "Prints the name of the master node", "info"),
        Known("info", "Shows the settings of the cluster", "info"),
        Known("init", "Makes this machine the first node of a new cluster", "lifecycle"),
        Known("list-tags", "Lists the tags of the cluster", "tags"),
        Known("master-failover", "Makes this node the master", "failover"),
        Known("master-ping", "Checks whether the master answers", "info"),
        Known("modify", "Changes the settings of the cluster", "modify"),
        Known("queue", "Closes the job queue, opens it, or shows its state", "queue"),
        Known("redist-conf", "Sends the configuration to all nodes again"),
        Known("remove-tags", "Removes tags from the cluster", "tags"),
        Known("rename", "Gives the cluster another name"),
        Known("renew-crypto", "Makes new keys and certificates"),
        Known("repair-disk-sizes", "Corrects the sizes of disks in the configuration"),
        Known("search-tags", "Finds objects by a regular expression on their tags", "tags"),
        Known("show-ispecs-cmd", "Shows the command that sets the present limits"),
        Known("upgrade", "Changes to another version"),
        Known("verify", "Checks the cluster", "verify"),
        Known("verify-config", "Checks the configuration, object by object", "verify"),
        Known("verify-disks", "Looks for disks that should be there and are not", "verify_disks"),
        Known("version", "Shows the versions of software and formats", "info"),
        Known("watcher", "Pauses the watcher, lets it continue, or shows its state", "queue"),
    ),
    {"masterfailover": "master-failover", "show": "info"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
