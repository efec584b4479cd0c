"""A fixed set of seeds, each with all that can go wrong in it. ``make simulate`` runs more."""

from __future__ import annotations

import pytest
from tests.simulation.run import simulate
from tests.simulation.scenario import FAULTS, JOBS, LARGE, quiet, scenario_of

SEEDS = (4, 22, 25)
"""Small clusters, so that they are quick; other sizes are tried by ``make simulate``."""

MINUTES = 4.0
"""As much goes on in them as in ten minutes, closer together."""


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_nothing_is_left(seed: int) -> None:
    outcome = simulate(scenario_of(seed, MINUTES))
    assert not outcome.failures, outcome.timeline.text()[-20_000:]
    assert not outcome.too_easy


def test_a_quiet_cluster_does_what_is_wanted() -> None:
    outcome = simulate(quiet(11))
    assert not outcome.failures
    assert outcome.statuses["success"] >= 15
    assert outcome.faults.total() == 0


@pytest.mark.parametrize("seed", range(100))
def test_every_scenario_is_hard_enough(seed: int) -> None:
    scenario = scenario_of(seed)
    assert scenario.jobs >= JOBS[0]
    assert len(scenario.faults) >= FAULTS[0]
    assert LARGE & {fault.kind for fault in scenario.faults}
