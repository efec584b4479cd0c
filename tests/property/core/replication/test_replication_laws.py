"""The laws of the replication engine, in a model of several voters with every kind of failure."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.property.core.replication.simulated_voters import World

from gantry.protocols.replication import STREAMS

STEPS = 400
STEPS_OF_TWO_STREAMS = 800


def survive(world: World) -> None:
    for _ in range(STEPS if len(world.streams) == 1 else STEPS_OF_TWO_STREAMS):
        world.disaster()
    world.heal()
    leader = world.newest_leader()
    assert leader is not None, "somebody leads when all failures are over"
    for stream, side in leader.sides.items():
        assert side.leader is not None
        for uuid in side.leader.voters:
            replica = world.voters[uuid].sides[stream].disk
            assert replica.end == side.disk.end, "the replicas are equal in the end"
            assert replica.committed == side.disk.end.position


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


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
@example(seed=788496)  # who was taken away by the log that it took over had led as one of three
@example(seed=77)  # a set of two that was not committed had gone on alone after a restart
@pytest.mark.parametrize("fewest", [1, 2])
def test_nor_when_voters_are_taken_away_until_one_may_go_on_alone(seed: int, fewest: int) -> None:
    survive(World.begin(seed, 3, fewest=fewest))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
@example(seed=22375)  # a late snapshot had taken acknowledged records back
@example(seed=32304)  # of a third voter the queue had not heard when it went on alone
@example(seed=21460)  # a third voter had come while the queue was alone
@example(seed=40)  # the same in the queue's stream
@example(seed=66)  # a promise had been counted by a set that was not committed
@pytest.mark.parametrize("fewest", [1, 2])
def test_nor_in_either_stream_when_voters_are_taken_away(seed: int, fewest: int) -> None:
    survive(World.begin(seed, 3, fewest=fewest, streams=STREAMS))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize(("voters", "spare"), [(3, 2), (4, 1), (5, 1)])
def test_nor_in_either_stream_when_the_voters_change(seed: int, voters: int, spare: int) -> None:
    survive(World.begin(seed, voters, spare=spare, streams=STREAMS))


def test_the_model_is_no_paradise() -> None:
    """Failures do happen in it: reigns change, tails are cut off, and records are acknowledged."""
    epochs, records, folded = set[int](), 0, 0
    for seed in range(20):
        world = World.begin(seed, 3, spare=1)
        for _ in range(STEPS):
            world.disaster()
        epochs |= {*world.acknowledging.values()}
        records += len(world.acknowledged["config"])
        folded += sum(v.sides["config"].disk.base.index > 0 for v in world.voters.values())
    assert len(epochs) > 2
    assert records > 100
    assert folded > 5


def test_of_two_voters_one_does_go_on_alone_in_it() -> None:
    alone = 0
    for seed in range(20):
        world = World.begin(seed, 2)
        for _ in range(STEPS):
            world.disaster()
            leaders = [world.voters[v.uuid].sides[s].leader for v, s in world.reigning()]
            alone += any(each is not None and each.solo_since is not None for each in leaders)
    assert alone > 50


def test_with_two_streams_the_voters_do_change_in_it() -> None:
    changes, epochs, queued = 0, set[int](), 0
    for seed in range(20):
        world = World.begin(seed, 3, spare=2, streams=STREAMS)
        for _ in range(STEPS_OF_TWO_STREAMS):
            world.disaster()
        changes += world.set_changes
        epochs |= {*world.acknowledging.values()}
        queued += len(world.acknowledged["queue"])
    assert changes > 20
    assert len(epochs) > 2
    assert queued > 100
