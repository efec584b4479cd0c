"""What happens to a real cluster, and how it is over again; drawn from a seed."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import assert_never

from attrs import field, frozen
from tests.chaos.processes import is_guest, is_job, name_of
from tests.cluster.development import CommandFailed, DevCluster, asked

from gantry.cli.devcluster.control import Supervisor
from gantry.cli.devcluster.entering import entered, holder_of
from gantry.cli.devcluster.found import FoundProcess, processes_of
from gantry.cli.devcluster.layout import ALL_NODES, MASTER
from gantry.cli.devcluster.namespaces import SWITCH

CUT_SECONDS_MAX = 15.0
"""Longer than a lease: a master that is cut off for so long has to stand still."""

SLOW_BITS_PER_SECOND = (64_000, 256_000)
SLOW_BURST_BYTES = 4_000
SLOW_SECONDS_MAX = 3.0
"""How long a packet waits on a slow line before it is dropped: this is the delay that there is.
(The kernel's own emulator of delays, netem, is not to be had everywhere.)"""

INPUT = ("inet", "chaos", "input")
"""A chain of a node's packet filter."""

PROMOTE_SECONDS_MAX = 120.0

FILLER_BYTES = (16 * 1024 * 1024, 64 * 1024, 4096)
"""Taken at once, while there is room for it: in the end not even one block is left."""

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
class GuestKilled:
    """A guest's process is killed."""

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
class Slow:
    """What a node sends waits in line for a slow cable."""

    node: str
    bits_per_second: int
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


Lasting = Frozen | CutOff | Filtered | Slow | DiskFull | NodeLost | MasterLost
Disaster = DaemonKilled | JobKilled | GuestKilled | Lasting


@frozen
class Scene:
    """Where disasters happen, and what has died in them for good."""

    cluster: DevCluster
    dead_guests: set[str] = field(factory=set)
    """The names of the instances whose QEMU processes were killed: no daemon starts them again."""

    def kill(self, process: FoundProcess) -> None:
        """Kill a process; it may have ended just now."""
        if is_guest(process):
            self.dead_guests.add(name_of(process))
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


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
            (2.0, Slow(node, random.choice(SLOW_BITS_PER_SECOND), cut_seconds)),
            (1.0, DiskFull(seconds)),
        ]
    if layout.hypervisor == "kvm":
        disasters.append((2.0, GuestKilled(random.random())))
    choices = [disaster for _, disaster in disasters]
    return random.choices(choices, [weight for weight, _ in disasters])[0]


def strike(scene: Scene, disaster: Disaster, wait: Wait) -> None:
    """Have it happen, and end it."""
    cluster = scene.cluster
    match disaster:
        case DaemonKilled(node, program):
            with suppress(LookupError, ProcessLookupError):
                os.kill(cluster.pid(program, node), signal.SIGKILL)
        case JobKilled(choice):
            _kill_one(scene, is_job, choice)
        case GuestKilled(choice):
            _kill_one(scene, is_guest, choice)
        case _:
            with _happening(scene, disaster):
                wait(disaster.seconds)


def _happening(scene: Scene, disaster: Lasting) -> AbstractContextManager[None]:
    cluster = scene.cluster
    match disaster:
        case Frozen(node, program):
            return _frozen(cluster, node, program)
        case CutOff(node):
            return _unplugged(cluster, node)
        case Filtered(node, lost_percent):
            return _filtered(cluster, node, lost_percent)
        case Slow(node, bits_per_second):
            return _slowed(cluster, node, bits_per_second)
        case DiskFull():
            return _filled(cluster.folder.parent / "filler")
        case NodeLost(node):
            return _lost(scene, node)
        case MasterLost(successor):
            return _replaced(scene, successor)
        case _:
            assert_never(disaster)


def _kill_one(scene: Scene, wanted: Callable[[FoundProcess], bool], choice: float) -> None:
    """Kill one of the cluster's processes that are of a kind."""
    running = [process for process in processes_of(scene.cluster.folder) if wanted(process)]
    if running:
        scene.kill(sorted(running, key=lambda p: p.pid)[int(choice * len(running))])


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
def _slowed(cluster: DevCluster, node: str, bits_per_second: int) -> Iterator[None]:
    """Let a node's packets through one after the other, as slowly as an old modem."""
    layout = cluster.layout

    def tc(action: str, *line: str) -> None:
        command = ["tc", "qdisc", action, "dev", "eth0", "root", *line]
        subprocess.run(entered(layout, layout.node(node), command), check=True)

    limit = ("latency", f"{SLOW_SECONDS_MAX}s")
    tc("add", "tbf", "rate", f"{bits_per_second}bit", "burst", f"{SLOW_BURST_BYTES}", *limit)
    try:
        yield
    finally:
        tc("del")


@contextmanager
def _filled(filler: Path) -> Iterator[None]:
    """Take all room that is left, for some time."""
    with filler.open("wb") as file:
        for size in FILLER_BYTES:
            with suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def _lost(scene: Scene, node: str) -> Iterator[None]:
    """Kill every process of a node; its daemons are not started again until it is over."""
    layout = scene.cluster.layout
    where = layout.node(node)

    async def stop(supervisor: Supervisor) -> None:
        known = [each.program for each in await supervisor.status() if each.node == where.name]
        await supervisor.stop(where.name, tuple(known))

    async def start(supervisor: Supervisor) -> None:
        await supervisor.start(where.name, layout.programs(where))

    _kill_all(scene, str(where.root))
    asked(layout, stop)
    _kill_all(scene, str(where.root))  # what was started again in between
    try:
        yield
    finally:
        asked(layout, start)


def _kill_all(scene: Scene, root: str) -> None:
    for process in processes_of(scene.cluster.folder):
        if process.root == root:
            scene.kill(process)


@contextmanager
def _replaced(scene: Scene, successor: str) -> Iterator[None]:
    """Lose the master node, and have another one promoted, before it comes back.

    Raises:
        CommandFailed: no node can be the master.
    """
    cluster = scene.cluster
    old = cluster.layout.master.short_name
    others = [node.short_name for node in cluster.layout.nodes if node.short_name != old]
    with _lost(scene, old):
        _promote(cluster, sorted(others, key=lambda name: name != successor))
        yield


def _promote(cluster: DevCluster, nodes: list[str]) -> None:
    """Make the first node the master that can be: the operator may just have drained one.

    A person tries again where nodes do not answer in time, as on a machine that has much to do.

    Raises:
        CommandFailed: it was refused for longer than anybody tries.
    """
    deadline = time.monotonic() + PROMOTE_SECONDS_MAX
    for node in itertools.cycle(nodes):
        ended = cluster.execute("gnt-cluster", "master-failover", node=node)
        if ended.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise CommandFailed(f"no failover to {node}:\n{ended.stdout}\n{ended.stderr}")
