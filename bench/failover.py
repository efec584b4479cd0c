"""How long a failover takes, from the command to the first acknowledged change; its phases."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from attrs import frozen
from bench.figures import Figure, Section
from bench.jobs import luxi, run_job_ms
from tests.cluster.development import DevCluster

from gantry.cli.devcluster.layout import ALL_NODES, DevNode
from gantry.cli.luxi import Opcode

ROUNDS: Final = 5

LIVING_SECONDS_TARGET: Final = 3.0
DEAD_SECONDS_TARGET: Final = 20.0
"""Fifteen of them are the wait for the old master's lease."""

PHASES: Final[Sequence[tuple[str, str, str]]] = (
    ("promises", "node-daemon", "epoch promised"),
    ("the old master's daemons stop", "node-daemon", "master daemons stopped"),
    ("WConfD leads", "wconf-daemon", "reign begun"),
    ("LuxiD serves", "luxi-daemon", "ready"),
    ("all daemons are ready", "node-daemon", "master daemons started"),
)
"""What happens on the way: name, log and event. Each ends with the last such event of a run."""


@frozen
class Run:
    """One failover."""

    seconds: float
    phases: Mapping[str, float]
    """How long each phase took, in seconds; those that begin with the command and end with it."""


def failover(cluster: DevCluster) -> Section:
    """Measure failovers from living masters, and one from a dead one."""
    return Section(
        f"Failover, {len(cluster.layout.nodes)} nodes",
        "From the start of `gnt-cluster master-failover` to the end of a job that adds a tag, "
        "which a client asks for as soon as the command is done. The first one comes right after "
        f"the nodes have joined; then the median of {ROUNDS}, and of each of their phases, by the "
        "daemons' logs. All daemons of the dead master were killed.",
        tuple(_figures(cluster)),
    )


def _figures(cluster: DevCluster) -> Iterator[Figure]:
    first = _failed_over(cluster, "first")
    yield Figure("the first one", first.seconds, "s", below=LIVING_SECONDS_TARGET)
    living = [_failed_over(cluster, f"living-{number}") for number in range(ROUNDS)]
    median = statistics.median(run.seconds for run in living)
    yield Figure("the master lives", median, "s", below=LIVING_SECONDS_TARGET)
    for phase in living[0].phases:
        yield Figure(f"- {phase}", statistics.median(run.phases[phase] for run in living), "s")
    dead = cluster.master.short_name
    cluster.kill_all(dead)
    seconds = _failed_over(cluster, "dead").seconds
    yield Figure("the master is dead", seconds, "s", below=DEAD_SECONDS_TARGET)
    for program in ALL_NODES:
        cluster.start(program, node=dead)


def _failed_over(cluster: DevCluster, tag: str) -> Run:
    old = cluster.master
    nodes = cluster.layout.nodes
    successor = nodes[(nodes.index(old) + 1) % len(nodes)]
    change: Opcode = {
        "OP_ID": "OP_TAGS_SET",
        "kind": "cluster",
        "name": None,
        "tags": [f"failover-{tag}"],
        "reason": [],
    }
    began, moment = time.perf_counter(), time.time()
    cluster.run("gnt-cluster", "master-failover", node=successor.short_name)
    commanded = time.time()
    with luxi(cluster) as client:
        run_job_ms(client, change)
    seconds = time.perf_counter() - began
    ends = {name: _last(nodes, log, event, moment) for name, log, event in PHASES}
    ends["the command ends"] = commanded
    ends["the first job"] = moment + seconds
    return Run(seconds, _lengths(ends, moment))


def _lengths(ends: Mapping[str, float], began: float) -> dict[str, float]:
    """Return how long after the one before it each phase ended; some end at the same time."""
    lengths = {}
    for name, end in ends.items():
        lengths[name], began = max(0.0, end - began), max(began, end)
    return lengths


def _last(nodes: Sequence[DevNode], log: str, event: str, after: float) -> float:
    """Return when an event was logged last on any node; ``after`` if it was not since then."""
    last = after
    for node in nodes:
        path = node.root / f"var/log/ganeti/{log}.log"
        lines = path.read_text().splitlines() if path.exists() else []
        for line in map(json.loads, lines):
            if line["event"] == event:
                last = max(last, datetime.fromisoformat(line["time"]).timestamp())
    return last
