"""Keys: the same change is made once; those who were replaced change nothing."""

from __future__ import annotations

import pytest
from immutables import Map
from tests.unit.core.config.small_cluster import (
    INST1,
    INST2,
    NOW,
    a_nic,
    an_instance,
    sample,
    sample_state,
    ticket,
)

from gantry.core.config.claims import Claim
from gantry.core.config.reservations import Reservations
from gantry.core.config.state import State
from gantry.core.config.transaction import (
    Transacted,
    forget,
    from_file,
    replay,
    to_file,
    transact,
)
from gantry.protocols.changes import AddInstance, SetInstanceState
from gantry.protocols.codec import from_bytes, to_bytes
from gantry.protocols.config_records import dump_record, load_record
from gantry.protocols.errors import KeyConflict, NoLease, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Epoch, JobId
from gantry.protocols.objects.configuration import dump_configuration, load_configuration
from gantry.protocols.records import Checksum, Index, Position
from gantry.protocols.wconfd import Committed, Refused

UP = SetInstanceState(INST1, admin_state="up")
DOWN = SetInstanceState(INST1, admin_state="down")
NOTHING = Reservations()


def done(state: State) -> Transacted:
    result = transact(state, NOTHING, ticket(UP), UP, NOW)
    assert isinstance(result, Transacted)
    return result


def test_the_same_key_is_answered_and_not_done_again() -> None:
    after = done(sample_state()).state
    assert transact(after, NOTHING, ticket(UP), UP, NOW + 1) == Committed(Index(1))


def test_the_same_key_with_another_digest_is_refused() -> None:
    after = done(sample_state()).state
    with pytest.raises(KeyConflict, match=r"key 1/0/0 was already used"):
        transact(after, NOTHING, ticket(DOWN), DOWN, NOW)


def test_an_older_attempt_is_refused() -> None:
    result = transact(sample_state(), NOTHING, ticket(UP, attempt=2), UP, NOW)
    assert isinstance(result, Transacted)
    with pytest.raises(StaleAttempt):
        transact(result.state, NOTHING, ticket(DOWN, step=1, attempt=1), DOWN, NOW)


def test_another_epoch_is_refused() -> None:
    state = State.of(sample(), epoch=Epoch(2))
    with pytest.raises(StaleEpoch):
        transact(state, NOTHING, ticket(UP, epoch=1), UP, NOW)
    with pytest.raises(NoLease):
        transact(state, NOTHING, ticket(UP, epoch=3), UP, NOW)


def test_a_refused_change_uses_no_key() -> None:
    wrong = AddInstance(an_instance("inst1.gnt.test"), ())
    result = transact(sample_state(), NOTHING, ticket(wrong), wrong, NOW)
    assert isinstance(result, Refused)
    assert isinstance(transact(sample_state(), NOTHING, ticket(UP), UP, NOW), Transacted)


def test_a_value_that_another_job_reserved_is_left_alone() -> None:
    new = AddInstance(an_instance("new", nic=a_nic("new")), ())
    reserved = NOTHING.with_claims(JobId(7), [Claim("instance name", "new")])
    result = transact(sample_state(), reserved, ticket(new, job=1), new, NOW)
    assert isinstance(result, Refused)
    assert result.invariant.text == "instance name new is reserved by job 7"
    assert isinstance(transact(sample_state(), reserved, ticket(new, job=7), new, NOW), Transacted)


def test_replay_gives_the_same_state() -> None:
    before = sample_state()
    result = done(before)
    record = load_record(from_bytes(to_bytes(dump_record(result.record))))
    again = replay(before, Epoch(1), record)
    assert again == result.state


def test_keys_and_place_in_the_log_survive_in_the_file() -> None:
    state = done(sample_state()).state
    position = Position(Index(1), Checksum("ab" * 16))
    written = to_bytes(dump_configuration(to_file(state, position)))

    again, place = from_file(load_configuration(from_bytes(written)))

    assert place == position
    assert again == state
    assert transact(again, NOTHING, ticket(UP), UP, NOW) == Committed(Index(1))


def test_a_configuration_from_ganeti_starts_at_the_origin() -> None:
    state, place = from_file(sample())
    assert (state.index, place.index, state.jobs) == (0, 0, Map())


def test_the_file_without_our_key_is_ganetis() -> None:
    state = done(sample_state()).state
    value = dump_configuration(to_file(state, Position(Index(1), Checksum("ab" * 16))))
    assert value.keys() - {"gantry"} == dump_configuration(sample()).keys()


def test_keys_of_a_finished_job_are_forgotten() -> None:
    after = forget(done(sample_state()).state, JobId(1))
    assert after.jobs == Map()
    assert forget(after, JobId(2)) == after


def test_instances_without_a_key_of_their_own_do_not_mix() -> None:
    after = done(sample_state()).state
    change = SetInstanceState(INST2, admin_state="down")
    result = transact(after, NOTHING, ticket(change, job=2), change, NOW)
    assert isinstance(result, Transacted)
    assert result.state.index == 2
    assert result.delta.objects == result.record.objects
