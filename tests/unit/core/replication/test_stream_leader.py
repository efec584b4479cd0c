"""The leader of a stream, one rule at a time; the laws are in tests/property."""

from __future__ import annotations

from attrs import evolve
from immutables import Map

from gantry.core.replication import leader as leading
from gantry.core.replication.leader import (
    Answered,
    Commit,
    Effect,
    Event,
    Flushed,
    GoSolo,
    Leader,
    Lost,
    Send,
    SendSnapshot,
    SetVoters,
    SoloStored,
    StandDown,
    Tick,
    VoterChange,
)
from gantry.core.replication.promotion import Candidacy
from gantry.core.replication.replica import Append, Install, Late, Replica, append, folded, install
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.records import ORIGIN, Index, Position, Record, encode_records
from gantry.protocols.replication import NOTHING, Appended, Mismatch, Monotonic, Promised, end_of

A, B, C, D = (NodeUuid(name) for name in "abcd")


def records(count: int, after: Position = ORIGIN, epoch: int = 1) -> tuple[Record, ...]:
    return encode_records(after, Epoch(epoch), list(range(count)))[1]


class Driven:
    """A leader, and what it wants done."""

    def __init__(
        self, *voters: NodeUuid, epoch: int = 1, log: tuple[Record, ...] = (), now: float = 0.0
    ) -> None:
        self.leader = Leader.begin(A, Epoch(epoch), frozenset(voters), NOTHING, log, Monotonic(now))
        self.now = now

    def do(self, event: Event) -> tuple[Effect, ...]:
        self.leader, effects = leading.step(self.leader, event, Monotonic(self.now))
        return effects

    def answer(self, voter: NodeUuid, end: Position, sent: float | None = None) -> list[Effect]:
        moment = Monotonic(self.now if sent is None else sent)
        return list(self.do(Answered(voter, moment, Appended(end))))


def commits(effects: tuple[Effect, ...] | list[Effect]) -> list[int]:
    return [effect.through for effect in effects if isinstance(effect, Commit)]


def test_one_voter_commits_with_the_flush() -> None:
    assert commits(Driven(A).do(Flushed(records(2)))) == [2]


def test_three_voters_commit_with_the_first_answer() -> None:
    driven, new = Driven(A, B, C), records(2)
    effects = driven.do(Flushed(new))
    assert {effect.voter for effect in effects if isinstance(effect, Send)} == {B, C}
    assert commits(driven.answer(B, new[-1].position)) == [2]
    assert commits(driven.answer(C, new[-1].position)) == []


def test_there_is_one_message_at_a_time_and_it_carries_all_that_is_new() -> None:
    driven, new = Driven(A, B, C), records(5)
    driven.do(Flushed(new[:1]))
    assert driven.do(Flushed(new[1:3])) == ()
    assert driven.do(Flushed(new[3:])) == ()
    (sent,) = [each for each in driven.answer(B, new[0].position) if isinstance(each, Send)]
    assert sent.records == new[1:]


def test_records_of_earlier_epochs_count_only_with_one_of_this_epoch() -> None:
    old = records(3)
    driven = Driven(A, B, C, epoch=2, log=old)
    assert commits(driven.answer(B, old[-1].position)) == []
    own = records(1, old[-1].position, epoch=2)
    driven.do(Flushed(own))
    assert commits(driven.answer(B, own[-1].position)) == [4]


def test_an_answer_that_was_too_long_under_way_acknowledges_nothing() -> None:
    driven, new = Driven(A, B, C), records(1)
    driven.do(Flushed(new))
    driven.now = 11.0
    assert commits(driven.answer(B, new[0].position, sent=0.5)) == []
    assert not driven.leader.has_lease
    assert commits(driven.answer(C, new[0].position, sent=10.5)) == [1]


def test_the_lease_ends_ten_seconds_after_sending() -> None:
    driven = Driven(A, B, C)
    driven.answer(B, ORIGIN, sent=3.0)
    driven.now = 12.9
    driven.do(Tick())
    assert driven.leader.has_lease
    driven.now = 13.0
    driven.do(Tick())
    assert not driven.leader.has_lease


def test_a_change_of_voters_needs_majorities_of_both_sets() -> None:
    driven, new = Driven(A, B, C), records(2)
    driven.do(Flushed(new[:1]))
    for voter in (B, C):
        driven.answer(voter, new[0].position)
    driven.do(SetVoters(frozenset({A, D}), Index(2)))
    driven.do(Flushed(new[1:]))
    driven.answer(D, ORIGIN)
    assert commits(driven.answer(D, new[1].position)) == []
    assert commits(driven.answer(B, new[1].position)) == [2]
    assert set(driven.leader.peers) == {D}


def test_an_unreachable_new_voter_does_not_hold_up_what_came_before() -> None:
    driven, new = Driven(A), records(3)
    assert commits(driven.do(Flushed(new[:1]))) == [1]
    driven.do(SetVoters(frozenset({A, B}), Index(3)))
    driven.answer(B, new[0].position)
    assert commits(driven.do(Flushed(new[1:]))) == [2]


def test_two_voters_go_on_alone_after_ten_seconds_and_only_when_that_is_stored() -> None:
    driven, new = Driven(A, B), records(2)
    driven.do(Flushed(new[:1]))
    driven.now = 10.5
    effects = driven.do(Lost(B))
    assert GoSolo(Index(1)) in effects
    assert commits(effects) == []
    assert commits(driven.do(SoloStored(Index(1)))) == [1]
    assert commits(driven.do(Flushed(new[1:]))) == [2]
    ended = driven.answer(B, new[1].position)
    assert leading.EndSolo() in ended
    assert driven.leader.solo_since is None


def test_who_is_not_alone_any_more_remembers_it_until_somebody_has_everything() -> None:
    driven, new = Driven(A, B), records(3)
    driven.do(Flushed(new[:1]))
    driven.now = 10.5
    driven.do(Lost(B))
    driven.do(SoloStored(Index(1)))
    driven.do(SetVoters(frozenset({A, B, C}), Index(2)))
    assert commits(driven.do(Flushed(new[1:]))) == []
    assert not driven.leader.has_lease
    assert driven.leader.lacking_since == 1
    behind = driven.answer(B, new[0].position)
    assert leading.EndSolo() not in behind
    assert leading.EndSolo() in driven.answer(C, new[-1].position)
    assert driven.leader.lacking_since is None


def test_what_is_held_counts_only_when_it_is_released() -> None:
    log = records(4)
    driven = Driven(A, B, C, log=log)
    change = VoterChange(Index(3), frozenset({A, B}))
    driven.leader = evolve(driven.leader.amid(change), held=Index(3))
    driven.do(Tick())
    assert commits(driven.answer(C, log[-1].position)) == []
    assert commits(driven.answer(B, log[-1].position)) == [2]
    assert driven.leader.change is not None
    assert commits(driven.do(leading.Released())) == [4]
    assert driven.leader.change is None


def test_three_voters_never_go_on_alone() -> None:
    driven = Driven(A, B, C)
    driven.now = 1000.0
    assert not any(isinstance(effect, GoSolo) for effect in driven.do(Tick()))


def test_a_newer_epoch_ends_the_reign() -> None:
    assert Driven(A, B, C).do(leading.Refused(B, Epoch(7))) == (StandDown(Epoch(7)),)


def test_a_straggler_gets_records_from_where_it_ends_or_a_snapshot() -> None:
    driven, new = Driven(A, B, C), records(4)
    driven.do(Flushed(new))
    driven.answer(C, new[-1].position)
    behind = Mismatch(new[1].position, ORIGIN)
    (sent,) = driven.do(Answered(B, Monotonic(0.0), behind))
    assert isinstance(sent, Send)
    assert sent.records == new[2:]
    driven.do(leading.Compacted(Index(3)))
    assert driven.do(Answered(B, Monotonic(0.0), behind)) == (SendSnapshot(B),)


def test_a_replica_calls_nothing_committed_that_it_was_not_shown_to_share() -> None:
    mine, theirs = records(3), records(3, epoch=2)
    replica = evolve(Replica(Epoch(2)))
    for record in mine:
        replica = evolve(replica, records=replica.records.set(record.index, record))
    taken = append(replica, Append(Epoch(2), ORIGIN, (), Index(3)))
    assert isinstance(taken, tuple)
    assert taken[0].committed == ORIGIN
    taken = append(replica, Append(Epoch(2), ORIGIN, theirs, Index(3)))
    assert isinstance(taken, tuple)
    assert taken[0].committed == theirs[-1].position
    assert taken[0].end.position == theirs[-1].position


def test_a_voter_that_has_just_come_is_given_its_ten_seconds() -> None:
    driven = Driven(A)
    driven.now = 1000.0
    driven.do(SetVoters(frozenset({A, B}), Index(1)))
    assert not any(isinstance(effect, GoSolo) for effect in driven.do(Flushed(records(1))))
    driven.now = 1011.0
    assert any(isinstance(effect, GoSolo) for effect in driven.do(Tick()))


def test_records_that_nobody_may_need_are_not_kept() -> None:
    alone, new = Driven(A), records(3 * leading.TAIL_RECORDS)
    alone.do(Flushed(new))
    assert len(alone.leader.records) == 0
    assert alone.leader.end.position == new[-1].position
    driven = Driven(A, B, C)
    driven.do(Flushed(new))
    driven.answer(B, new[-1].position)
    assert len(driven.leader.records) == leading.TAIL_RECORDS


def uncommitted_removal() -> Driven:
    """A restarted leader whose log ends with a record that took C away, which nobody else has."""
    log = records(2)
    driven = Driven(A, B, log=log)
    driven.leader = driven.leader.amid(VoterChange(log[-1].index, frozenset({A, B, C})))
    return driven


def test_a_restart_amid_a_removal_does_not_go_on_alone_by_the_smaller_set() -> None:
    driven = uncommitted_removal()
    driven.now = 1000.0
    effects = driven.do(Tick())
    assert not any(isinstance(effect, GoSolo) for effect in effects)
    assert commits(effects) == []
    assert not driven.leader.has_lease
    assert {effect.voter for effect in effects if isinstance(effect, Send)} == {B, C}


def test_after_a_restart_amid_a_removal_both_sets_must_have_it() -> None:
    driven = uncommitted_removal()
    end = driven.leader.end.position
    driven.do(Tick())
    assert commits(driven.answer(C, end)) == []  # of the old set enough, not of the new one
    assert driven.leader.change is not None
    assert commits(driven.answer(B, end)) == [2]
    assert driven.leader.change is None
    driven.now = 20.0
    assert any(isinstance(effect, GoSolo) for effect in driven.do(Tick()))


def test_a_change_of_another_stream_waits_until_it_is_heard_of() -> None:
    new = records(2)
    driven = Driven(A, B, log=new[:1])
    driven.leader = driven.leader.amid(VoterChange(None, frozenset({A, B, C})))
    driven.do(Tick())
    assert commits(driven.answer(B, new[0].position)) == [1]
    assert driven.leader.change is not None
    assert not leading.follows(driven.leader, frozenset({A, B, C}))
    assert leading.follows(driven.leader, frozenset({A, B}))
    driven.do(SetVoters(frozenset({A, B}), Index(1)))
    assert driven.leader.change is None
    assert driven.leader.voters == {A, B}


def test_of_two_sets_both_must_have_promised() -> None:
    candidacy = Candidacy(A, Epoch(2), frozenset({A}), frozenset({A, B}))
    mine = candidacy.with_promise(A, Promised(Epoch(2), NOTHING, NOTHING))
    assert not mine.elected
    assert mine.missing == {B}
    assert mine.with_promise(B, Promised(Epoch(2), NOTHING, NOTHING)).elected


def test_a_snapshot_that_was_long_under_way_takes_nothing_back() -> None:
    new = records(4)
    replica = Replica(Epoch(1), records=Map({record.index: record for record in new}))
    late = install(replica, Install(Epoch(1), end_of(new[1])))
    assert late == (replica, ())
    assert install(folded(replica, Index(3)), Install(Epoch(1), end_of(new[1]))) == Late()
    newer = install(replica, Install(Epoch(2), end_of(new[1])))
    assert isinstance(newer, tuple)
    assert newer[0].end == end_of(new[1])
