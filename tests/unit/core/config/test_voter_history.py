"""Which change of the voters may be uncommitted, as a log has it."""

from __future__ import annotations

from attrs import evolve
from tests.unit.core.config.small_cluster import MASTER, NODE2, NODE3, sample

from gantry.core.config.reign import first_record
from gantry.core.config.voter_history import SetChanged, last_change
from gantry.core.replication.quorum import voters_of
from gantry.protocols.config_records import ConfigRecord, dump_record
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, NodeUuid
from gantry.protocols.objects.wire import dump_object
from gantry.protocols.records import ORIGIN, Index, Record, encode_records
from gantry.protocols.wconfd import ObjectPut

ALL = frozenset({MASTER, NODE2, NODE3})


def demotion(uuid: NodeUuid, *, candidate: bool = False) -> ConfigRecord:
    node = evolve(sample().nodes[uuid], master_candidate=candidate)
    put = ObjectPut("node", uuid, dump_object(node))
    return ConfigRecord(Key(JobId(7), 0, 1), Attempt(1), "digest", 2, 1.0, (put,))


def reign(*voters: NodeUuid) -> ConfigRecord:
    return first_record(sample(), MASTER, Epoch(2), frozenset(voters) if voters else None, 1.0)


def found(*records: ConfigRecord) -> SetChanged | None:
    return last_change(sample(), logged(*records))


def logged(*records: ConfigRecord) -> tuple[Record, ...]:
    return encode_records(ORIGIN, Epoch(1), [dump_record(each) for each in records])[1]


def test_what_changes_no_voter_is_no_change() -> None:
    assert voters_of(sample()) == ALL
    assert found() is None
    assert found(reign(), demotion(NODE3, candidate=True)) is None


def test_a_change_that_is_known_to_count_is_none_that_may_not() -> None:
    records = logged(demotion(NODE3))
    assert last_change(sample(), records) is not None
    assert last_change(sample(), records, records[-1].index) is None


def test_only_the_last_change_may_be_uncommitted() -> None:
    assert found(demotion(NODE3)) == SetChanged(Index(1), ALL)
    assert found(demotion(NODE3), demotion(NODE2)) == SetChanged(Index(2), ALL - {NODE3})
    back = demotion(NODE3, candidate=True)
    assert found(demotion(NODE3), reign(), back) == SetChanged(Index(3), ALL - {NODE3})


def test_a_reign_that_is_begun_leaves_a_change_as_it_was() -> None:
    assert found(demotion(NODE3), reign()) == SetChanged(Index(1), ALL)


def test_a_reign_without_a_majority_asks_nobody_whom_it_leaves_out() -> None:
    assert found(demotion(NODE3), reign(MASTER)) is None
    again = demotion(NODE2, candidate=True)
    assert found(reign(MASTER, NODE2), again) is None
