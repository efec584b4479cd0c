"""What a candidate does about the office of the master."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gantry.core.election import (
    PROMOTION_SECONDS_MAX,
    REST_SECONDS,
    START_SECONDS_MAX,
    Action,
    Campaign,
    Keep,
    ReplicaSeen,
    Resign,
    Seen,
    Standing,
    Take,
    Wait,
    after_promotion,
    decide,
    describe,
)
from gantry.protocols.identity import Epoch

ME = Standing("me")
CANDIDATE = Seen(
    None, is_candidate=True, is_master=False, leads=False, replica=ReplicaSeen(99.0, Epoch(1))
)
MASTER = Seen(
    "me", is_candidate=True, is_master=True, leads=True, replica=ReplicaSeen(99.0, Epoch(1))
)


def looks(standing: Standing, *seen: Seen, every: float = 3.0) -> tuple[Standing, list[Action]]:
    actions: list[Action] = []
    for number, each in enumerate(seen):
        standing, action = decide(standing, each, number * every)
        actions.append(action)
    return standing, actions


def test_a_vacant_office_is_campaigned_for_at_the_second_look() -> None:
    assert looks(ME, CANDIDATE, CANDIDATE)[1] == [Wait(), Campaign()]


def test_one_look_at_a_holder_begins_the_count_anew() -> None:
    held = evolve(CANDIDATE, holder="other")
    assert looks(ME, CANDIDATE, held, CANDIDATE)[1] == [Wait(), Wait(), Wait()]


def test_a_master_that_is_heard_of_is_not_replaced() -> None:
    heard = evolve(CANDIDATE, replica=ReplicaSeen(1.0, Epoch(1)))
    _, (_, action) = looks(ME, heard, heard)
    assert isinstance(action, Wait)
    assert action.reason is not None
    silent = evolve(CANDIDATE, replica=ReplicaSeen(11.0, Epoch(1)))
    assert looks(ME, silent, silent)[1][-1] == Campaign()


def test_nobody_competes_with_a_promotion_that_is_under_way() -> None:
    promised = evolve(CANDIDATE, replica=ReplicaSeen(99.0, Epoch(2)))
    looked = int(PROMOTION_SECONDS_MAX / 3) + 2
    _, actions = looks(ME, CANDIDATE, *[promised] * looked)
    assert Campaign() not in actions[:-1]
    assert actions[-1] == Campaign()


def test_a_promotion_that_was_followed_by_a_leader_is_over() -> None:
    promised = evolve(CANDIDATE, replica=ReplicaSeen(99.0, Epoch(2)))
    led = evolve(CANDIDATE, replica=ReplicaSeen(0.0, Epoch(2)))
    silent = evolve(CANDIDATE, replica=ReplicaSeen(11.0, Epoch(2)))
    _, actions = looks(ME, CANDIDATE, promised, led, silent, every=12.0)
    assert actions[-1] == Campaign()


def test_without_noded_there_is_no_campaign() -> None:
    deaf = evolve(CANDIDATE, replica=None)
    assert all(isinstance(each, Wait) for each in looks(ME, deaf, deaf, deaf)[1])


def test_who_is_no_candidate_waits() -> None:
    regular = evolve(CANDIDATE, is_candidate=False)
    assert looks(ME, regular, regular, regular)[1] == [Wait()] * 3


def test_a_leading_master_takes_its_office_at_once_and_keeps_it() -> None:
    vacant = evolve(MASTER, holder=None)
    assert looks(ME, vacant, MASTER)[1] == [Take(), Keep()]


def test_a_master_that_does_not_lead_gives_up_after_some_time() -> None:
    dead = evolve(MASTER, leads=False)
    _, actions = looks(ME, MASTER, dead, dead, every=START_SECONDS_MAX / 1.5)
    assert actions[:2] == [Keep(), Keep()]
    assert isinstance(actions[2], Resign)
    vacant = evolve(dead, holder=None)
    assert looks(ME, vacant, vacant, vacant)[1] == [Wait()] * 3


def test_who_was_replaced_resigns() -> None:
    _, (action,) = looks(ME, evolve(MASTER, is_master=False, leads=False))
    assert isinstance(action, Resign)


def test_after_a_failed_promotion_others_may_try() -> None:
    standing = after_promotion(ME, 0.0, promoted=False)
    rested = int(REST_SECONDS / 3) + 1
    _, actions = looks(standing, *[CANDIDATE] * (rested + 1))
    assert actions.index(Campaign()) == rested - 1 + (REST_SECONDS % 3 > 0)


SEEN = st.builds(
    Seen,
    st.sampled_from([None, "me", "other"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.builds(ReplicaSeen, st.floats(0, 100), st.integers(1, 3).map(Epoch)),
)


@given(st.lists(SEEN, max_size=20))
def test_nobody_acts_against_a_holder(seen: list[Seen]) -> None:
    standing = ME
    for number, each in enumerate(seen):
        standing, action = decide(standing, each, number * 3.0)
        describe(action)
        if each.holder == "other":
            assert isinstance(action, Wait)
        if isinstance(action, Campaign):
            assert each.is_candidate
            assert not each.is_master
            assert each.replica is not None
            assert each.replica.heard_seconds > 10
