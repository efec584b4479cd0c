"""``gantry devcluster down``: nothing of a cluster stays behind.

It works whatever is left: a cluster that runs, one whose supervisor was killed, or only files.
"""

from __future__ import annotations

import shutil
from contextlib import suppress

import trio

from gantry.cli.devcluster import subnets
from gantry.cli.devcluster.control import supervisor_of
from gantry.cli.devcluster.found import end, processes_of
from gantry.cli.devcluster.layout import FILE, DevClusterError, Layout
from gantry.protocols.errors import ConnectionLost

STOP_SECONDS_MAX = 60.0
"""For an orderly stop of all daemons; then everything is killed."""


async def _stop_daemons(layout: Layout) -> None:
    with trio.move_on_after(STOP_SECONDS_MAX), suppress(DevClusterError, ConnectionLost):
        async with supervisor_of(layout) as supervisor:
            await supervisor.shut_down()


def take_down(layout: Layout, *, keep_files: bool = False) -> None:
    """Stop everything, guests and jobs included, and remove the cluster's files.

    Args:
        layout: the cluster.
        keep_files: leave the nodes' folders as they are, to be looked at or started again.
    """
    trio.run(_stop_daemons, layout)
    # Guests and jobs outlive the daemons on purpose; so do the holders of namespaces.
    while left := processes_of(layout.folder):
        end(process.pid for process in left)
    shutil.rmtree(layout.run_folder, ignore_errors=True)
    if layout.net == "loopback":
        subnets.forget(layout.subnet)
    if not keep_files:
        _remove_files(layout)


def _remove_files(layout: Layout) -> None:
    """Remove what ``up`` and the nodes have made; a file of somebody else's stays."""
    for folder in (
        *(node.root for node in layout.nodes),
        layout.shared_folder,
        layout.folder / "logs",
    ):
        shutil.rmtree(folder, ignore_errors=True)
    (layout.folder / FILE).unlink(missing_ok=True)
    with suppress(OSError):  # it holds files that are not ours
        layout.folder.rmdir()
