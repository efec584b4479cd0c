"""``make simulate``: run many seeds, say what was tried and how fast, and explain what failed."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import define, field
from tests.simulation.run import Outcome, simulate
from tests.simulation.scenario import Scenario, scenario_of
from tests.simulation.shrinking import shrunk

SHOWN_LINES: Final = 60
"""How much of a timeline is printed; the whole is in a file."""

FOLDER: Final = Path(".simulation")


@define
class Tally:
    """What was tried so far."""

    seeds: int = 0
    jobs: int = 0
    cpu_seconds: float = 0.0
    simulated_seconds: float = 0.0
    failovers: int = 0
    faults: Counter[str] = field(factory=Counter)
    statuses: Counter[str] = field(factory=Counter)
    failed: list[int] = field(factory=list)
    fewest_jobs: int = sys.maxsize
    fewest_faults: int = sys.maxsize

    def add(self, outcome: Outcome) -> None:
        """Count a run."""
        self.seeds += 1
        self.jobs += outcome.jobs
        self.cpu_seconds += outcome.cpu_seconds
        self.simulated_seconds += outcome.simulated_seconds
        self.failovers += outcome.failovers
        self.faults += outcome.faults
        self.statuses += outcome.statuses
        if outcome.failures:
            self.failed.append(outcome.scenario.seed)
        else:
            self.fewest_jobs = min(self.fewest_jobs, outcome.jobs)
            self.fewest_faults = min(self.fewest_faults, outcome.faults.total())

    def text(self) -> str:
        """Return the figures."""
        cpu = max(self.cpu_seconds, 1e-9)
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        ends = ", ".join(f"{name} {count}" for name, count in sorted(self.statuses.items()))
        return (
            f"{self.seeds} seeds, {self.jobs} jobs ({ends}), {self.faults.total()} faults, "
            f"{self.failovers} failovers, {self.simulated_seconds / 3600:.1f} simulated hours\n"
            f"{self.jobs / cpu:.1f} jobs and {self.faults.total() / cpu:.1f} faults in a second of "
            f"processor time; each seed at least {self.fewest_jobs} jobs and "
            f"{self.fewest_faults} faults\nfaults: {kinds}\n"
            f"failed: {', '.join(map(str, self.failed)) or 'none'}"
        )


def main(argv: Sequence[str]) -> int:
    """Run seeds until they or the minutes are over."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--replay", type=int, help="run one seed and keep its timeline")
    parser.add_argument("--faults", help="with --replay: only these faults, by number")
    parser.add_argument("--no-shrinking", action="store_true")
    options = parser.parse_args(argv)
    if options.replay is not None:
        return _replay(options.replay, options.faults)
    tally, until = Tally(), time.monotonic() + 60 * options.minutes
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        if time.monotonic() > until:
            break
        outcome = simulate(scenario_of(seed))
        tally.add(outcome)
        if outcome.failures:
            _explain(outcome, shrink=not options.no_shrinking)
        elif sys.stdout.isatty():
            print(f"seed {seed}: {outcome.jobs} jobs", end="\r", flush=True)
    print(tally.text())
    return 1 if tally.failed else 0


def _replay(seed: int, faults: str | None) -> int:
    scenario = scenario_of(seed)
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


def _command(scenario: Scenario) -> str:
    whole = scenario_of(scenario.seed)
    some = ",".join(str(fault.number) for fault in scenario.faults)
    more = "" if scenario == whole else f" --faults '{some}'"
    return f".venv/bin/python -m tests.simulation --replay {scenario.seed}{more}"


def _explain(outcome: Outcome, *, shrink: bool) -> None:
    """Say what failed, how to see it again, and which faults it takes."""
    print(_verdict(outcome))
    print(f"  again: {_command(outcome.scenario)}", flush=True)
    smallest = shrunk(outcome) if shrink else outcome
    if smallest is not outcome:
        print(f"  it takes {len(smallest.scenario.faults)} faults:")
        for fault in smallest.scenario.faults:
            print(f"    {fault.text()}")
        print(f"  again: {_command(smallest.scenario)}")
        print(_verdict(smallest))
    print("\n".join(line.text()[:200] for line in [*smallest.timeline.lines][-SHOWN_LINES:]))
    print(f"  whole timeline: {_kept(smallest)}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
