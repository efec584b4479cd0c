"""Crashes were tried at every point of steps and journals; ``make simulate-points`` tries anew."""

from __future__ import annotations

from attrs import evolve
from tests.simulation.crashes import kept
from tests.simulation.points import all_points
from tests.simulation.run import simulate
from tests.simulation.scenario import Fault, quiet
from tests.simulation.trails import SITUATIONS, TRAILS
from tests.simulation.unreached import UNREACHED

NAMES = {point.text() for point in all_points()}


def test_every_point_is_in_the_table() -> None:
    new = NAMES - {*kept()} - {*UNREACHED}
    assert not new, f"run make simulate-points: it does not know {sorted(new)}"


def test_crashes_have_hit_every_point() -> None:
    left = [name for name, count in kept().items() if name in NAMES and not count]
    assert not left, f"run make simulate-points: no crash has hit {left}"


def test_what_has_to_happen_before_is_of_points_that_are_there() -> None:
    moves = {move.point for trail in TRAILS.values() for move in trail}
    assert {*TRAILS, *SITUATIONS, *moves} <= NAMES


def test_what_no_crash_can_hit_is_listed_and_nothing_else() -> None:
    assert {*UNREACHED} <= NAMES
    assert not [name for name in UNREACHED if kept().get(name)]
    assert all(UNREACHED.values())


def test_a_crash_comes_where_it_is_aimed_at() -> None:
    point = "daemons.job.stepping Stepper.record #1"
    outcome = simulate(evolve(quiet(3), faults=(Fault(0, "aimed crash", 20.0, point),)))
    assert not outcome.failures
    assert point in {each.text() for each in outcome.points.hit}
