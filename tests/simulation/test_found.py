"""Runs that found a bug, each cut down to the faults that it takes, with a sentence on the bug."""

from __future__ import annotations

from typing import Final

import pytest
from attrs import frozen
from tests.simulation.run import simulate
from tests.simulation.scenario import Fault, Kind, Scenario


@frozen
class Found:
    """A bug that a run has found."""

    sentence: str
    scenario: Scenario


def _found(sentence: str, seed: int, *faults: tuple[Kind, float], nodes: int = 3) -> Found:
    made = tuple(Fault(number, kind, at) for number, (kind, at) in enumerate(faults))
    return Found(sentence, Scenario(seed, nodes, 25, made, 60.0))


FOUND: Final = (
    _found(
        "A LuxiD that was started again let the processes of running jobs go, and killed them 10 "
        "seconds later, because its journal did not count yet and so it knew of no such jobs; "
        "those jobs ran for ever. Others it asked for events that were durable already, and the "
        "two span.",
        1,
        ("kill luxid", 15.0),
        ("kill luxid", 30.0),
        ("kill luxid", 45.0),
    ),
    _found(
        "A candidate that was cut off was told to be the master. It refused, for want of a "
        "majority, but had promised itself a new epoch: back in the cluster it told the master "
        "that its reign was over, and there was none any more.",
        1,
        ("lonely candidate", 15.0),
    ),
)


@pytest.mark.parametrize("found", FOUND, ids=lambda found: str(found.scenario.seed))
def test_it_is_mended(found: Found) -> None:
    outcome = simulate(found.scenario)
    assert not outcome.failures, found.sentence + "\n" + outcome.timeline.text()[-20_000:]
