"""The laws of the replication engine, in a model of several voters with every kind of failure."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.property.core.replication.simulated_voters import World

STEPS = 400


def survive(world: World) -> None:
    for _ in range(STEPS):
        world.disaster()
    world.heal()
    leader = world.newest_leader()
    assert leader is not None, "somebody leads when all failures are over"
    assert leader.leader is not None
    for uuid in leader.leader.voters:
        replica = world.voters[uuid].disk
        assert replica.end == leader.disk.end, "the replicas are equal in the end"
        assert replica.committed == leader.disk.end.position


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
@example(seed=0)
@pytest.mark.parametrize("voters", [2, 3, 5])
def test_nothing_acknowledged_is_lost(voters: int, seed: int) -> None:
    survive(World.begin(seed, voters))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nor_when_the_voters_change(seed: int) -> None:
    survive(World.begin(seed, 3, spare=2))


def test_the_model_is_no_paradise() -> None:
    """Failures do happen in it: reigns change, tails are cut off, and records are acknowledged."""
    epochs, records, folded = set[int](), 0, 0
    for seed in range(20):
        world = World.begin(seed, 3, spare=1)
        for _ in range(STEPS):
            world.disaster()
        epochs.add(world.acknowledging)
        records += len(world.acknowledged)
        folded += sum(each.disk.base.index > 0 for each in world.voters.values())
    assert len(epochs) > 2
    assert records > 100
    assert folded > 5


def test_of_two_voters_one_does_go_on_alone_in_it() -> None:
    alone = 0
    for seed in range(20):
        world = World.begin(seed, 2)
        for _ in range(STEPS):
            world.disaster()
            leaders = [each.leader for each in world.voters.values() if each.leader is not None]
            alone += any(leader.solo_since is not None for leader in leaders)
    assert alone > 50
