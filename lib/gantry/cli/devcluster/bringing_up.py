"""``gantry devcluster up``: from an empty folder to nodes that have all joined.

What a person would do on real machines is done with the same commands: ``gnt-cluster init``,
``gantry token``, ``gantry join``, ``gnt-node add``. Nothing is polled: daemons say when they
are ready.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from gantry.cli.devcluster import layout as layouts
from gantry.cli.devcluster import namespaces, subnets
from gantry.cli.devcluster.control import StartFailed, Supervisor, supervisor_of
from gantry.cli.devcluster.entering import entered
from gantry.cli.devcluster.guests import guest_parameters
from gantry.cli.devcluster.layout import (
    CLUSTER_NAME,
    DevClusterError,
    DevNode,
    HypervisorChoice,
    Layout,
    Net,
    programs_folder,
)

COMMAND_SECONDS_MAX: Final = 120.0
"""No command that makes or joins a cluster takes so long, even on a loaded machine."""

JOINING_MAX: Final = 4
"""Nodes that join at the same time; more would only wait for the processors."""

SHARED_STORAGE: Final = "srv/ganeti/shared-file-storage"

Say = Callable[[str], None]


@frozen
class Prepared:
    """A cluster that can be started."""

    layout: Layout
    held: subnets.Subnet | None
    """Its network, if that has to be held; the supervisor takes it over."""


def prepare(folder: Path, count: int, net: Net, hypervisor: HypervisorChoice) -> Prepared:
    """Lay out a new cluster in an empty folder, or find the one that is there, stopped.

    Raises:
        DevClusterError: it can not be made here.
    """
    if net == "netns":
        namespaces.check()
    known = layouts.find(folder)
    if known is not None:
        wanted = (count, net, hypervisor)
        if (len(known.nodes), known.net, known.hypervisor) != wanted:
            raise DevClusterError(
                f"{folder} holds a cluster of {len(known.nodes)} nodes ({known.net}, "
                f"{known.hypervisor}); take it down first: gantry devcluster down --dir {folder}"
            )
        return Prepared(known, subnets.take_again(known.subnet) if net == "loopback" else None)
    if folder.exists() and any(folder.iterdir()):
        raise DevClusterError(f"{folder} is not empty; choose another with --dir")
    if net == "netns":
        return Prepared(layouts.plan(folder, namespaces.SUBNET, count, net, hypervisor), None)
    held = subnets.take()
    return Prepared(layouts.plan(folder, held.prefix, count, net, hypervisor), held)


def make_folders(layout: Layout) -> None:
    """Make the nodes' roots; what is there already stays."""
    layout.folder.mkdir(parents=True, exist_ok=True)
    (layout.folder / "logs").mkdir(exist_ok=True)
    layout.shared_folder.mkdir(exist_ok=True)
    _make_run_folder(layout.run_folder)
    for node in layout.nodes:
        for path in ("etc/ganeti", "srv/ganeti", "var/lib/ganeti", "var/log/ganeti"):
            (node.root / path).mkdir(parents=True, exist_ok=True)
        (node.root / "etc/hosts").write_text(layout.hosts())
        shared = node.root / SHARED_STORAGE
        if not shared.is_symlink():
            shared.symlink_to(layout.shared_folder)
    layouts.save(layout)


def _make_run_folder(folder: Path) -> None:
    """Make the folder of the sockets; one that another user made is never used."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise DevClusterError(f"{folder} belongs to somebody else; use another --dir")


def start_supervisor(prepared: Prepared) -> None:
    """Start the supervisor in a session of its own, and wait until it listens.

    Raises:
        DevClusterError: it did not start.
    """
    layout = prepared.layout
    inherited = [] if prepared.held is None else [prepared.held.fd]
    if layout.net == "netns":
        namespaces.make(layout)
    reading, writing = os.pipe()
    log = os.open(
        layout.folder / "logs/supervisor.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
    )
    program = [sys.executable, "-m", "gantry.cli.devcluster.supervisor"]
    try:
        subprocess.Popen(
            [*program, str(layout.folder), str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, layouts.MARK: str(layout.folder)},
            pass_fds=[writing, *inherited],
            start_new_session=True,
        )
    finally:
        for fd in (writing, log, *inherited):
            os.close(fd)
    with os.fdopen(reading, "rb") as saying:
        if saying.read() != b"ready\n":
            raise DevClusterError(f"the supervisor did not start; see {layout.folder}/logs")


async def bring_up(layout: Layout, say: Say) -> None:
    """Start all daemons, and make the cluster if it is not there yet.

    Raises:
        DevClusterError: something did not work; what was started still runs.
    """
    async with supervisor_of(layout) as supervisor:
        await _bring_up(layout, supervisor, say)


async def _start(layout: Layout, supervisor: Supervisor, node: DevNode) -> None:
    try:
        await supervisor.start(node.name, layout.programs(node))
    except StartFailed as error:
        raise DevClusterError(error.sentence()) from error


async def _bring_up(layout: Layout, supervisor: Supervisor, say: Say) -> None:
    master = layout.master
    if not (master.root / "var/lib/ganeti/config.data").exists():
        say(f"making the cluster {CLUSTER_NAME} on {master.name}")
        guests = await guest_parameters(say) if layout.hypervisor == "kvm" else []
        await run_on(layout, master, [*_init_command(layout), *guests, CLUSTER_NAME])
    say(f"starting the daemons of {master.name}")
    await _start(layout, supervisor, master)
    room = trio.Semaphore(JOINING_MAX)
    async with trio.open_nursery() as nursery:
        for node in (each for each in layout.nodes if each != master):
            await room.acquire()
            nursery.start_soon(_bring_up_node, layout, supervisor, node, room, say)


def _init_command(layout: Layout) -> list[str]:
    bridged = layout.net == "netns"
    return [
        "gnt-cluster",
        "init",
        f"--enabled-hypervisors={layout.hypervisor}",
        "--enabled-disk-templates=file,sharedfile,diskless",
        f"--master-netdev={namespaces.BRIDGE if bridged else 'lo'}",
        f"--nic-parameters=link={namespaces.BRIDGE}",
        "--ipolicy-bounds-specs=min:memory-size=4,cpu-count=1,disk-size=1,disk-count=0,"
        "nic-count=0,spindle-use=1/max:memory-size=32768,cpu-count=8,disk-size=1048576,"
        "disk-count=16,nic-count=8,spindle-use=12",
    ]


async def _bring_up_node(
    layout: Layout, supervisor: Supervisor, node: DevNode, room: trio.Semaphore, say: Say
) -> None:
    try:
        joined = (node.root / "var/lib/ganeti/server.pem").exists()
        if not joined:
            say(f"{node.name} joins")
            token = await run_on(layout, layout.master, ["gantry", "token", node.name])
            await run_on(layout, node, ["gantry", "join", "-"], token)
        await _start(layout, supervisor, node)
        if not joined and not _is_known(layout, node):
            await run_on(layout, layout.master, ["gnt-node", "add", node.name])
        if not joined:
            say(f"{node.name} is a node of the cluster")
    finally:
        room.release()


def _is_known(layout: Layout, node: DevNode) -> bool:
    """Whether the cluster has a node already: it was taken over from Ganeti with its nodes."""
    names = (layout.master.root / "var/lib/ganeti/ssconf_node_list").read_text()
    return node.name in names.split()


async def run_on(
    layout: Layout, node: DevNode, argv: Sequence[str], standard_input: bytes = b""
) -> bytes:
    """Run a command on a node and return what it printed.

    Raises:
        DevClusterError: it failed, or took too long.
    """
    command = command_on(layout, node, argv)
    try:
        with trio.fail_after(COMMAND_SECONDS_MAX):
            ended = await trio.run_process(
                command,
                stdin=standard_input,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=layout.variables(node, os.environ),
            )
    except trio.TooSlowError:
        raise DevClusterError(
            f"{' '.join(argv)} on {node.name} took longer than {COMMAND_SECONDS_MAX:g} seconds"
        ) from None
    if ended.returncode:
        said = (ended.stdout + ended.stderr).decode(errors="replace").strip()
        raise DevClusterError(
            f"{' '.join(argv)} on {node.name} failed with status {ended.returncode}:\n{said}"
        )
    return ended.stdout


def command_on(layout: Layout, node: DevNode, argv: Sequence[str]) -> list[str]:
    """Return the command that runs ``argv`` on a node, to be run with the node's variables.

    Raises:
        DevClusterError: there is no such program.
    """
    variables: Mapping[str, str] = layout.variables(node, os.environ)
    program = shutil.which(argv[0], path=variables["PATH"])
    if program is None:
        raise DevClusterError(
            f"there is no program {argv[0]} in {programs_folder()} or the PATH; "
            "a development tree is installed with: make venv"
        )
    return entered(layout, node, [program, *argv[1:]])
