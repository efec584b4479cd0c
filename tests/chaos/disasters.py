"""What happens to a real cluster, and how it is over again; drawn from a seed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import assert_never

from attrs import frozen
from tests.cluster.development import DevCluster, asked

from gantry.cli.devcluster.control import Supervisor
from gantry.cli.devcluster.entering import entered, holder_of
from gantry.cli.devcluster.found import processes_of
from gantry.cli.devcluster.layout import ALL_NODES, MASTER
from gantry.cli.devcluster.namespaces import SWITCH

CUT_SECONDS_MAX = 15.0
"""Longer than a lease: a master that is cut off for so long has to stand still."""

INPUT = ("inet", "chaos", "input")
"""A chain of a node's packet filter."""

FILLER_BYTES = 4096
"""Taken at once: less than that is of no use to anybody."""

Wait = Callable[[float], None]
"""Lets people work for some seconds."""


@frozen
class DaemonKilled:
    """A daemon is killed; its supervisor starts it again."""

    node: str
    program: str


@frozen
class JobKilled:
    """The process of a job is killed."""

    choice: float
    """Which of those that run, from 0 to 1."""


@frozen
class Frozen:
    """A daemon stands still for some time."""

    node: str
    program: str
    seconds: float


@frozen
class CutOff:
    """A node's cable is pulled, and put back."""

    node: str
    seconds: float


@frozen
class Filtered:
    """A node hears only a part of what others send, or nothing, while they hear it."""

    node: str
    lost_percent: int
    seconds: float


@frozen
class DiskFull:
    """There is no room on the disk that all nodes' files are on."""

    seconds: float


@frozen
class NodeLost:
    """Everything on a node dies; some time later its daemons are started again."""

    node: str
    seconds: float


@frozen
class MasterLost:
    """The master node dies, somebody promotes another, and the old one comes back."""

    successor: str
    seconds: float


Lasting = Frozen | CutOff | Filtered | DiskFull | NodeLost | MasterLost
Disaster = DaemonKilled | JobKilled | Lasting


def draw(random: Random, cluster: DevCluster) -> Disaster:
    """Choose what happens next."""
    layout = cluster.layout
    master = layout.master.short_name
    others = [node.short_name for node in layout.nodes if node.short_name != master]
    node, other = random.choice([master, random.choice(others)]), random.choice(others)
    program = random.choice(MASTER if node == master else ALL_NODES)
    seconds = random.uniform(0.5, 6.0)
    disasters: list[tuple[float, Disaster]] = [
        (4.0, DaemonKilled(node, program)),
        (4.0, JobKilled(random.random())),
        (2.0, Frozen(node, program, seconds)),
        (1.0, NodeLost(other, seconds)),
        (1.0, MasterLost(other, seconds)),
    ]
    if layout.net == "netns":
        cut_seconds = random.uniform(0.5, CUT_SECONDS_MAX)
        disasters += [
            (2.0, CutOff(node, cut_seconds)),
            (2.0, Filtered(node, random.choice([5, 30, 100]), cut_seconds)),
            (1.0, DiskFull(seconds)),
        ]
    choices = [disaster for _, disaster in disasters]
    return random.choices(choices, [weight for weight, _ in disasters])[0]


def strike(cluster: DevCluster, disaster: Disaster, wait: Wait) -> None:
    """Have it happen, and end it."""
    match disaster:
        case DaemonKilled(node, program):
            with suppress(LookupError, ProcessLookupError):
                os.kill(cluster.pid(program, node), signal.SIGKILL)
        case JobKilled(choice):
            _kill_job(cluster, choice)
        case _:
            with _happening(cluster, disaster):
                wait(disaster.seconds)


def _happening(cluster: DevCluster, disaster: Lasting) -> AbstractContextManager[None]:
    match disaster:
        case Frozen(node, program):
            return _frozen(cluster, node, program)
        case CutOff(node):
            return _unplugged(cluster, node)
        case Filtered(node, lost_percent):
            return _filtered(cluster, node, lost_percent)
        case DiskFull():
            return _filled(cluster.folder.parent / "filler")
        case NodeLost(node):
            return _lost(cluster, node)
        case MasterLost(successor):
            return _replaced(cluster, successor)
        case _:
            assert_never(disaster)


def _kill_job(cluster: DevCluster, choice: float) -> None:
    running = [p.pid for p in processes_of(cluster.folder) if p.command.startswith("gantry-job")]
    if running:
        with suppress(ProcessLookupError):
            os.kill(sorted(running)[int(choice * len(running))], signal.SIGKILL)


@contextmanager
def _frozen(cluster: DevCluster, node: str, program: str) -> Iterator[None]:
    try:
        pid = cluster.pid(program, node)
        os.kill(pid, signal.SIGSTOP)
    except (LookupError, ProcessLookupError):  # it is just being started again
        yield
        return
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _unplugged(cluster: DevCluster, node: str) -> Iterator[None]:
    """Pull a node's cable out of the switch, and put it back."""
    layout = cluster.layout
    port = f"p{layout.nodes.index(layout.node(node)) + 1}"
    switch = ["nsenter", "-t", str(holder_of(layout, SWITCH)), "-n", "--"]
    subprocess.run([*switch, "ip", "link", "set", port, "down"], check=True)
    try:
        yield
    finally:
        subprocess.run([*switch, "ip", "link", "set", port, "up"], check=True)


@contextmanager
def _filtered(cluster: DevCluster, node: str, lost_percent: int) -> Iterator[None]:
    """Drop some of what reaches a node; the packet filter is made when it is first needed."""
    layout = cluster.layout
    where = layout.node(node)

    def nft(*command: str) -> None:
        subprocess.run(entered(layout, where, ["nft", *command]), check=True)

    nft("add", "table", *INPUT[:2])
    hook = ["{", "type", "filter", "hook", "input", "priority", "0", ";", "}"]
    nft("add", "chain", *INPUT, *hook)
    cable = ["iifname", "br0"]
    # nft refuses a comparison that is always true.
    chance = ["numgen", "random", "mod", "100", "<", str(lost_percent)] * (lost_percent < 100)
    nft("add", "rule", *INPUT, *cable, *chance, "drop")
    try:
        yield
    finally:
        nft("flush", "chain", *INPUT)


@contextmanager
def _filled(filler: Path) -> Iterator[None]:
    """Take all room that is left, for some time."""
    with filler.open("wb") as file, suppress(OSError):
        while True:
            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), FILLER_BYTES)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def _lost(cluster: DevCluster, node: str) -> Iterator[None]:
    """Kill every process of a node; its daemons are not started again until it is over."""
    layout = cluster.layout
    where = layout.node(node)

    async def stop(supervisor: Supervisor) -> None:
        known = [each.program for each in await supervisor.status() if each.node == where.name]
        await supervisor.stop(where.name, tuple(known))

    async def start(supervisor: Supervisor) -> None:
        await supervisor.start(where.name, layout.programs(where))

    _kill_all(cluster, str(where.root))
    asked(layout, stop)
    _kill_all(cluster, str(where.root))  # what was started again in between
    try:
        yield
    finally:
        asked(layout, start)


def _kill_all(cluster: DevCluster, root: str) -> None:
    for process in processes_of(cluster.folder):
        if process.root == root:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


@contextmanager
def _replaced(cluster: DevCluster, successor: str) -> Iterator[None]:
    """Lose the master node, and have another one promoted, before it comes back."""
    with _lost(cluster, cluster.layout.master.short_name):
        cluster.run("gnt-cluster", "master-failover", node=successor)
        yield
