"""What happens to a real cluster, and how it is over again; drawn from a seed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import assert_never

from attrs import frozen
from tests.cluster.development import DevCluster, asked

from gantry.cli.devcluster.control import Supervisor
from gantry.cli.devcluster.entering import holder_of
from gantry.cli.devcluster.found import processes_of
from gantry.cli.devcluster.layout import ALL_NODES, MASTER
from gantry.cli.devcluster.namespaces import SWITCH

CUT_SECONDS_MAX = 15.0
"""Longer than a lease: a master that is cut off for so long has to stand still."""

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
class NodeLost:
    """Everything on a node dies; some time later its daemons are started again."""

    node: str
    seconds: float


@frozen
class MasterLost:
    """The master node dies, somebody promotes another, and the old one comes back."""

    successor: str
    seconds: float


Disaster = DaemonKilled | JobKilled | Frozen | CutOff | NodeLost | MasterLost


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
        (1.5, MasterLost(other, seconds)),
    ]
    if layout.net == "netns":
        disasters.append((2.0, CutOff(node, random.uniform(0.5, CUT_SECONDS_MAX))))
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
        case Frozen(node, program, seconds):
            _freeze(cluster, node, program, lambda: wait(seconds))
        case CutOff(node, seconds):
            _plug(cluster, node, "down")
            try:
                wait(seconds)
            finally:
                _plug(cluster, node, "up")
        case NodeLost(node, seconds):
            lose(cluster, node)
            try:
                wait(seconds)
            finally:
                bring_back(cluster, node)
        case MasterLost(successor, seconds):
            old = cluster.layout.master.short_name
            lose(cluster, old)
            try:
                cluster.run("gnt-cluster", "master-failover", node=successor)
                wait(seconds)
            finally:
                bring_back(cluster, old)
        case _:
            assert_never(disaster)


def _kill_job(cluster: DevCluster, choice: float) -> None:
    running = [p.pid for p in processes_of(cluster.folder) if p.command.startswith("gantry-job")]
    if running:
        with suppress(ProcessLookupError):
            os.kill(sorted(running)[int(choice * len(running))], signal.SIGKILL)


def _freeze(cluster: DevCluster, node: str, program: str, wait: Callable[[], None]) -> None:
    with suppress(LookupError, ProcessLookupError):
        pid = cluster.pid(program, node)
        os.kill(pid, signal.SIGSTOP)
        try:
            wait()
        finally:
            os.kill(pid, signal.SIGCONT)


def _plug(cluster: DevCluster, node: str, state: str) -> None:
    """Pull a node's cable out of the switch, or put it back."""
    layout = cluster.layout
    port = f"p{layout.nodes.index(layout.node(node)) + 1}"
    switch = ["nsenter", "-t", str(holder_of(layout, SWITCH)), "-n", "--"]
    subprocess.run([*switch, "ip", "link", "set", port, state], check=True)


def lose(cluster: DevCluster, node: str) -> None:
    """Kill every process of a node, and keep its daemons from being started again."""
    where = cluster.layout.node(node)

    async def stop(supervisor: Supervisor) -> None:
        known = [each.program for each in await supervisor.status() if each.node == where.name]
        await supervisor.stop(where.name, tuple(known))

    _kill_all(cluster, str(where.root))
    asked(cluster.layout, stop)
    _kill_all(cluster, str(where.root))  # what was started again in between


def _kill_all(cluster: DevCluster, root: str) -> None:
    for process in processes_of(cluster.folder):
        if process.root == root:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


def bring_back(cluster: DevCluster, node: str) -> None:
    """Start a node's daemons again; master daemons only if it is still the master."""
    layout = cluster.layout
    where = layout.node(node)

    async def start(supervisor: Supervisor) -> None:
        await supervisor.start(where.name, layout.programs(where))

    asked(layout, start)
