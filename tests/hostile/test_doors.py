"""Whatever comes in through a door: what it declares comes out, or an answer; and nothing else.

``make fuzz`` looks for new inputs for longer, guided by what they reach.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hostile.corpus import FOLDER, kept
from tests.hostile.doors import DOORS
from tests.hostile.mutating import mutated

SEEDS = st.integers(0, 2**32 - 1)

few = settings(
    max_examples=max(1, settings().max_examples // 5),
    suppress_health_check=[HealthCheck.nested_given],  # proper values are made when first needed
)
"""There are many doors, and a run of the suite is to take seconds; a search takes longer."""

every_door = pytest.mark.parametrize("name", DOORS)


@every_door
def test_proper_input_is_taken(name: str) -> None:
    seeds = list(DOORS[name].seeds())
    assert seeds
    for data in seeds:
        DOORS[name].take(data)


@every_door
def test_what_once_broke_a_promise_is_taken(name: str) -> None:
    for data in kept(name):
        DOORS[name].take(data)


@every_door
def test_no_mistakes_in_proper_input_break_a_promise(name: str) -> None:
    door = DOORS[name]
    seeds = list(door.seeds())

    @few
    @given(st.sampled_from(seeds), SEEDS)
    def take(data: bytes, seed: int) -> None:
        door.take(mutated(data, seed, door.words))

    take()


@every_door
@few
@given(data=st.binary(max_size=300))
def test_no_bytes_at_all_break_a_promise(name: str, data: bytes) -> None:
    DOORS[name].take(data)


def test_each_kept_input_belongs_to_a_door() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} <= DOORS.keys()
