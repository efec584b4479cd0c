"""``make simulate-points``: crash at every point of steps and journals, until none is left over.

Each run aims at some of the points that no crash has hit yet, beside what goes wrong in any short
run; what is wrong in the end is printed with the command to see it again. The table of points is
kept in ``bench/results/points.md``, and ``make test`` compares it with the code. Points that are
in it are not tried again unless all are to be tried anew; so a new ``await`` takes one short run.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from unittest.mock import patch

from attrs import define, field
from tests.simulation.points import all_points
from tests.simulation.run import Outcome, simulate
from tests.simulation.scenario import LARGER, SHORT_SECONDS, aimed
from tests.simulation.trails import SITUATIONS
from tests.simulation.unreached import UNREACHED

from gantry.core.replication import leader
from gantry.daemons.luxid import store
from gantry.daemons.noded import key_journal, replica_files, replicas
from gantry.daemons.wconfd import config_saver, lock_store

SEEDS_MAX: Final = 200

AIMS: Final = 24
"""How many crashes are aimed in one run: it has to come to its end between them."""

LOWERED: Final = (
    (key_journal, "COMPACT_BYTES", 4096),
    (replicas, "QUEUE_LOG_BYTES", 16 * 1024),
    (replica_files, "LOG_BYTES_KEPT", 8192),
    (lock_store, "JOURNAL_BYTES_MAX", 4096),
    (config_saver, "JOURNAL_BYTES_KEPT", 4096),
    (store, "COMPACT_BYTES", 16 * 1024),
    (leader, "TAIL_RECORDS", 16),
)
"""Bounds that a short run does not come to."""

RESULTS: Final = Path("bench/results/points.md")


@define
class Survey:
    """How often crashes have hit each point so far."""

    hits: dict[str, int] = field(factory=dict)
    failed: list[int] = field(factory=list)

    @property
    def missed(self) -> tuple[str, ...]:
        """The points that no crash has hit although it can."""
        names = (point.text() for point in all_points())
        return tuple(name for name in names if not self.hits.get(name) and name not in UNREACHED)

    def add(self, outcome: Outcome) -> None:
        """Count a run."""
        for point, count in outcome.points.hit.items():
            self.hits[point.text()] = self.hits.get(point.text(), 0) + count
        if outcome.failures:
            self.failed.append(outcome.scenario.seed)

    def table(self) -> str:
        """Return what is kept."""
        names = [each for each in (point.text() for point in all_points()) if each not in UNREACHED]
        hit = sum(1 for name in names if self.hits.get(name))
        lines = [
            "# Where processes have crashed",
            "",
            f"`make simulate-points`: short seeds of {SHORT_SECONDS:g} simulated seconds with "
            "crashes that are aimed at points of the code.",
            f"{hit} of {len(names)} points were hit; {len(UNREACHED)} more can not be "
            "(`tests/simulation/unreached.py` says why).",
            "",
            "| point | crashes |",
            "|---|---|",
            *(f"| {name} | {self.hits.get(name, 0)} |" for name in names),
        ]
        return "\n".join(lines) + "\n"


def kept() -> dict[str, int]:
    """Return how often each point was hit, as the table has it."""
    if not RESULTS.exists():
        return {}
    rows = [line.strip("| ").split(" | ") for line in RESULTS.read_text().splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def main(argv: Sequence[str]) -> int:
    """Aim until every point was hit."""
    parser = argparse.ArgumentParser(prog="make simulate-points", description=__doc__)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX)
    parser.add_argument("--anew", action="store_true", help="hit again what the table has")
    parser.add_argument("--points", default="", help="aim one run at these, with commas between")
    given = parser.parse_args(argv)
    if given.points:
        return _run(Survey(), given.first_seed, given.points.split(","))
    survey = Survey({} if given.anew else kept())
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        missed = survey.missed
        if not missed:
            break
        _run(survey, seed, random.Random(seed).sample(missed, min(AIMS, len(missed))))
        print(f"seed {seed}: {len(survey.missed)} points are left", flush=True)
        RESULTS.write_text(survey.table())
    print(*survey.missed or ["every point was hit"], sep="\n")
    return 1 if survey.missed or survey.failed else 0


def crashed(seed: int, points: Sequence[str]) -> Outcome:
    """Run a seed with crashes at some points."""
    with ExitStack() as stack:
        for module, name, bound in LOWERED:
            stack.enter_context(patch.object(module, name, bound))
        wanted = [SITUATIONS[point] for point in points if point in SITUATIONS]
        nodes = max((LARGER.get(each, 3) for each in wanted), default=3)
        return simulate(aimed(seed, points, SITUATIONS, nodes))


def _run(survey: Survey, seed: int, points: Sequence[str]) -> int:
    outcome = crashed(seed, points)
    survey.add(outcome)
    if outcome.failures:
        print(f"seed {seed}:", *(text[:400] for text in outcome.failures), sep="\n  ")
        aims = ",".join(points)
        print(f"  again: .venv/bin/python -m tests.simulation.crashes --first-seed {seed} \\")
        print(f"    --points '{aims}'", flush=True)
        path = Path(".simulation") / f"points-{seed}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(outcome.timeline.text() + "\n")
        print(f"  whole timeline: {path}", flush=True)
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
