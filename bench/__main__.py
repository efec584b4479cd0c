"""Measure: ``python -m bench [SECTION...] [--name NAME]``; ``make bench`` measures everything.

Everything runs on development clusters with the fake hypervisor and real files: one of one node,
then one of three. The figures are printed and kept in ``bench/results``.
"""

from __future__ import annotations

import argparse
import compileall
import json
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
from bench import (
    archive,
    changes,
    commands,
    failover,
    instances,
    jobs,
    locks,
    memory,
    queries,
    scale,
    waiting,
)
from bench.figures import Section, machine, rendered
from bench.yardsticks import yardsticks
from tests.cluster.development import DevCluster, down, up

REPOSITORY: Final = Path(__file__).parents[1]
SOURCES: Final = tuple(REPOSITORY / name for name in ("lib", "protocols", "daemons"))
RESULTS: Final = Path(__file__).parent / "results"

Measure = Callable[[DevCluster], Section | tuple[Section, ...]]

MACHINE: Final = "machine"
"""The one section that needs no cluster."""

ON_ONE_NODE: Final[dict[str, Measure]] = {
    "latency": partial(jobs.latency, with_target=True),
    "rate": partial(jobs.rate, with_target=True),
    "memory": memory.resident,
    "waiting": waiting.clients,
    "flushes": jobs.flushes,
    "instances": instances.one_by_one,
    "instances-parallel": instances.in_parallel,
    "commands": commands.listing,
    "changes": changes.growth,
    "queries": queries.growth,
    "archive": archive.history,
    "crowd": jobs.crowd,
    "locks": locks.requests,
    "scale": scale.scale,
}
"""What is measured on the cluster of one node, in this order; each leaves no instances behind."""

ON_THREE_NODES: Final[dict[str, Measure]] = {
    "failover": failover.failover,
    "latency-3": partial(jobs.latency, with_target=False),
    "wconfd-3": scale.replicated,
    "rate-3": partial(jobs.rate, with_target=False),
}
"""The first failover is to be one of nodes that have just joined."""

NAMES: Final = (MACHINE, *ON_ONE_NODE, *ON_THREE_NODES)


@contextmanager
def running(folder: Path, nodes: int) -> Iterator[DevCluster]:
    """Run a development cluster."""
    try:
        yield up(folder, "--nodes", str(nodes), "--hypervisor", "fake")
    finally:
        down(folder)


def sections(folder: Path, wanted: Collection[str], seconds: dict[str, float]) -> Iterator[Section]:
    """Measure what is wanted, one section after the other, and note how long each takes."""
    if MACHINE in wanted:
        yield yardsticks(folder)
    for nodes, measures in ((1, ON_ONE_NODE), (3, ON_THREE_NODES)):
        chosen = {name: measure for name, measure in measures.items() if name in wanted}
        if not chosen:
            continue
        with running(folder / f"nodes{nodes}", nodes) as cluster:
            for name, measure in chosen.items():
                began = time.monotonic()
                measured = measure(cluster)
                seconds[name] = time.monotonic() - began
                yield from (measured,) if isinstance(measured, Section) else measured


def compile_modules() -> None:
    """Compile all modules once, as every installation does: what starts does not do it again."""
    for root in SOURCES:
        compileall.compile_dir(root, quiet=1)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Gantry.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--name", default="latest", help="the results' file name, without its end")
    options = parser.parse_args()
    unknown = sorted({*options.sections} - {*NAMES})
    if unknown:
        sys.exit(f"there is no section {', '.join(unknown)}; there are {', '.join(NAMES)}")
    where, began = machine(), time.monotonic()
    compile_modules()
    measured: list[Section] = []
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as folder:
        for section in sections(Path(folder), options.sections or NAMES, seconds):
            measured.append(section)
            print(rendered([section], where).partition("\n\n## ")[2], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.md").write_text(rendered(measured, where))
    kept = {
        "machine": where,
        "sections": [attrs.asdict(each) for each in measured],
        "seconds": seconds,
    }
    (RESULTS / f"{options.name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    missed = [each.name for section in measured for each in section.figures if not each.met]
    slowest = sorted(seconds.items(), key=lambda each: -each[1])
    print("; ".join(f"{name} {took:.0f} s" for name, took in slowest))
    print(f"{time.monotonic() - began:.0f} s; missed targets: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
