"""One seed, one trace: in any interpreter, whatever its hashes are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TRACE = """
from tests.simulation.run import simulate
from tests.simulation.scenario import scenario_of
outcome = simulate(scenario_of({seed}, minutes=2.0))
print(outcome.turns, outcome.timeline.effects, outcome.checksum)
"""

SECONDS_MAX = 120


def trace(seed: int, hash_seed: int) -> str:
    """Run a seed in an interpreter of its own; return what identifies all that it did."""
    ran = subprocess.run(
        [sys.executable, "-c", TRACE.format(seed=seed)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=True,
    )
    return ran.stdout


@pytest.mark.parametrize("seed", [4])
def test_hashes_do_not_matter(seed: int) -> None:
    assert trace(seed, 1) == trace(seed, 2)
