"""How much memory the daemons and a job process take."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.accounting import memory, programs
from bench.figures import Figure, Section
from bench.jobs import luxi, settle, submit
from tests.cluster.development import DevCluster

from gantry.cli.luxi import Opcode

LONG: Opcode = {"OP_ID": "OP_TEST_DELAY", "duration": 600.0, "reason": []}
REST_SECONDS = 1.0
JOB_MIB_TARGET = 8.0


def resident(cluster: DevCluster) -> Section:
    """Read the memory of every daemon, and of a job process while it waits."""
    with luxi(cluster) as client:
        job = submit(client, LONG)
        while not any(program == "gantry-job" for program, _ in programs(cluster.folder)):
            time.sleep(0.05)
        time.sleep(REST_SECONDS)
        figures = tuple(_memories(cluster))
        client.call("CancelJob", job, False)  # noqa: FBT003 - LUXI's arguments are positional
    settle(cluster)
    return Section(
        "Memory",
        "Of each program after the runs above: resident; its share where pages are shared with "
        "other processes (PSS); and what is its own alone.",
        figures,
    )


def _memories(cluster: DevCluster) -> Iterator[Figure]:
    for program, pid in sorted(programs(cluster.folder)):
        found = memory(pid)
        yield Figure(f"{program}, resident", found.rss_mib, "MiB")
        yield Figure(f"{program}, its share", found.pss_mib, "MiB")
        target = JOB_MIB_TARGET if program == "gantry-job" else None
        yield Figure(f"{program}, its own", found.private_mib, "MiB", below=target)
