"""A run is the same, turn by turn, with trio's own loop and cancel scopes."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from tests.simulation import lean, world
from tests.simulation.run import Outcome, simulate
from tests.simulation.scenario import short

SEED = 10


def traced() -> tuple[int, int, int]:
    """Run a seed; return what identifies all that it did."""
    outcome: Outcome = simulate(short(SEED))
    assert not outcome.failures
    return outcome.turns, outcome.timeline.effects, outcome.checksum


def test_trio_would_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # Who wakes in the very moment in which somebody else is to end it is told otherwise by trio.
    monkeypatch.setattr(lean, "sleep", lean.SLEEP)
    monkeypatch.setattr(lean, "sleep_until", lean.SLEEP_UNTIL)
    ours = traced()
    monkeypatch.setattr(world, "lean", lambda _: nullcontext())
    assert traced() == ours
