"""What a development cluster consists of: its nodes, their addresses and folders.

The layout is decided once by ``up`` and kept in ``devcluster.json`` in the cluster's folder, so
that every later command and the supervisor see the same cluster.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from attrs import frozen

from gantry.protocols.codec import Malformed, dump, from_bytes, load, to_bytes

Net = Literal["loopback", "netns"]
HypervisorChoice = Literal["kvm", "fake"]

FILE: Final = "devcluster.json"
DOMAIN: Final = "gantry.test"
CLUSTER_NAME: Final = f"cluster.{DOMAIN}"

NODES_MAX: Final = 200
"""A /24 has room for so many nodes beside the cluster's own address."""

CLUSTER_HOST: Final = 254
"""The last part of the cluster's own address; nodes count from 1."""

MARK: Final = "GANTRY_DEVCLUSTER"
"""The environment variable by which every process of a cluster can be told from others."""

ALL_NODES: Final = ("gantry-noded", "gantry-rconfd", "gantry-mond")
"""The daemons of every node, in the order in which they are started."""

MASTER: Final = ("gantry-wconfd", "gantry-forkserver", "gantry-luxid", "gantry-rapid")
"""The further daemons of the master node."""


class DevClusterError(Exception):
    """A development cluster can not do what was asked; the text says why and what to do."""


@frozen
class DevNode:
    """One node."""

    name: str
    address: str
    root: Path
    """Its ``GANTRY_ROOT``: everything of the node is below it."""

    @property
    def short_name(self) -> str:
        """The name's first part."""
        return self.name.partition(".")[0]


@frozen
class Layout:
    """One development cluster."""

    folder: Path
    net: Net
    hypervisor: HypervisorChoice
    subnet: str
    """The first three parts of all addresses, such as ``127.77.3``."""
    run_folder: Path
    """Where sockets live: short, since their paths may have 107 bytes only."""
    nodes: tuple[DevNode, ...]
    """The first one becomes the first master."""

    @property
    def cluster_address(self) -> str:
        """The address to which the cluster's name resolves."""
        return f"{self.subnet}.{CLUSTER_HOST}"

    @property
    def master(self) -> DevNode:
        """The node that was last told to lead; until there is a failover, the first one."""
        return max(self.nodes, key=_reign)

    @property
    def shared_folder(self) -> Path:
        """What all nodes see as their shared file storage."""
        return self.folder / "shared"

    @property
    def control_socket(self) -> Path:
        """Where the supervisor listens."""
        return self.run_folder / "control"

    def node(self, name: str) -> DevNode:
        """Find a node by its full or short name.

        Raises:
            DevClusterError: there is no such node.
        """
        for node in self.nodes:
            if name in (node.name, node.short_name):
                return node
        known = ", ".join(node.short_name for node in self.nodes)
        raise DevClusterError(f"there is no node {name} here; the nodes are: {known}")

    def programs(self, node: DevNode) -> tuple[str, ...]:
        """Return the daemons of a node, in the order in which they are started."""
        return ALL_NODES + (MASTER if node == self.master else ())

    def variables(self, node: DevNode, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables of a node's processes."""
        programs = str(programs_folder())
        search = [each for each in inherited.get("PATH", os.defpath).split(":") if each != programs]
        return {
            **inherited,
            "GANTRY_ROOT": str(node.root),
            "XDG_RUNTIME_DIR": str(self.run_folder),
            MARK: str(self.folder),
            "PATH": ":".join([programs, *search]),
        }

    def hosts(self) -> str:
        """Return the text of every node's etc/hosts (hosts(5))."""
        lines = ["127.0.0.1 localhost", f"{self.cluster_address} {CLUSTER_NAME} cluster"]
        lines += [f"{node.address} {node.name} {node.short_name}" for node in self.nodes]
        return "\n".join(lines) + "\n"


def _reign(node: DevNode) -> int:
    """Return the last epoch in which a node was told to lead."""
    try:
        told = from_bytes((node.root / "var/lib/ganeti/allegiance.json").read_bytes())
    except (FileNotFoundError, Malformed):
        return 1
    reign = told.get("reign") if isinstance(told, dict) else None
    return reign if isinstance(reign, int) else 1


def programs_folder() -> Path:
    """Return where this installation's programs are."""
    return Path(sys.executable).absolute().parent


def plan(folder: Path, subnet: str, count: int, net: Net, hypervisor: HypervisorChoice) -> Layout:
    """Lay a new cluster out.

    Raises:
        DevClusterError: too many nodes, or none.
    """
    if not 1 <= count <= NODES_MAX:
        raise DevClusterError(f"a development cluster has 1 to {NODES_MAX} nodes, not {count}")
    nodes = tuple(
        DevNode(name, f"{subnet}.{number}", folder / name)
        for number in range(1, count + 1)
        for name in [f"node{number}.{DOMAIN}"]
    )
    return Layout(folder, net, hypervisor, subnet, _run_folder(folder), nodes)


def _run_folder(folder: Path) -> Path:
    """Choose a short folder of the cluster's own; nothing of a user's session is inherited."""
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return Path("/tmp") / f"gantry-dev-{os.getuid()}-{mark}"


def save(layout: Layout) -> None:
    """Write the layout into the cluster's folder."""
    (layout.folder / FILE).write_bytes(to_bytes(_Stored.of(layout)))


def find(folder: Path) -> Layout | None:
    """Return the cluster in a folder, or ``None`` if there is none."""
    try:
        stored = load(_Stored, from_bytes((folder / FILE).read_bytes()))
    except FileNotFoundError:
        return None
    return stored.layout()


def existing(folder: Path) -> Layout:
    """Return the cluster in a folder.

    Raises:
        DevClusterError: there is none.
    """
    layout = find(folder)
    if layout is None:
        raise DevClusterError(f"there is no cluster in {folder}; start one: gantry devcluster up")
    return layout


@frozen
class _Stored:
    """The layout's form on disk: paths are text there."""

    folder: str
    net: Net
    hypervisor: HypervisorChoice
    subnet: str
    nodes: int

    @classmethod
    def of(cls, layout: Layout) -> object:
        return dump(
            cls(
                str(layout.folder),
                layout.net,
                layout.hypervisor,
                layout.subnet,
                len(layout.nodes),
            )
        )

    def layout(self) -> Layout:
        return plan(Path(self.folder), self.subnet, self.nodes, self.net, self.hypervisor)
