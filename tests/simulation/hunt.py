"""``make simulate-mutations``: make one mistake after the other, and see how soon it is found.

Short seeds are run until a check fails in one of them which is well without the mistake. The
numbers are kept in ``bench/results/mutations.md``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

import trio
from attrs import frozen
from tests.simulation import run as running
from tests.simulation.checks import CHECKS
from tests.simulation.cluster import Cluster
from tests.simulation.mutations import MUTATIONS, UNNOTICED, Mutation
from tests.simulation.scenario import SHORT_SECONDS, Situation, short, situated

SEEDS_MAX: Final = 200
"""Within so many seeds each mistake has to be caught."""

SETTLE_SECONDS: Final = 60.0
"""A mistake is not waited for as long as something that may become right."""

SITUATION_SETTLES_SECONDS: Final = 250.0
"""What is slow or away in a situation is so for a minute and more."""

LASTS_SECONDS_MAX: Final = 900.0
"""A cluster that nobody gets to work again would be tried on for long, and cost much."""

RESULTS: Final = Path("bench/results/mutations.md")

EVERY: Final = (*MUTATIONS, *UNNOTICED)

NAMES: Final = frozenset(check.__name__ for check in CHECKS)

DEFECTS: Final = tuple(
    f"failed: {error}(" for error in ("AttributeError", "NameError", "NotImplementedError")
)
"""A daemon that ends in one of these says that the mistake was made clumsily, and nothing else."""


class Seen(Exception):
    """Something was seen that must never be: the rest of the run can be spared."""


@frozen
class Problem:
    """What a run has found."""

    check: str
    """The name of the check, or when it was seen if that was not at the end."""
    text: str


@frozen
class Caught:
    """How a mistake was found."""

    mutation: str
    seeds: int
    """How many it took; 0: it was not."""
    seed: int
    problem: Problem
    cpu_seconds: float
    """Of all these runs, with those of the seeds that failed without the mistake too."""


_live = running._live


async def _live_briefly(cluster: Cluster, outcome: running.Outcome) -> None:
    with trio.move_on_after(LASTS_SECONDS_MAX) as patience:
        await _live(cluster, outcome)
    if patience.cancelled_caught:
        raise Seen(f"it is not over after {LASTS_SECONDS_MAX:g} s")


@contextmanager
def _ends_at_once(patience: float) -> Iterator[None]:
    """Let runs end with the first thing that is seen to be wrong while it happens."""

    def fail(_: Cluster, text: str) -> None:
        raise Seen(text)

    with (
        patch.object(Cluster, "fail", fail),
        patch.object(running, "_live", _live_briefly),
        patch.object(running, "SETTLE_SECONDS_MAX", patience),
    ):
        yield


def problem_of(seed: int, situation: Situation | None = None) -> Problem | None:
    """Run a seed as short as can be, and return the first thing that is wrong."""
    scenario = short(seed) if situation is None else situated(seed, situation)
    patience = SETTLE_SECONDS if situation is None else SITUATION_SETTLES_SECONDS
    try:
        with _ends_at_once(patience):
            failures = running.simulate(scenario).failures
    except BaseExceptionGroup as error:
        if (seen := _first(error)) is None:
            raise
        return Problem("while it happened", str(seen))
    problems = [_named(text) for text in failures if not any(each in text for each in DEFECTS)]
    return min(problems, key=lambda each: each.check not in NAMES, default=None)


def _first(error: BaseException) -> Seen | None:
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_first, error.exceptions)), None)
    return error if isinstance(error, Seen) else None


def _named(failure: str) -> Problem:
    check, found, text = failure.partition(": ")
    return Problem(check, text) if found and check in NAMES else Problem("at the end", failure)


def caught(mutation: Mutation, seed: int) -> Problem | None:
    """Run a seed with a mistake and return what is wrong."""
    with mutation.made():
        return problem_of(seed, mutation.situation)


def hunt(first: int, most: int, mutation: Mutation) -> Caught:
    """Run seeds until one fails because of the mistake."""
    began = time.process_time()
    for count in range(1, most + 1):
        seed = first + count - 1
        problem = caught(mutation, seed)
        if problem is not None and problem_of(seed, mutation.situation) is None:
            return Caught(_shown(mutation), count, seed, problem, time.process_time() - began)
    return Caught(mutation.name, 0, 0, Problem("", ""), time.process_time() - began)


def _shown(mutation: Mutation) -> str:
    """Return a mistake's name, with what has to come about for it."""
    more = "" if mutation.situation is None else f" ({mutation.situation})"
    return f"{mutation.name}{more}"


def main(argv: Sequence[str]) -> int:
    """Make every mistake."""
    parser = argparse.ArgumentParser(prog="make simulate-mutations", description=__doc__)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--only", default="", help="a pattern for names of mistakes")
    parser.add_argument("--unnoticed", action="store_true", help="those that were not caught yet")
    given = parser.parse_args(argv)
    listed = UNNOTICED if given.unnoticed else MUTATIONS
    chosen = [each for each in listed if re.search(given.only, each.name)]
    rows: list[Caught] = []
    with multiprocessing.get_context("fork").Pool(given.jobs, maxtasksperchild=1) as pool:
        work = partial(_numbered, given.first_seed, given.seeds)
        for row in pool.imap(work, [EVERY.index(each) for each in chosen]):
            rows.append(row)
            print(_line(row), flush=True)
    if len(chosen) == len(MUTATIONS) and not given.unnoticed:
        RESULTS.write_text(_table(rows, given.first_seed, given.seeds))
    return 0 if all(row.seeds for row in rows) else 1


def _numbered(first: int, most: int, number: int) -> Caught:
    return hunt(first, most, EVERY[number])


def _line(row: Caught) -> str:
    if not row.seeds:
        return f"NOT CAUGHT: {row.mutation} ({row.cpu_seconds:.0f} s)"
    found = f"{row.problem.check}: {row.problem.text[:160]}"
    place = f"{row.seeds}. seed ({row.seed}, {row.cpu_seconds:.0f} s)"
    return f"{row.mutation}: caught by the {place}: {found}"


def _table(rows: Sequence[Caught], first: int, most: int) -> str:
    lines = [
        "# Deliberate mistakes, and how soon the simulation finds them",
        "",
        f"`make simulate-mutations`: short seeds of {SHORT_SECONDS:g} simulated seconds from "
        f"{first}, at most {most},",
        "each without a failure when the mistake is not made. Seconds are those of a processor,",
        "for all of the seeds. In brackets: what alone happens in them (`situations.py`).",
        "",
        "| mistake | seeds | seed | seconds | check | what it said |",
        "|---|---|---|---|---|---|",
        *(_row(row) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _row(row: Caught) -> str:
    said = row.problem.text[:110].replace("|", "/").replace("\n", " ")
    cells = (row.seeds or "none", row.seed or "", f"{row.cpu_seconds:.0f}", row.problem.check, said)
    return f"| {row.mutation} | {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
