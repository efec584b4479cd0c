"""Random histories of changes: sensible, silly and impossible ones, of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from attrs import evolve
from hypothesis import strategies as st
from tests.unit.core.config.small_cluster import (
    GROUP,
    NODE2,
    NODE3,
    a_drbd_disk,
    a_file_disk,
    a_group,
    a_leftover,
    a_network,
    a_nic,
    a_node,
    a_rule,
    an_instance,
    fake_uuid,
    sample_state,
)

from gantry.core.config.state import State
from gantry.protocols.changes import (
    AddFilter,
    AddGroup,
    AddInstance,
    AddLeftover,
    AddNode,
    AssignGroups,
    Change,
    ChangeTags,
    RemoveFilter,
    RemoveGroup,
    RemoveInstance,
    RemoveLeftover,
    RemoveNode,
    RenameInstance,
    RestoreCluster,
    RestoreGroup,
    RestoreInstance,
    RestoreNode,
    SetInstancePrimary,
    SetInstanceState,
    UpdateCluster,
    UpdateFilter,
    UpdateGroup,
    UpdateInstance,
    UpdateLeftover,
    UpdateNode,
)
from gantry.protocols.codec import Json
from gantry.protocols.device_changes import (
    AddDisk,
    AddNic,
    AttachDisk,
    DetachDisk,
    RemoveDisk,
    RemoveNic,
    RestoreDisk,
    UpdateDisk,
    UpdateNic,
)
from gantry.protocols.identity import DiskUuid, InstanceUuid, NodeUuid
from gantry.protocols.network_changes import (
    AddNetwork,
    ConnectNetwork,
    DisconnectNetwork,
    RemoveNetwork,
    RestoreNetwork,
    UpdateNetwork,
)
from gantry.protocols.objects.disk import Disk, DrbdId
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.wire import ConfigObject

NAMES = ["alpha", "beta", "gamma", "inst1.gnt.test"]
ADDRESSES = [None, "10.77.5.2", "10.77.5.3", "10.77.5.4", "10.9.9.9"]
POOL_ADDRESSES = ["10.88.0.0", "10.88.0.1", "10.88.0.3", "10.88.0.4", "10.9.9.9"]
PORT_CHOICES = [None, 11000, 11001, 11003]

O = TypeVar("O", bound=ConfigObject)  # noqa: E741 - the class of an object


def one_of(draw: st.DrawFn, objects: Iterable[O]) -> O:
    """Return one of some objects; the choice does not hang on the order of a map."""
    return draw(st.sampled_from(sorted(objects, key=lambda each: str(getattr(each, "uuid", "")))))


def a_disk(draw: st.DrawFn) -> Disk:
    name = draw(st.sampled_from(NAMES))
    if draw(st.booleans()):
        return a_file_disk(name, draw(st.sampled_from([NODE2, NODE3])))
    return a_drbd_disk(name, draw(st.sampled_from([11000, 11002])), draw(st.integers(0, 1)))


def an_added_instance(draw: st.DrawFn) -> AddInstance:
    name = draw(st.sampled_from(NAMES))
    disks = () if draw(st.booleans()) else (a_disk(draw),)
    nic = a_nic(draw(st.sampled_from(NAMES)), draw(st.sampled_from(ADDRESSES)))
    port = draw(st.sampled_from(PORT_CHOICES))
    return AddInstance(an_instance(name, *disks, nic=nic, port=port), disks)


def of_nodes(draw: st.DrawFn, state: State) -> list[Change]:
    node = one_of(draw, state.configuration.nodes.values())
    group = draw(st.sampled_from([GROUP, *sorted(state.configuration.nodegroups)]))
    flags = {
        name: draw(st.booleans()) for name in ("drained", "offline", "master_candidate", "powered")
    }
    new = evolve(a_node(draw(st.sampled_from(NAMES)), draw(st.integers(1, 3))), group=group)
    changed = evolve(node, group=group, **flags)  # type: ignore[arg-type] # flags of one type
    digest = draw(st.sampled_from([None, "AB"]))
    return [
        AddNode(new, digest),
        UpdateNode(changed, digest),
        RestoreNode(evolve(changed, serial_no=77), digest),
        RemoveNode(node.uuid),
        AssignGroups({node.uuid: group, NODE3: group}),
    ]


def of_groups(draw: st.DrawFn, state: State) -> list[Change]:
    group = one_of(draw, state.configuration.nodegroups.values())
    name = draw(st.sampled_from(NAMES))
    policies: list[dict[str, Json]] = [{}, {"vcpu-ratio": 2.0}, {"std": {}}, {"what": 1}]
    policy = draw(st.sampled_from(policies))
    return [
        AddGroup(a_group(name)),
        UpdateGroup(evolve(group, name=name, ipolicy=policy)),
        RestoreGroup(evolve(group, name=name, serial_no=99)),
        RemoveGroup(group.uuid),
    ]


def of_the_cluster(draw: st.DrawFn, state: State) -> list[Change]:
    cluster = state.configuration.cluster
    node = one_of(draw, state.configuration.nodes.values())
    name = draw(st.sampled_from([*NAMES, "not a tag"]))
    return [
        UpdateCluster(evolve(cluster, master_node=node.uuid)),
        UpdateCluster(evolve(cluster, candidate_certs={node.uuid: "CD"})),
        RestoreCluster(evolve(cluster, tcpudp_port_pool=(11000, 14000), candidate_pool_size=3)),
        ChangeTags("node", node.uuid, add=frozenset({name})),
        ChangeTags("cluster", "", remove=frozenset({name})),
    ]


def of_instances(draw: st.DrawFn, state: State) -> list[Change]:
    instances = state.configuration.instances
    if not instances:
        return [an_added_instance(draw)]
    instance = one_of(draw, instances.values())
    node = one_of(draw, state.configuration.nodes.values())
    name, port = draw(st.sampled_from(NAMES)), draw(st.sampled_from(PORT_CHOICES))
    nics = (a_nic(name, draw(st.sampled_from(ADDRESSES))),)
    disks = tuple(draw(st.permutations(sorted({*instance.disks, *a_choice_of_disks(draw, state)}))))
    return [
        an_added_instance(draw),
        an_added_instance(draw),
        UpdateInstance(evolve(instance, nics=nics, network_port=port)),
        UpdateInstance(evolve(instance, disks=disks)),
        RestoreInstance(evolve(instance, nics=nics, serial_no=99)),
        RenameInstance(instance.uuid, name, {}),
        SetInstanceState(instance.uuid, admin_state="up"),
        SetInstancePrimary(instance.uuid, node.uuid),
        RemoveInstance(instance.uuid),
    ]


def a_choice_of_disks(draw: st.DrawFn, state: State) -> list[DiskUuid]:
    return draw(st.lists(st.sampled_from([*sorted(state.configuration.disks), DiskUuid("x")])))[:2]


def of_devices(draw: st.DrawFn, state: State) -> list[Change]:
    choices: list[Change] = []
    place = draw(st.sampled_from([None, 0, 1, 5]))
    for instance in [one_of(draw, state.configuration.instances.values())] * bool(
        state.configuration.instances
    ):
        choices += _of_one_instance(draw, instance, place)
    for disk in [one_of(draw, state.configuration.disks.values())] * bool(
        state.configuration.disks
    ):
        target = InstanceUuid(fake_uuid(draw(st.sampled_from(NAMES))))
        choices += [
            AttachDisk(disk.uuid, target, place),
            DetachDisk(disk.uuid),
            RemoveDisk(disk.uuid),
            UpdateDisk(evolve(disk, size=draw(st.integers(-1, 9)))),
            UpdateDisk(_with_port(draw, disk)),
            RestoreDisk(evolve(_with_port(draw, disk), iv_name="disk/9", serial_no=9)),
        ]
    return [*choices, AddDisk(a_disk(draw))]


def _of_one_instance(draw: st.DrawFn, instance: Instance, place: int | None) -> list[Change]:
    nic = a_nic(draw(st.sampled_from(NAMES)), draw(st.sampled_from(ADDRESSES)))
    stored = instance.nics[0] if instance.nics else nic
    return [
        AddDisk(a_disk(draw), instance.uuid, place),
        AddNic(instance.uuid, nic, place),
        UpdateNic(instance.uuid, evolve(nic, uuid=stored.uuid)),
        RemoveNic(instance.uuid, stored.uuid),
    ]


def _with_port(draw: st.DrawFn, disk: Disk) -> Disk:
    place = disk.logical_id
    if not isinstance(place, DrbdId):
        return disk
    return evolve(disk, logical_id=evolve(place, port=draw(st.integers(11000, 11003))))


def of_networks(draw: st.DrawFn, state: State) -> list[Change]:
    network = (
        one_of(draw, state.configuration.networks.values())
        if (state.configuration.networks)
        else a_network("lost")
    )
    group = draw(st.sampled_from(sorted(state.configuration.nodegroups)))
    gateway = draw(st.sampled_from([None, *POOL_ADDRESSES]))
    name = draw(st.sampled_from(NAMES))
    addresses = st.lists(st.sampled_from(POOL_ADDRESSES), max_size=2).map(tuple)
    reserve, release = draw(addresses), draw(addresses)
    return [
        AddNetwork(a_network(name, gateway=gateway), reserve),
        UpdateNetwork(evolve(network, name=name, gateway=gateway), reserve, release),
        UpdateNetwork(evolve(network, reservations=None, ext_reservations="0")),
        RestoreNetwork(evolve(network, gateway=gateway, serial_no=99), reserve, release),
        RemoveNetwork(network.uuid),
        ConnectNetwork(network.uuid, group, {"mode": "bridged"}),
        DisconnectNetwork(network.uuid, group),
    ]


def of_rules_and_leftovers(draw: st.DrawFn, state: State) -> list[Change]:
    name, job = draw(st.sampled_from(NAMES)), draw(st.integers(1, 3))
    rule, left = a_rule(name, draw(st.integers(-1, 1))), a_leftover(job, draw(node_uuids(state)))
    stored = state.configuration.leftovers.get(left.uuid, left)
    return [
        AddFilter(rule),
        UpdateFilter(rule),
        RemoveFilter(rule.uuid),
        AddLeftover(left),
        UpdateLeftover(evolve(stored, reason="tried again")),
        RemoveLeftover(left.uuid),
    ]


def node_uuids(state: State) -> st.SearchStrategy[NodeUuid]:
    return st.sampled_from(sorted(state.configuration.nodes))


Kind = Callable[[st.DrawFn, State], list[Change]]
KINDS: tuple[Kind, ...] = (
    of_nodes,
    of_groups,
    of_the_cluster,
    of_instances,
    of_devices,
    of_networks,
    of_rules_and_leftovers,
)


@st.composite
def changes_of(draw: st.DrawFn, kind: Kind) -> list[Change]:
    """Return a change to the sample cluster of each class of a kind."""
    return kind(draw, sample_state())


@st.composite
def a_change(draw: st.DrawFn, state: State) -> Change:
    """Return some change to a state."""
    return draw(st.sampled_from(draw(st.sampled_from(KINDS))(draw, state)))


def undo_of(state: State, change: Change) -> Change | None:
    """Return the change that takes another one back; ``None`` if there is none."""
    return (
        _undo_of_addition(state, change)
        or _undo_of_update(state, change)
        or _undo_of_move(state, change)
    )


def _undo_of_addition(state: State, change: Change) -> Change | None:  # noqa: C901 - a table
    match change:
        case AddNode(node):
            return RemoveNode(node.uuid)
        case AddGroup(group):
            return RemoveGroup(group.uuid)
        case AddInstance(instance, disks) if len(disks) == len(instance.disks):
            return RemoveInstance(instance.uuid)
        case AddDisk(disk, None):
            return RemoveDisk(disk.uuid)
        case AddNic(uuid, nic):
            return RemoveNic(uuid, nic.uuid)
        case AddNetwork(network):
            return RemoveNetwork(network.uuid)
        case RemoveNetwork(uuid):
            return AddNetwork(state.configuration.networks[uuid])
        case AddFilter(rule):
            return RemoveFilter(rule.uuid)
        case AddLeftover(leftover):
            return RemoveLeftover(leftover.uuid)
        case RemoveLeftover(uuid) if uuid in state.configuration.leftovers:
            return AddLeftover(state.configuration.leftovers[uuid])
        case _:
            return None


def _undo_of_update(state: State, change: Change) -> Change | None:
    configuration = state.configuration
    match change:
        case UpdateNode(node):
            listed = configuration.cluster.candidate_certs.get(node.uuid)
            return RestoreNode(configuration.nodes[node.uuid], listed)
        case UpdateGroup(group):
            return RestoreGroup(configuration.nodegroups[group.uuid])
        case UpdateInstance(instance):
            return RestoreInstance(configuration.instances[instance.uuid])
        case UpdateDisk(disk):
            return RestoreDisk(configuration.disks[disk.uuid])
        case UpdateNic(uuid, nic):
            nics = configuration.instances[uuid].nics
            return UpdateNic(uuid, next(each for each in nics if each.uuid == nic.uuid))
        case UpdateNetwork(network, reserve, release):
            return RestoreNetwork(configuration.networks[network.uuid], release, reserve)
        case UpdateFilter(rule):
            return UpdateFilter(configuration.filters[rule.uuid])
        case _:
            return None


def _undo_of_move(state: State, change: Change) -> Change | None:
    nodes, instances = state.configuration.nodes, state.configuration.instances
    match change:
        case AssignGroups(groups):
            return AssignGroups({uuid: nodes[uuid].group for uuid in groups})
        case RenameInstance(uuid):
            return RenameInstance(uuid, instances[uuid].name, {})
        case SetInstanceState(uuid):
            old = instances[uuid]
            return SetInstanceState(uuid, old.admin_state, old.admin_state_source, old.disks_active)
        case SetInstancePrimary(uuid):
            return SetInstancePrimary(uuid, instances[uuid].primary_node)
        case AttachDisk(disk):
            return DetachDisk(disk)
        case ConnectNetwork(network, group) | DisconnectNetwork(network, group):
            parameters = state.configuration.nodegroups[group].networks.get(network)
            if parameters is None:
                return DisconnectNetwork(network, group)
            return ConnectNetwork(network, group, parameters)
        case _:
            return None
