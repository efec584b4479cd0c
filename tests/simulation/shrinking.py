"""Find the smallest list of faults that still makes a run fail."""

from __future__ import annotations

from typing import Final

from attrs import evolve
from tests.simulation.run import Outcome, simulate
from tests.simulation.scenario import Fault, Scenario

RUNS_MAX: Final = 60
"""Some minutes of a processor: a smaller example is worth that, not more."""


def shrunk(outcome: Outcome) -> Outcome:
    """Return the run with as few faults as can be found; any failure counts.

    Whole stretches are left out first, then ever smaller ones (Zeller's delta debugging, without
    its last refinements); what a fault does depends on nothing but the seed and its number.
    """
    best, runs, size = outcome, 0, max(1, len(outcome.scenario.faults) // 2)
    while size and runs < RUNS_MAX:
        smaller: Outcome | None = None
        for start in range(0, len(best.scenario.faults), size):
            if runs >= RUNS_MAX:
                break
            runs += 1
            tried = simulate(_without(best.scenario, start, size))
            if tried.failures:
                smaller = tried
                break
        if smaller is None:
            size //= 2
        else:
            best = smaller
            size = min(size, max(1, len(best.scenario.faults)))
    return best


def _without(scenario: Scenario, start: int, size: int) -> Scenario:
    kept: tuple[Fault, ...] = scenario.faults[:start] + scenario.faults[start + size :]
    return evolve(scenario, faults=kept)
