"""Where LuxiD listens, and why not, if it does not.

The socket's place is Ganeti's, below ``GANTRY_ROOT``; what is there may be a link to a socket in
a shorter directory, because socket addresses end at 107 bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gantry.cli import exit_codes
from gantry.cli.errors import CommandError

SOCKET_PLACE = "var/run/ganeti/socket/ganeti-query"
DATA_PLACE = "var/lib/ganeti"
ADDRESS_BYTES_MAX = 107
"""sizeof(sun_path) - 1 on Linux, unix(7)."""

LINKS_MAX = 8
"""More links in a row than anybody sets up; a loop ends here."""


class Membership(NamedTuple):
    """What this machine's files say about its place in a cluster; empty texts are unknown."""

    cluster_name: str
    master_node: str
    node_name: str


def root_directory(variables: Mapping[str, str]) -> str:
    """Return the directory below which Ganeti's paths are."""
    return variables.get("GANTRY_ROOT") or "/"


def luxi_address(root: str) -> str:
    """Return the path to connect to.

    Raises:
        CommandError: the path, also with its links resolved, does not fit into a socket address.
    """
    place = os.path.join(root, SOCKET_PLACE)
    path = place
    for _ in range(LINKS_MAX):
        if len(os.fsencode(path)) <= ADDRESS_BYTES_MAX:
            return path
        try:
            target = os.readlink(path)
        except OSError:
            break
        path = os.path.join(os.path.dirname(path), target)
    if not os.path.lexists(place):
        # Nobody listens there: say that, and not that the path is long.
        return f"/nonexistent/{SOCKET_PLACE}"
    raise CommandError(
        f"The socket path {path} is longer than {ADDRESS_BYTES_MAX} bytes; "
        "use a shorter GANTRY_ROOT, or link to the socket from there"
    )


def read_membership(root: str, variables: Mapping[str, str]) -> Membership:
    """Read the cluster's and the master's name from the files that NodeD keeps."""
    default_name = os.path.basename(root.rstrip("/")) or os.uname().nodename
    return Membership(
        _first_line(root, "ssconf_cluster_name"),
        _first_line(root, "ssconf_master_node"),
        variables.get("GANETI_HOSTNAME") or default_name,
    )


def _first_line(root: str, name: str) -> str:
    try:
        path = os.path.join(root, DATA_PLACE, name)
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except (OSError, UnicodeError):
        return ""


def require_master(root: str, variables: Mapping[str, str]) -> None:
    """Raise if there is a reason why no LuxiD runs here.

    Raises:
        CommandError: this machine is in no cluster, or is not the master.
    """
    member = read_membership(root, variables)
    has_configuration = os.path.exists(os.path.join(root, DATA_PLACE, "config.data"))
    if not member.cluster_name and not has_configuration:
        raise CommandError(
            f"This machine is not part of a cluster (nothing below {root}); "
            "to make one: gnt-cluster init NAME; to join one: gantry join TOKEN",
            exit_codes.NOT_A_CLUSTER,
        )
    master = member.master_node
    if master and member.node_name not in (master, master.partition(".")[0]):
        raise CommandError(
            f"This is {member.node_name}, not the master node; give the command on {master}",
            exit_codes.NOT_MASTER,
        )
