"""``make simulate``: run many seeds, say what was tried and how fast, and explain what failed."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from attrs import define, field, frozen
from tests.simulation.points import Points
from tests.simulation.run import Outcome, simulate
from tests.simulation.scenario import MINUTES, Scenario, scenario_of
from tests.simulation.shrinking import shrunk
from tests.simulation.world import Timeline

SHOWN_LINES: Final = 60
"""How much of a timeline is printed; the whole is in a file."""

FOLDER: Final = Path(".simulation")


SEEDS_EACH: Final = 50
"""What one process runs before another takes its place: so memory stays bounded."""


@define
class Tally:
    """What was tried so far."""

    seeds: int = 0
    jobs: int = 0
    cpu_seconds: float = 0.0
    simulated_seconds: float = 0.0
    failovers: int = 0
    partitions: int = 0
    faults: Counter[str] = field(factory=Counter)
    statuses: Counter[str] = field(factory=Counter)
    points: Points = field(factory=Points)
    failed: list[int] = field(factory=list)
    too_easy: list[str] = field(factory=list)
    fewest_jobs: int = sys.maxsize
    fewest_faults: int = sys.maxsize
    fewest_cuts: int = sys.maxsize

    def add(self, outcome: Outcome) -> None:
        """Count a run."""
        self.seeds += 1
        self.jobs += outcome.jobs
        self.cpu_seconds += outcome.cpu_seconds
        self.simulated_seconds += outcome.simulated_seconds
        self.failovers += outcome.failovers
        self.partitions += outcome.partitions
        self.faults += outcome.faults
        self.statuses += outcome.statuses
        self.points.add(outcome.points)
        seed = outcome.scenario.seed
        if outcome.failures:
            self.failed.append(seed)
            return
        self.fewest_jobs = min(self.fewest_jobs, outcome.jobs)
        self.fewest_faults = min(self.fewest_faults, outcome.faults.total())
        self.fewest_cuts = min(self.fewest_cuts, outcome.failovers + outcome.partitions)
        if outcome.too_easy:
            self.too_easy.append(f"{seed} ({outcome.too_easy})")

    @property
    def is_well(self) -> bool:
        """Whether nothing was wrong, with the product or with the scenarios."""
        return not self.failed and not self.too_easy

    def text(self) -> str:
        """Return the figures."""
        cpu = max(self.cpu_seconds, 1e-9)
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        ends = ", ".join(f"{name} {count}" for name, count in sorted(self.statuses.items()))
        minutes = self.simulated_seconds / 60 / max(self.seeds, 1)
        return (
            f"{self.seeds} seeds of {minutes:.1f} simulated minutes on average, "
            f"{self.jobs} jobs ({ends}), {self.faults.total()} faults, "
            f"{self.failovers} failovers, {self.partitions} partitions\n"
            f"{self.jobs / cpu:.1f} jobs and {self.faults.total() / cpu:.1f} faults in a second of "
            f"processor time, {cpu / max(self.seeds, 1):.1f} s for a seed\n"
            f"each seed at least {self.fewest_jobs} jobs, {self.fewest_faults} faults, and "
            f"{self.fewest_cuts} failovers or partitions\n"
            f"faults: {kinds}\n{self.points.text()}\n"
            f"too easy: {', '.join(self.too_easy) or 'none'}\n"
            f"failed: {', '.join(map(str, self.failed)) or 'none'}"
        )


@frozen
class Options:
    """What is asked for."""

    minutes: float
    shrink: bool


def main(argv: Sequence[str]) -> int:
    """Run seeds; print their verdicts in their order, and the figures."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="simulated, of each seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--replay", type=int, help="run one seed and keep its timeline")
    parser.add_argument("--faults", help="with --replay: only these faults, by number")
    parser.add_argument("--no-shrinking", action="store_true")
    given = parser.parse_args(argv)
    if given.replay is not None:
        return _replay(given.replay, given.minutes, given.faults)
    tally, seeds = Tally(), range(given.first_seed, given.first_seed + given.seeds)
    tried = partial(_tried, Options(given.minutes, not given.no_shrinking))
    context = multiprocessing.get_context("fork")
    with context.Pool(given.jobs, maxtasksperchild=SEEDS_EACH) as pool:
        for outcome, explanation in pool.imap(tried, seeds):
            tally.add(outcome)
            if explanation:
                print(explanation, flush=True)
            if sys.stdout.isatty():
                print(f"seed {outcome.scenario.seed}: {outcome.jobs} jobs", end="\r", flush=True)
    print(tally.text())
    return 0 if tally.is_well else 1


def _tried(options: Options, seed: int) -> tuple[Outcome, str]:
    """Run a seed in a process of its own; the timeline does not leave it."""
    outcome = simulate(scenario_of(seed, options.minutes))
    told = "\n".join(_explanation(outcome, options)) if outcome.failures else ""
    outcome.timeline = Timeline()
    return outcome, told


def _replay(seed: int, minutes: float, faults: str | None) -> int:
    scenario = scenario_of(seed, minutes)
    if faults is not None:
        chosen = {int(number) for number in faults.split(",") if number}
        scenario = scenario.with_faults([f for f in scenario.faults if f.number in chosen])
    outcome = simulate(scenario)
    print(_verdict(outcome))
    print(f"timeline: {_kept(outcome)}")
    return 1 if outcome.failures else 0


def _kept(outcome: Outcome) -> Path:
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"seed-{outcome.scenario.seed}.txt"
    path.write_text(outcome.timeline.text() + "\n")
    return path


def _verdict(outcome: Outcome) -> str:
    scenario = outcome.scenario
    head = f"seed {scenario.seed}: {scenario.nodes} nodes, {outcome.jobs} jobs"
    return "\n".join([head, *(f"  {text[:600]}" for text in outcome.failures or ["all is well"])])


def _command(scenario: Scenario, options: Options) -> str:
    whole = scenario_of(scenario.seed, options.minutes)
    some = ",".join(str(fault.number) for fault in scenario.faults)
    more = "" if options.minutes == MINUTES else f" --minutes {options.minutes:g}"
    more += "" if scenario == whole else f" --faults '{some}'"
    return f".venv/bin/python -m tests.simulation --replay {scenario.seed}{more}"


def _explanation(outcome: Outcome, options: Options) -> Iterator[str]:
    """Say what failed, how to see it again, and which faults it takes."""
    yield _verdict(outcome)
    yield f"  again: {_command(outcome.scenario, options)}"
    smallest = shrunk(outcome) if options.shrink else outcome
    if smallest is not outcome:
        yield f"  it takes {len(smallest.scenario.faults)} faults:"
        yield from (f"    {fault.text()}" for fault in smallest.scenario.faults)
        yield f"  again: {_command(smallest.scenario, options)}"
        yield _verdict(smallest)
    yield from (line.text()[:200] for line in [*smallest.timeline.lines][-SHOWN_LINES:])
    yield f"  whole timeline: {_kept(smallest)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
