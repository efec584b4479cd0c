"""What a change of the configuration costs, in small clusters and in large ones."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Final

from bench.accounting import spent, usage_by_program
from bench.figures import Figure, Section
from bench.jobs import luxi, run_job_ms, settle
from bench.population import populate
from tests.cluster.development import DevCluster

from gantry.cli.luxi import Opcode

POPULATIONS: Final = (1, 1000, 5000)
CHANGES: Final = 40
WARM_UP: Final = 5
REST_SECONDS: Final = 3.0
"""After a start, configuration and derived files are written in the background."""


def growth(cluster: DevCluster) -> Section:
    """Measure a change (a tag of the cluster) beside 1 to 5000 instances."""
    figures = [figure for instances in POPULATIONS for figure in _at(cluster, instances)]
    return Section(
        "A change of the configuration",
        f"A job that adds a tag to the cluster, the median of {CHANGES}, beside instances that "
        "were written into the configuration before. What is appended to the journal is all that "
        "a change waits for; the processor time has the rewriting of `config.data` in it, which "
        "happens at most for a twentieth of the time, in the background.",
        tuple(figures),
    )


def _at(cluster: DevCluster, instances: int) -> Iterator[Figure]:
    populate(cluster, instances)
    journal = cluster.master.root / "var/lib/ganeti/config.log"
    with luxi(cluster) as client:
        for number in range(WARM_UP):
            run_job_ms(client, _tag(f"warm-{instances}-{number}"))
        time.sleep(REST_SECONDS)
        settle(cluster)
        before, length = usage_by_program(cluster.folder), journal.stat().st_size
        times = [run_job_ms(client, _tag(f"tag-{instances}-{number}")) for number in range(CHANGES)]
        settle(cluster)
        appended = journal.stat().st_size - length
        used = spent(before, usage_by_program(cluster.folder))
    yield Figure(
        f"{instances} instances: from submission to success", statistics.median(times), "ms"
    )
    yield Figure(f"{instances} instances: appended to the journal", appended / CHANGES, "bytes")
    for program in ("gantry-wconfd", "gantry-luxid"):
        cpu = used[program].cpu_seconds * 1000 / CHANGES
        yield Figure(f"{instances} instances: processor time of {program}", cpu, "ms")


def _tag(tag: str) -> Opcode:
    return {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "name": None, "tags": [tag], "reason": []}
