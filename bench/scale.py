"""One run over small and large configurations: WConfD and RConfD beside 1 to 20,000 instances."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from bench import confd, population, wconfd
from bench.accounting import memory, processor_seconds, wait_until_idle
from bench.figures import Figure, Section
from tests.cluster.development import DevCluster

POPULATIONS: Final = (1, 1000, 20_000)
REPLICATED_POPULATIONS: Final = (1, 1000, 5000)
"""On three nodes, beside the others; the largest would take longer than all else together."""

LATENCY_RATIO_TARGET: Final = 1.3
CROWD_RATE_TARGET: Final = 1000.0
START_SECONDS_TARGET: Final = 3.0

PROGRAMS: Final = ("gantry-wconfd", "gantry-rconfd", "gantry-luxid")


def scale(cluster: DevCluster) -> tuple[Section, ...]:
    """Measure everything at each size."""
    starts: list[Figure] = []
    costs: dict[int, wconfd.ChangeCosts] = {}
    questions: list[Figure] = []
    for instances in POPULATIONS:
        population.populate(cluster, instances)
        starts += _start(cluster, instances)
        wait_until_idle(cluster.folder)
        costs[instances] = wconfd.run(cluster, wconfd.change_costs)
        questions += confd.rates(cluster, instances)
    population.populate(cluster, 1)
    return (
        Section(
            "WConfD started",
            "From asking for its start until it says that it is ready, the interpreter's own start "
            "included; then the resident memory of those who hold the configuration.",
            tuple(starts),
        ),
        Section(
            "A change straight at WConfD's socket",
            "A tag of one instance, changed and acknowledged: one change after the other, the "
            f"same while config.data is rewritten all the time, then {wconfd.CLIENTS} clients at "
            "once. What they wait for is the flush and WConfD.",
            tuple(_shown(costs, with_targets=True)),
        ),
        Section(
            "RConfD",
            "Signed questions, prepared beforehand, many of them in flight. The rate is that of "
            "one processor: questions for each second of processor time that RConfD used, the "
            "kernel's part of receiving and sending included.",
            tuple(questions),
        ),
    )


def _start(cluster: DevCluster, instances: int) -> Iterator[Figure]:
    cluster.stop("gantry-wconfd")
    began = time.perf_counter()
    cluster.start("gantry-wconfd")
    seconds = time.perf_counter() - began
    cpu = processor_seconds(cluster.pid("gantry-wconfd"))
    below = START_SECONDS_TARGET if instances == max(POPULATIONS) else None
    yield Figure(f"{instances} instances: until ready", seconds, "s", below=below)
    yield Figure(f"{instances} instances: processor time of that", cpu, "s")
    wait_until_idle(cluster.folder)
    for program in PROGRAMS:
        resident = memory(cluster.pid(program)).rss_mib
        yield Figure(f"{instances} instances: memory of {program}", resident, "MiB")


def _shown(costs: dict[int, wconfd.ChangeCosts], *, with_targets: bool) -> Iterator[Figure]:
    for instances, each in costs.items():
        rate_target = CROWD_RATE_TARGET if with_targets else None
        yield from _costs(f"{instances} instances", each, rate_target)
    small, large = costs[min(costs)], costs[max(costs)]
    yield Figure(
        f"one change: median at {max(costs)} instances divided by that at {min(costs)}",
        large.median_ms / small.median_ms,
        "",
        below=LATENCY_RATIO_TARGET if with_targets else None,
    )


def _costs(where: str, costs: wconfd.ChangeCosts, rate_target: float | None) -> Iterator[Figure]:
    yield Figure(f"{where}: one change, median", costs.median_ms, "ms")
    yield Figure(f"{where}: one change, 99 % below", costs.p99_ms, "ms")
    yield Figure(
        f"{where}: one change during a rewrite, 99 % below", costs.p99_during_rewrites_ms, "ms"
    )
    yield Figure(f"{where}: changes of one client", costs.changes_per_second, "/s")
    yield Figure(
        f"{where}: changes of {wconfd.CLIENTS} clients",
        costs.crowd_changes_per_second,
        "/s",
        above=rate_target,
    )
    cpu_ms = costs.cpu_ms_of_crowd_change
    yield Figure(f"{where}: processor time of WConfD for each of those", cpu_ms, "ms")
    yield Figure(f"{where}: appended to the journal for a change", costs.journal_bytes, "bytes")
    yield Figure(f"{where}: sent to other nodes for a change", costs.network_bytes, "bytes")


def replicated(cluster: DevCluster) -> Section:
    """Measure changes that a majority of three nodes has to have."""
    costs: dict[int, wconfd.ChangeCosts] = {}
    for instances in REPLICATED_POPULATIONS:
        population.populate(cluster, instances)
        wait_until_idle(cluster.folder)
        costs[instances] = wconfd.run(cluster, wconfd.change_costs)
    population.populate(cluster, 1)
    cluster.run("gnt-instance", "remove", "-f", population.FIRST)
    return Section(
        "A change straight at WConfD's socket (3 nodes)",
        "As with one node; a change counts when two of the three have it on their disks. What is "
        "sent to other nodes are the changes: a snapshot is sent before, when they begin.",
        tuple(_shown(costs, with_targets=False)),
    )
