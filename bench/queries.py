"""What a query costs LuxiD, in small clusters and in large ones."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Final, cast

from bench.accounting import PROC, programs
from bench.figures import Figure, Section
from bench.jobs import luxi
from bench.population import populate
from tests.cluster.development import DevCluster

from gantry.cli.luxi import LuxiClient
from gantry.core.query.instances import INSTANCES

POPULATIONS: Final = (1, 1000, 5000)
RUNS: Final = 7
"""Of processor time, which hardly differs from run to run; with all fields of 5000 instances each
takes seconds."""
WARM_UP: Final = 2
WAIT_SECONDS: Final = 60.0

NAMES: Final = ("name",)
CONFIGURATION: Final = (
    "name", "uuid", "os", "pnode", "snodes", "hypervisor", "disk_template", "admin_state",
    "be/maxmem", "be/vcpus", "disk.sizes", "nic.macs", "nic.ips", "nic.bridges", "tags", "ctime",
)  # fmt: skip
"""What lists of instances show, and no node has to be asked for."""
EVERYTHING: Final = tuple(
    each.name for each in INSTANCES.all_fields() if each.source == "configuration"
)

QUERIES: Final = (
    ("names", NAMES, 4.0),
    (f"{len(CONFIGURATION)} configuration fields", CONFIGURATION, 20.0),
    (f"all {len(EVERYTHING)} fields that need no node", EVERYTHING, 100.0),
)
"""What is asked, and the target in milliseconds at :data:`TARGETED` instances."""
TARGETED: Final = 1000


def growth(cluster: DevCluster) -> Section:
    """Measure queries of instances beside 1 to 5000 of them."""
    figures = [figure for instances in POPULATIONS for figure in _at(cluster, instances)]
    return Section(
        "Queries of instances",
        f"LuxiD's processor time for LUXI's Query on a connection that is kept, the median of "
        f"{RUNS}: from reading the request to the last byte of the answer. Beside it, how long "
        "another client waits for the answer to a question that costs nothing while all fields "
        "are rendered; that time has what the machine does otherwise in it.",
        tuple(figures),
    )


def _at(cluster: DevCluster, instances: int) -> Iterator[Figure]:
    populate(cluster, instances)
    daemon = dict(programs(cluster.folder))["gantry-luxid"]
    with luxi(cluster) as client:
        _wait_until_known(client, instances)
        for name, fields, target in QUERIES:
            times = [_cpu_ms(client, daemon, fields) for _ in range(WARM_UP + RUNS)][WARM_UP:]
            below = target if instances == TARGETED else None
            yield Figure(f"{instances} instances: {name}", statistics.median(times), "ms", below)
        waits = _waits_ms(cluster)
    yield Figure(
        f"{instances} instances: another client waits, median", waits[len(waits) // 2], "ms"
    )
    yield Figure(f"{instances} instances: another client waits, longest", waits[-1], "ms")


def _ask(client: LuxiClient, fields: Sequence[str]) -> list[object]:
    answer = client.call("Query", "instance", list(fields), None)
    return cast("dict[str, list[object]]", answer)["data"]


def _wait_until_known(client: LuxiClient, instances: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while len(_ask(client, NAMES)) != instances:
        if time.monotonic() > deadline:
            raise TimeoutError(f"LuxiD does not know {instances} instances")
        time.sleep(0.1)


def _cpu_ms(client: LuxiClient, daemon: int, fields: Sequence[str]) -> float:
    before = _nanoseconds(daemon)
    _ask(client, fields)
    return (_nanoseconds(daemon) - before) / 1e6


def _nanoseconds(daemon: int) -> int:
    """Read what all threads of a process have run so far (proc(5), schedstat)."""
    threads: Iterator[Path] = (PROC / str(daemon) / "task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads)


def _waits_ms(cluster: DevCluster) -> list[float]:
    """Ask small questions while a large one is answered; return how long each took, sorted."""
    # A process of its own: a thread that parses the large answer would hold this one up.
    asking = get_context("fork").Process(target=_ask_all, args=(cluster,))
    waits: list[float] = []
    with luxi(cluster) as client:
        asking.start()
        while asking.is_alive():
            began = time.perf_counter()
            client.call("QueryConfigValues", ["cluster_name"])
            waits.append((time.perf_counter() - began) * 1000)
    asking.join()
    return sorted(waits)


def _ask_all(cluster: DevCluster) -> None:
    with luxi(cluster) as client:
        _ask(client, EVERYTHING)
