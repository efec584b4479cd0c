"""``make simulate-mutations``: make one mistake after the other, and see how soon it is found.

Seeds are run until one of them fails; the numbers are kept in ``bench/results/mutations.md``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

from attrs import frozen
from tests.simulation import run as running
from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.scenario import scenario_of

SEEDS_MAX: Final = 200
"""Within so many seeds each mistake has to be caught."""

MINUTES: Final = 3.0
"""Of each seed: as many jobs and faults as in ten, closer together."""

SETTLE_SECONDS: Final = 60.0
"""A mistake is not waited for as long as something that may become right."""

RESULTS: Final = Path("bench/results/mutations.md")


@frozen
class Caught:
    """How a mistake was found."""

    mutation: str
    seeds: int
    """How many it took; 0: it was not."""
    seed: int
    failure: str


def caught(mutation: Mutation, seed: int, minutes: float = MINUTES) -> list[str]:
    """Run a seed with a mistake and return what is wrong."""
    with mutation.made(), patch.object(running, "SETTLE_SECONDS_MAX", SETTLE_SECONDS):
        try:
            return running.simulate(scenario_of(seed, minutes)).failures
        except Exception as error:  # noqa: BLE001 - the cluster could not even be brought up
            return [f"failed: {error!r}"]


def hunt(first: int, most: int, mutation: Mutation) -> Caught:
    """Run seeds until one fails."""
    for count in range(1, most + 1):
        seed = first + count - 1
        failures = caught(mutation, seed)
        if failures:
            return Caught(mutation.name, count, seed, failures[0])
    return Caught(mutation.name, 0, 0, "")


def main(argv: Sequence[str]) -> int:
    """Make every mistake."""
    parser = argparse.ArgumentParser(prog="make simulate-mutations", description=__doc__)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--only", default="", help="part of a mistake's name")
    given = parser.parse_args(argv)
    chosen = [each for each in MUTATIONS if given.only in each.name]
    rows: list[Caught] = []
    with multiprocessing.get_context("fork").Pool(given.jobs, maxtasksperchild=1) as pool:
        work: Callable[[int], Caught] = partial(_numbered, given.first_seed, given.seeds)
        for row in pool.imap(work, [MUTATIONS.index(each) for each in chosen]):
            rows.append(row)
            print(_line(row), flush=True)
    if len(chosen) == len(MUTATIONS):
        RESULTS.write_text(_table(rows, given.seeds))
    return 0 if all(row.seeds for row in rows) else 1


def _numbered(first: int, most: int, number: int) -> Caught:
    return hunt(first, most, MUTATIONS[number])


def _line(row: Caught) -> str:
    if not row.seeds:
        return f"NOT CAUGHT: {row.mutation}"
    return f"{row.mutation}: caught by the {row.seeds}. seed ({row.seed}): {row.failure[:160]}"


def _table(rows: Sequence[Caught], most: int) -> str:
    lines = [
        "# Deliberate mistakes, and how soon the simulation finds them",
        "",
        f"`make simulate-mutations`: seeds of {MINUTES:g} simulated minutes, at most {most}.",
        "",
        "| mistake | seeds | what was found first |",
        "|---|---|---|",
        *(
            f"| {row.mutation} | {row.seeds or 'none'} | {row.failure[:150].replace('|', '/')} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
