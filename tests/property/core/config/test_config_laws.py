"""Laws of the configuration under random histories of changes."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.config.small_cluster import (
    GROUP,
    a_drbd_disk,
    a_file_disk,
    a_group,
    a_nic,
    a_node,
    an_instance,
    sample_state,
    ticket,
)

from gantry.core.config.cluster_changes import PORTS
from gantry.core.config.reservations import Reservations
from gantry.core.config.state import State
from gantry.core.config.transaction import Transacted, replay, transact
from gantry.core.config.verify import verify
from gantry.protocols.changes import (
    AddGroup,
    AddInstance,
    AddNode,
    Change,
    ChangeTags,
    RemoveGroup,
    RemoveInstance,
    RemoveNode,
    RenameInstance,
    RestoreGroup,
    RestoreNode,
    SetInstancePrimary,
    SetInstanceState,
    UpdateCluster,
    UpdateGroup,
    UpdateInstance,
    UpdateNode,
)
from gantry.protocols.codec import from_bytes, to_bytes
from gantry.protocols.config_records import dump_record, load_record
from gantry.protocols.identity import Epoch
from gantry.protocols.objects.disk import DrbdId
from gantry.protocols.wconfd import Committed, Refused

NAMES = ["alpha", "beta", "gamma", "inst1.gnt.test"]
ADDRESSES = [None, "10.77.5.2", "10.77.5.3", "10.77.5.4", "10.9.9.9"]
PORT_CHOICES = [None, 11000, 11001, 11003]


def added_instance(draw: st.DrawFn) -> Change:
    name = draw(st.sampled_from(NAMES))
    disk = draw(
        st.sampled_from(
            [None, a_file_disk(name), a_drbd_disk(name, 11002, draw(st.integers(0, 1)))]
        )
    )
    disks = () if disk is None else (disk,)
    nic = a_nic(draw(st.sampled_from(NAMES)), draw(st.sampled_from(ADDRESSES)))
    port = draw(st.sampled_from(PORT_CHOICES))
    return AddInstance(an_instance(name, *disks, nic=nic, port=port), disks)


@st.composite
def a_change(draw: st.DrawFn, state: State) -> Change:
    """Return some change to a state: sensible, silly or impossible."""
    configuration = state.configuration
    node = draw(st.sampled_from(sorted(configuration.nodes.values(), key=lambda n: n.name)))
    group = draw(st.sampled_from(sorted(configuration.nodegroups)))
    flags = {
        name: draw(st.booleans()) for name in ("drained", "offline", "master_candidate", "powered")
    }
    name = draw(st.sampled_from(NAMES))
    new_node = a_node(name, draw(st.integers(1, 3)))
    choices: list[Change] = [
        AddNode(evolve(new_node, group=draw(st.sampled_from([group, GROUP]))), "AB"),
        UpdateNode(evolve(node, group=group, **flags)),  # type: ignore[arg-type] # flags of one type
        RemoveNode(node.uuid),
        RestoreNode(evolve(node, group=group, **flags)),  # type: ignore[arg-type] # flags of one type
        AddGroup(a_group(name)),
        UpdateGroup(evolve(configuration.nodegroups[group], name=name)),
        RestoreGroup(evolve(configuration.nodegroups[group], name=name, serial_no=99)),
        RemoveGroup(group),
        UpdateCluster(evolve(configuration.cluster, master_node=node.uuid)),
        added_instance(draw),
        ChangeTags("node", node.uuid, add=frozenset({name})),
        ChangeTags("cluster", "", remove=frozenset({name})),
    ]
    if configuration.instances:
        instances = sorted(configuration.instances.values(), key=lambda i: i.uuid)
        instance = draw(st.sampled_from(instances))
        port = draw(st.sampled_from(PORT_CHOICES))
        nics = (a_nic(name, draw(st.sampled_from(ADDRESSES))),)
        choices += [
            UpdateInstance(evolve(instance, nics=nics, network_port=port)),
            RenameInstance(instance.uuid, name, {}),
            SetInstanceState(instance.uuid, admin_state="up"),
            SetInstancePrimary(instance.uuid, node.uuid),
            RemoveInstance(instance.uuid),
        ]
    return draw(st.sampled_from(choices))


def ports_in_use(state: State) -> set[int]:
    configuration = state.configuration
    consoles = {i.network_port for i in configuration.instances.values() if i.network_port}
    return consoles | {
        disk.logical_id.port
        for disk in configuration.disks.values()
        if isinstance(disk.logical_id, DrbdId)
    }


@settings(max_examples=100, deadline=None)
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
        check_versions(state, made)
        record = load_record(from_bytes(to_bytes(dump_record(made.record))))
        assert replay(state, Epoch(1), record) == made.state
        again = transact(made.state, Reservations(), ticket(change, step=step), change, now)
        assert again == Committed(made.state.index)
        check_ports(made.state)
        state = made.state


def check_versions(before: State, made: Transacted) -> None:
    """Serial numbers rise by one where something changed; times never fall."""
    old, new = before.configuration, made.state.configuration
    assert new.serial_no == old.serial_no + (1 if made.record.objects else 0)
    assert new.mtime >= old.mtime
    for node in new.nodes.values():
        was = old.nodes.get(node.uuid)
        if was is None:
            assert node.serial_no == 1
        elif was != node:
            assert node.serial_no == was.serial_no + 1
            assert node.mtime >= was.mtime


def check_ports(state: State) -> None:
    """Every port up to the highest used one is in use or in the pool, and not both."""
    cluster = state.configuration.cluster
    pool, used = set(cluster.tcpudp_port_pool), ports_in_use(state)
    assert not pool & used
    assert pool | used == set(range(PORTS.start, cluster.highest_used_port + 1))
