"""How long a failover takes, from the command to the first acknowledged change."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Final

from bench.figures import Figure, Section
from bench.jobs import luxi, run_job_ms
from tests.cluster.development import DevCluster

from gantry.cli.devcluster.layout import ALL_NODES
from gantry.cli.luxi import Opcode

ROUNDS: Final = 3

LIVING_SECONDS_TARGET: Final = 3.0
DEAD_SECONDS_TARGET: Final = 20.0
"""Fifteen of them are the wait for the old master's lease."""


def failover(cluster: DevCluster) -> Section:
    """Measure failovers from living masters, and one from a dead one."""
    return Section(
        f"Failover, {len(cluster.layout.nodes)} nodes",
        "From the start of `gnt-cluster master-failover` to the end of a job that adds a tag, "
        "which a client asks for as soon as the command is done. The median of "
        f"{ROUNDS} for a living master; all daemons of the dead one were killed.",
        tuple(_figures(cluster)),
    )


def _figures(cluster: DevCluster) -> Iterator[Figure]:
    living = [_failed_over(cluster, f"living-{number}") for number in range(ROUNDS)]
    yield Figure("the master lives", statistics.median(living), "s", below=LIVING_SECONDS_TARGET)
    dead = cluster.master.short_name
    cluster.kill_all(dead)
    yield Figure(
        "the master is dead", _failed_over(cluster, "dead"), "s", below=DEAD_SECONDS_TARGET
    )
    for program in ALL_NODES:
        cluster.start(program, node=dead)


def _failed_over(cluster: DevCluster, tag: str) -> float:
    names = [node.short_name for node in cluster.layout.nodes]
    successor = names[(names.index(cluster.master.short_name) + 1) % len(names)]
    change: Opcode = {
        "OP_ID": "OP_TAGS_SET",
        "kind": "cluster",
        "name": None,
        "tags": [f"failover-{tag}"],
        "reason": [],
    }
    began = time.perf_counter()
    cluster.run("gnt-cluster", "master-failover", node=successor)
    with luxi(cluster) as client:
        run_job_ms(client, change)
    return time.perf_counter() - began
