"""Nodes as machines of their own: a network namespace each, joined by a switch.

Needs root. A node's namespaces (network, mount for its own /sys, host name) are kept by a holder
process that sleeps; so is the switch's, a network namespace with nothing but a bridge. Nothing
is made in the machine's own network, and everything goes with the holders::

    switch: br0 --- p1 ... pN
                    |
    node 1:        eth0 --- br0 (the node's address; guests' taps join it)

Two clusters can use the same addresses: their switches are not connected.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from gantry.cli.devcluster.entering import HOLDER, entered, holder_of
from gantry.cli.devcluster.layout import MARK, DevClusterError, DevNode, Layout

SUBNET: Final = "10.77.0"
BRIDGE: Final = "br0"
SWITCH: Final = "switch"

HOLDER_TITLE: Final = "namespaces-of-"
"""How a holder shows in process lists, followed by whose namespaces it keeps."""

NEEDED: Final = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}

_HOLD: Final = "import os, signal; os.write(1, b'held'); os.close(1); signal.pause()"
"""Says that the namespaces are there, and sleeps until it is killed."""

_UNSHARE: Final = {
    SWITCH: ["unshare", "--net"],
    "node": ["unshare", "--net", "--uts", "--mount", "--propagation", "private"],
}


def check() -> None:
    """Make sure that namespaces can be made here.

    Raises:
        DevClusterError: we are not root, or a program is missing.
    """
    if os.geteuid() != 0:
        raise DevClusterError("--net netns needs root; without it, use --net loopback")
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if missing:
        raise DevClusterError(f"--net netns needs programs; apt install {' '.join(missing)}")


def make(layout: Layout) -> None:
    """Make the switch and all nodes' namespaces.

    Raises:
        DevClusterError: a command failed.
    """
    _hold(layout, SWITCH, _UNSHARE[SWITCH])
    _in_switch(layout, "ip", "link", "set", "lo", "up")
    _bridge = [
        "ip",
        "link",
        "add",
        BRIDGE,
        "type",
        "bridge",
        "forward_delay",
        "0",
        "stp_state",
        "0",
    ]
    _in_switch(layout, *_bridge)
    _in_switch(layout, "ip", "link", "set", BRIDGE, "up")
    for number, node in enumerate(layout.nodes, 1):
        _make_node(layout, number, node)


def _make_node(layout: Layout, number: int, node: DevNode) -> None:
    _hold(layout, node.short_name, _UNSHARE["node"])
    pid = str(holder_of(layout, node.short_name))
    port = f"p{number}"
    _in_switch(
        layout, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", pid
    )
    _in_switch(layout, "ip", "link", "set", port, "master", BRIDGE, "up")
    for command in (
        ["mount", "-t", "sysfs", "sysfs", "/sys"],
        ["hostname", node.name],
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "stp_state", "0"],
        ["ip", "link", "set", "eth0", "master", BRIDGE, "up"],
        ["ip", "address", "add", f"{node.address}/24", "dev", BRIDGE],
        ["ip", "link", "set", BRIDGE, "up"],
    ):
        _run(entered(layout, node, command))


def _hold(layout: Layout, name: str, unshare: Sequence[str]) -> None:
    variables = {**os.environ, MARK: str(layout.folder)}
    holder = subprocess.Popen(
        [*unshare, sys.executable, "-c", _HOLD, f"{HOLDER_TITLE}{name}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # whoever reads ours must not wait for a sleeper
        env=variables,
        start_new_session=True,
    )
    with holder.stdout or open(os.devnull, "rb") as said:
        if said.read() != b"held":
            raise DevClusterError(f"no namespaces for {name}: unshare ended with {holder.wait()}")
    (layout.run_folder / f"{name}-{HOLDER}").write_text(str(holder.pid))


def _in_switch(layout: Layout, *argv: str) -> None:
    _run(["nsenter", "-t", str(holder_of(layout, SWITCH)), "-n", "--", *argv])


def _run(argv: Sequence[str]) -> None:
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise DevClusterError(f"{' '.join(argv)} failed: {ended.stderr.strip()}")
