"""Instances with a hypervisor that only pretends: what the way through all daemons costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Final

from bench.accounting import Usage, spent, usage_by_program
from bench.figures import Figure, Section
from bench.jobs import luxi, run_job_ms, run_jobs_seconds, settle
from tests.cluster.development import DevCluster

from gantry.cli.luxi import Opcode

ROUNDS: Final = 20
WARM_UP: Final = 2
AT_ONCE: Final = 50

MS_TARGETS: Final = {"add": 40.0, "start": 43.0, "stop": 77.0, "remove": 43.0}
"""A tenth of what Ganeti takes."""

OP_IDS: Final = {
    "start": "OP_INSTANCE_STARTUP",
    "stop": "OP_INSTANCE_SHUTDOWN",
    "remove": "OP_INSTANCE_REMOVE",
}

ADDS_TARGET: Final = 30.0
"""Adds in a second; Ganeti reaches 1.7."""


def one_by_one(cluster: DevCluster) -> Section:
    """Measure an instance's life, step by step."""
    times: dict[str, list[float]] = {step: [] for step in MS_TARGETS}
    costs: dict[str, float] = {}
    names = [f"single{number}.gantry.test" for number in range(ROUNDS + WARM_UP)]
    with luxi(cluster) as client:
        for step in MS_TARGETS:
            settle(cluster)
            before = usage_by_program(cluster.folder)
            times[step] = [run_job_ms(client, _opcode(step, name, cluster)) for name in names]
            settle(cluster)
            used = sum(spent(before, usage_by_program(cluster.folder)).values(), Usage())
            costs[step] = used.cpu_seconds * 1000 / len(names)
    return Section(
        "One instance at a time (1 node)",
        f"Diskless instances of the fake hypervisor, without an operating system: the median of "
        f"{ROUNDS} jobs, each submitted when the one before has succeeded.",
        tuple(_figures(times, costs)),
    )


def _figures(times: dict[str, list[float]], costs: dict[str, float]) -> Iterator[Figure]:
    for step, target in MS_TARGETS.items():
        yield Figure(step, statistics.median(times[step][WARM_UP:]), "ms", below=target)
        yield Figure(f"{step}: processor time", costs[step], "ms")


def in_parallel(cluster: DevCluster) -> Section:
    """Measure many instances that are added at once; they are removed again."""
    names = [f"many{number}.gantry.test" for number in range(AT_ONCE)]
    with luxi(cluster) as client:
        seconds = {
            step: run_jobs_seconds(client, [[_opcode(step, name, cluster)] for name in names])
            for step in ("add", "remove")
        }
    settle(cluster)
    return Section(
        f"{AT_ONCE} instances at once (1 node)",
        "SubmitManyJobs with one instance each, then waiting until the last one has succeeded.",
        (
            Figure("adds in a second", AT_ONCE / seconds["add"], "", above=ADDS_TARGET),
            Figure("removals in a second", AT_ONCE / seconds["remove"], ""),
        ),
    )


def _opcode(step: str, name: str, cluster: DevCluster) -> Opcode:
    if step != "add":
        return {"OP_ID": OP_IDS[step], "instance_name": name, "reason": []}
    return {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": name,
        "mode": "create",
        "pnode": cluster.master.name,
        "disk_template": "diskless",
        "disks": [],
        "nics": [{}],
        "hypervisor": "fake",
        "os_type": "busybox+default",
        "no_install": True,
        "start": False,
        "ip_check": False,
        "name_check": False,
        "reason": [],
    }
