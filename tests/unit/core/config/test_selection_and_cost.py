"""Reading a part of the configuration; finding what is wrong in it; what a change costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from attrs import evolve
from immutables import Map
from tests.unit.core.config.small_cluster import (
    EMPTY_GROUP,
    GROUP,
    INST1,
    INST2,
    MASTER,
    NETWORK,
    NODE2,
    NODE3,
    NOW,
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
    sample,
    sample_state,
)

from gantry.core.config import draft, rules, state
from gantry.core.config.apply import apply
from gantry.core.config.claims import Claim, Ref
from gantry.core.config.draft import Changed
from gantry.core.config.selection import select
from gantry.core.config.state import Indexes, State
from gantry.core.config.verify import verify
from gantry.protocols.changes import (
    AddFilter,
    AddGroup,
    AddInstance,
    AddLeftover,
    AddNode,
    AssignGroups,
    Change,
    ChangeTags,
    RemoveInstance,
    RemoveNode,
    SetInstanceState,
    UpdateCluster,
    UpdateNode,
)
from gantry.protocols.device_changes import AddDisk, AddNic, DetachDisk
from gantry.protocols.identity import InstanceUuid, NodeUuid
from gantry.protocols.network_changes import AddNetwork, ConnectNetwork, UpdateNetwork
from gantry.protocols.wconfd import Selection


def test_objects_are_found_by_name_and_by_uuid() -> None:
    wanted = Selection(
        nodes=("node2.gnt.test", MASTER, "nobody"),
        groups=("default",),
        instances=("inst2.gnt.test",),
        networks=(NETWORK, "net1"),
    )
    part = select(sample_state(), wanted)
    assert set(part.nodes) == {NODE2, MASTER}
    assert set(part.groups) == {GROUP}
    assert set(part.instances) == {INST2}
    assert set(part.disks) == set(sample().instances[INST2].disks)
    assert set(part.networks) == {NETWORK}
    assert part.cluster == sample().cluster


def test_a_name_finds_only_its_own_kind() -> None:
    part = select(sample_state(), Selection(nodes=(INST1,), instances=(MASTER,)))
    assert (part.nodes, part.instances) == ({}, {})


def test_all_means_all() -> None:
    part = select(sample_state(), Selection("all", "all", "all", "all"))
    assert part.nodes == dict(sample().nodes)
    assert part.instances == dict(sample().instances)
    assert part.disks == dict(sample().disks)


def test_instances_of_a_node_are_its_primaries_and_secondaries() -> None:
    disk = a_drbd_disk("new", 11000, 0)
    added = apply(sample_state(), AddInstance(an_instance("new", disk), (disk,)), NOW)
    assert isinstance(added, Changed)
    after = State.of(added.configuration)

    def names(node: NodeUuid) -> set[str]:
        part = select(after, Selection(instances_of_nodes=(node,)))
        return {instance.name for instance in part.instances.values()}

    assert names(NODE3) == {"new"}
    assert names(NODE2) == {"new", "tmpl.gnt.test"}
    assert names(MASTER) == {"inst1.gnt.test", "inst2.gnt.test"}


def test_left_overs_are_found_by_their_node() -> None:
    here, there = a_leftover(3, NODE3), a_leftover(4, NODE2)
    configuration = evolve(sample(), leftovers=Map({here.uuid: here, there.uuid: there}))
    after = State.of(configuration)
    assert set(select(after, Selection(leftovers_of_nodes=(NODE3,))).leftovers) == {here.uuid}
    assert len(select(after, Selection(leftovers_of_nodes="all")).leftovers) == 2
    assert select(after, Selection()).leftovers == {}


def test_verify_finds_every_broken_rule() -> None:
    configuration = sample()
    broken = evolve(
        configuration,
        nodes=configuration.nodes.delete(NODE2),
        cluster=evolve(configuration.cluster, enabled_hypervisors=()),
    )
    found = {(each.rule, each.object) for each in verify(State.of(broken))}
    assert ("references resolve", "tmpl.gnt.test") in found
    assert ("some hypervisor is enabled", "cluster.gnt.test") in found


def test_verify_finds_wrong_indexes() -> None:
    right = sample_state()
    claims, referrers = right.indexes.claims, right.indexes.referrers
    node, user = Ref("node", NODE3), Ref("instance", INST1)
    for indexes in (
        Indexes(Map(), Map()),
        Indexes(claims.delete(Claim("uuid", INST1)), referrers),
        Indexes(claims.set(Claim("uuid", "nobody's"), user), referrers),
        Indexes(claims, referrers.set(node, Map({user: None}))),
        Indexes(claims, referrers.delete(Ref("node", MASTER))),
    ):
        wrong = evolve(right, indexes=indexes)
        assert [each.rule for each in verify(wrong)] == ["indexes are right"]


def grown(count: int) -> State:
    """Return the sample cluster with more instances."""
    instances = {}
    for number in range(count):
        name = f"extra{number}"
        instances[InstanceUuid(fake_uuid(name))] = an_instance(name, nic=a_nic(name))
    configuration = sample()
    return State.of(evolve(configuration, instances=configuration.instances.update(instances)))


SOME_OF_EVERY_KIND: Final[tuple[Change, ...]] = (
    AddInstance(an_instance("new", port=11000, nic=a_nic("new", "10.77.5.9")), ()),
    SetInstanceState(INST1, admin_state="up"),
    RemoveInstance(INST1),
    AddDisk(a_drbd_disk("new", 11000, 0)),
    AddDisk(a_file_disk("new", MASTER), INST2, 0),
    DetachDisk(sample().instances[INST2].disks[0]),
    AddNic(INST1, a_nic("more", "10.77.5.9")),
    AddNetwork(a_network("new", gateway="10.88.0.1")),
    UpdateNetwork(sample().networks[NETWORK], reserve=("10.77.5.9",)),
    ConnectNetwork(NETWORK, EMPTY_GROUP, {}),
    AddNode(a_node("node4.gnt.test", 4), "AB"),
    UpdateNode(evolve(sample().nodes[NODE3], drained=True, master_candidate=False)),
    RemoveNode(NODE3),
    AssignGroups({NODE3: EMPTY_GROUP}),
    AddGroup(a_group("third")),
    UpdateCluster(evolve(sample().cluster, candidate_pool_size=3)),
    ChangeTags("instance", INST1, add=frozenset({"x"})),
    AddFilter(a_rule("pause")),
    AddLeftover(a_leftover(3)),
)


def test_the_cost_of_a_change_does_not_grow_with_the_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counted in objects looked at, which is what a change's time goes into."""
    looks = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: object) -> object:
            nonlocal looks
            looks += 1
            return function(*args)

        return counting

    for module, name in (
        (draft, "claims_of"),
        (state, "claims_of"),
        (rules, "claims_of"),
        (rules, "references_of"),
        (state, "find"),
        (state, "references_of"),
    ):
        monkeypatch.setattr(module, name, counted(getattr(module, name)))

    def cost(start: State) -> list[int]:
        nonlocal looks
        costs = []
        for change in SOME_OF_EVERY_KIND:
            looks = 0
            assert isinstance(apply(start, change, NOW), Changed)
            costs.append(looks)
        return costs

    assert cost(grown(0)) == cost(grown(300))
