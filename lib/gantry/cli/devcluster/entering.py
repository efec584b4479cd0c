"""How a command gets onto a node: with the node's environment, in the node's namespaces."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.cli.devcluster.layout import DevClusterError, DevNode, Layout

HOLDER = "holder.pid"
"""In a node's folder of the run folder: the process that keeps the node's namespaces."""


def entered(layout: Layout, node: DevNode, argv: Sequence[str]) -> list[str]:
    """Return the command that runs ``argv`` on a node; its pid is that of ``argv``'s process.

    Raises:
        DevClusterError: the node's namespaces are gone.
    """
    if layout.net == "loopback":
        return list(argv)
    holder = holder_of(layout, node.short_name)
    return ["nsenter", "-t", str(holder), "-n", "-m", "-u", "--", *argv]


def holder_of(layout: Layout, name: str) -> int:
    """Return the pid of the process that keeps the namespaces of a node, or of the switch.

    Raises:
        DevClusterError: it does not run.
    """
    path = layout.run_folder / f"{name}-{HOLDER}"
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        raise DevClusterError(
            f"{name} has no namespaces any more; take the cluster down and up again"
        ) from None
