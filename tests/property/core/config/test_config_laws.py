"""Laws of the configuration under random histories of changes."""

from __future__ import annotations

from typing import cast, get_args

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.core.config.histories import KINDS, a_change, changes_of, undo_of
from tests.property.core.config.plain_rules import breaches
from tests.property.protocols.typed_values import values
from tests.unit.core.config.small_cluster import NOW, sample_state, ticket

from gantry.core.config.apply import apply
from gantry.core.config.claims import Stored, ref
from gantry.core.config.cluster_changes import PORTS
from gantry.core.config.draft import Changed
from gantry.core.config.folding import fold
from gantry.core.config.reservations import Reservations
from gantry.core.config.state import State, all_objects, build_indexes
from gantry.core.config.transaction import Transacted, replay, transact
from gantry.core.config.verify import verify
from gantry.protocols.changes import Change
from gantry.protocols.codec import from_bytes, to_bytes
from gantry.protocols.config_records import dump_record, load_record
from gantry.protocols.identity import Epoch
from gantry.protocols.objects.configuration import (
    Configuration,
    dump_configuration,
    load_configuration,
)
from gantry.protocols.objects.disk import DrbdId, ForthcomingDisk
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.instance import ForthcomingInstance
from gantry.protocols.objects.network import Network
from gantry.protocols.records import ORIGIN, encode_record
from gantry.protocols.wconfd import Committed, Invariant, Refused


def ports_in_use(state: State) -> set[int]:
    configuration = state.configuration
    consoles = {i.network_port for i in configuration.instances.values() if i.network_port}
    return consoles | {
        disk.logical_id.port
        for disk in configuration.disks.values()
        if isinstance(disk.logical_id, DrbdId)
    }


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_every_kind_of_change_is_drawn(data: st.DataObject) -> None:
    drawn = {type(change) for kind in KINDS for change in data.draw(changes_of(kind))}
    assert drawn == set(get_args(Change))


def done(state: State, change: Change, now: float = NOW) -> State | None:
    """Make a change; ``None`` if it is refused."""
    result = apply(state, change, now)
    if not isinstance(result, Changed):
        return None
    return evolve(state, configuration=result.configuration, indexes=result.indexes)


def through_the_file(configuration: Configuration) -> Configuration:
    return load_configuration(from_bytes(to_bytes(dump_configuration(configuration))))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_happens_all_rules_hold(data: st.DataObject) -> None:
    state = sample_state()
    for step in range(data.draw(st.integers(1, 12))):
        change = data.draw(a_change(state))
        now = data.draw(st.floats(0, 4e9))
        made = transact(state, Reservations(), ticket(change, step=step), change, now)
        if isinstance(made, Refused):
            continue
        assert isinstance(made, Transacted)

        assert verify(made.state) == ()
        assert breaches(dump_configuration(made.state.configuration)) == set()
        assert made.state.indexes == build_indexes(all_objects(made.state.configuration))
        check_versions(state, made)
        record = load_record(from_bytes(to_bytes(dump_record(made.record))))
        assert replay(state, Epoch(1), record) == made.state
        again = transact(made.state, Reservations(), ticket(change, step=step), change, now)
        assert again == Committed(made.state.index)
        check_ports(made.state)
        check_file(state, made)
        state = made.state


def check_file(before: State, made: Transacted) -> None:
    """What is written is read back, and a replica that folds the record has the same."""
    after = made.state.configuration
    assert through_the_file(after) == after
    _, record = encode_record(ORIGIN, Epoch(1), dump_record(made.record))
    folded = load_configuration(fold(dump_configuration(before.configuration), [record]))
    assert evolve(folded, gantry=after.gantry) == after


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_undone_is_as_it_was(data: st.DataObject) -> None:
    state = sample_state()
    for _ in range(data.draw(st.integers(1, 8))):
        change = data.draw(a_change(state))
        after = done(state, change)
        if after is None:
            continue
        undo = undo_of(state, change)
        back = None if undo is None else done(after, undo)
        if undo is not None:
            assert back is not None, f"{change} was done and can not be undone"
            assert bare(back.configuration) == bare(state.configuration)
        state = after


def bare(configuration: Configuration) -> object:
    """Return the content of the file without what only ever moves on."""
    moves_on = {"serial_no", "mtime", "tcpudp_port_pool", "highest_used_port"}

    def stripped(value: object) -> object:
        if isinstance(value, dict):
            return {k: stripped(v) for k, v in value.items() if k not in moves_on}
        return [stripped(each) for each in value] if isinstance(value, list | tuple) else value

    return stripped(from_bytes(to_bytes(dump_configuration(configuration))))


@settings(max_examples=60, deadline=None)
@given(values(cast("type[Change]", Change)))
def test_any_change_is_made_or_refused(change: Change) -> None:
    result = apply(sample_state(), change, NOW)
    assert isinstance(result, Changed | Invariant)


def check_versions(before: State, made: Transacted) -> None:
    """Serial numbers rise by one where something changed; times never fall."""
    old, new = before.configuration, made.state.configuration
    assert new.serial_no == old.serial_no + (1 if made.record.objects else 0)
    assert new.mtime >= old.mtime
    for stored in all_objects(new):
        was = before.get(ref(stored))
        if isinstance(stored, FilterRule | ForthcomingDisk | ForthcomingInstance):
            continue
        if was is None:
            assert stored.serial_no == 1
        elif isinstance(was, type(stored)) and same_but_for_addresses(was, stored):
            assert (stored.serial_no, stored.mtime) == (was.serial_no, was.mtime)
        elif isinstance(was, type(stored)):
            assert stored.serial_no == was.serial_no + 1
            assert stored.mtime >= was.mtime
            assert stored.ctime == was.ctime


def same_but_for_addresses(was: Stored, stored: Stored) -> bool:
    """Whether nothing has changed but what instances use of a network."""
    if isinstance(was, Network) and isinstance(stored, Network):
        return evolve(was, reservations=stored.reservations) == stored
    return was == stored


def check_ports(state: State) -> None:
    """Every port up to the highest used one is in use or in the pool, and not both."""
    cluster = state.configuration.cluster
    pool, used = set(cluster.tcpudp_port_pool), ports_in_use(state)
    assert not pool & used
    assert pool | used == set(range(PORTS.start, cluster.highest_used_port + 1))
