"""Measure: ``python -m bench [--name NAME]``; ``make bench`` runs it.

Everything runs on development clusters with the fake hypervisor and real files: one of one node,
then one of three. The figures are printed and kept in ``bench/results``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
from bench import changes, commands, jobs, memory, population
from bench.figures import Section, machine, rendered
from bench.yardsticks import yardsticks
from tests.cluster.development import DevCluster, down, up

RESULTS: Final = Path(__file__).parent / "results"


@contextmanager
def running(folder: Path, nodes: int) -> Iterator[DevCluster]:
    """Run a development cluster."""
    try:
        yield up(folder, "--nodes", str(nodes), "--hypervisor", "fake")
    finally:
        down(folder)


def sections(folder: Path) -> Iterator[Section]:
    """Measure everything, one section after the other."""
    yield yardsticks(folder)
    with running(folder / "one", nodes=1) as cluster:
        yield jobs.latency(cluster, with_target=True)
        yield jobs.rate(cluster, with_target=True)
        yield memory.resident(cluster)
        yield jobs.flushes(cluster)
        population.add_first(cluster)
        yield commands.listing(cluster)
        yield changes.growth(cluster)
    with running(folder / "three", nodes=3) as cluster:
        yield jobs.latency(cluster, with_target=False)
        yield jobs.rate(cluster, with_target=False)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Gantry.")
    parser.add_argument("--name", default="latest", help="the results' file name, without its end")
    name = parser.parse_args().name
    where, began = machine(), time.monotonic()
    measured: list[Section] = []
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as folder:
        for section in sections(Path(folder)):
            measured.append(section)
            print(rendered([section], where).partition("\n\n## ")[2], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(rendered(measured, where))
    kept = {"machine": where, "sections": [attrs.asdict(each) for each in measured]}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    missed = [each.name for section in measured for each in section.figures if not each.met]
    print(f"{time.monotonic() - began:.0f} s; missed targets: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
