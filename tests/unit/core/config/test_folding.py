"""Folding records into the JSON value of ``config.data`` gives what replaying them gives."""

from __future__ import annotations

from typing import cast

from tests.unit.core.config.small_cluster import (
    NODE2,
    SAMPLE,
    a_leftover,
    a_node,
    a_rule,
    ticket,
)

from gantry.core.config.folding import (
    candidate_certificates,
    end_of_file,
    fold,
)
from gantry.core.config.reservations import Reservations
from gantry.core.config.state import State
from gantry.core.config.transaction import Transacted, from_file, replay, to_file, transact
from gantry.protocols.changes import (
    AddFilter,
    AddLeftover,
    AddNode,
    Change,
    ChangeTags,
    RemoveLeftover,
    RemoveNode,
)
from gantry.protocols.codec import Json, from_bytes
from gantry.protocols.config_records import ConfigRecord, dump_record, load_record
from gantry.protocols.identity import Attempt, Epoch, JobId, Key
from gantry.protocols.objects.configuration import dump_configuration, load_configuration
from gantry.protocols.records import Position, Record, encode_record, encode_records
from gantry.protocols.replication import LogEnd

NODE4 = a_node("node4.gnt.test", 4)

CHANGES: tuple[Change, ...] = (
    AddNode(NODE4),
    ChangeTags("node", NODE2, add=frozenset({"x"})),
    ChangeTags("cluster", "", add=frozenset({"y"})),
    AddLeftover(a_leftover(3, NODE4.uuid)),
    AddLeftover(a_leftover(4)),
    AddLeftover(a_leftover(5)),
    RemoveLeftover(a_leftover(5).uuid),
    AddFilter(a_rule("pause")),
    RemoveNode(NODE4.uuid),
)


def sample() -> dict[str, Json]:
    return cast("dict[str, Json]", from_bytes(SAMPLE.read_bytes()))


def changed() -> tuple[Json, tuple[Record, ...], Position]:
    """Make changes; return what config.data holds then, and the records."""
    state, position = from_file(load_configuration(sample()))
    records: list[Record] = []
    for number, change in enumerate(CHANGES):
        made = transact(state, Reservations(), ticket(change, step=number), change, 2e9)
        assert isinstance(made, Transacted)
        _, record = encode_record(position, state.epoch, dump_record(made.record))
        records.append(record)
        state, position = made.state, record.position
    return dump_configuration(to_file(state, position)), tuple(records), position


def read(value: Json) -> tuple[State, Position]:
    return from_file(load_configuration(value))


def test_folding_is_replaying() -> None:
    after, records, position = changed()
    before = sample()
    folded = fold(before, records)
    assert read(folded) == read(after)
    assert before == sample()
    assert end_of_file(folded) == LogEnd(Epoch(1), position.index, position.checksum)


def test_it_makes_no_difference_how_often_is_folded() -> None:
    after, records, _ = changed()
    value: dict[str, Json] = sample()
    for record in records:
        value = fold(value, [record])
    assert read(value) == read(after)


def test_the_newest_candidates_count() -> None:
    _, records, _ = changed()
    assert NODE4.uuid not in (candidate_certificates(sample()) or {})
    assert candidate_certificates(None, records[1:2]) is None
    assert candidate_certificates(None) is None


def test_the_keys_of_jobs_that_are_over_are_forgotten() -> None:
    start = end_of_file(sample()).position
    ends = {3: (JobId(1),), 5: (JobId(2), JobId(4))}
    payloads = [
        dump_record(
            ConfigRecord(Key(JobId(n), 0, 0), Attempt(1), "digest", n, 1.0, (), ends.get(n, ()))
        )
        for n in range(1, 6)
    ]
    _, records = encode_records(start, Epoch(1), payloads)
    folded = fold(sample(), records)
    state, _ = read(folded)
    assert set(state.jobs) == {3, 5}
    replayed, _ = from_file(load_configuration(sample()))
    for payload in payloads:
        replayed = replay(replayed, Epoch(1), load_record(payload))
    assert set(replayed.jobs) == {3, 5}
