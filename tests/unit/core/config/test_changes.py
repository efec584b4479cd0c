"""What each change does, and which rule refuses it."""

from __future__ import annotations

import pytest
from attrs import evolve
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
    a_nic,
    a_node,
    a_rule,
    an_instance,
    fake_uuid,
    made,
    refused,
    sample,
    sample_state,
)

from gantry.core.config.apply import apply
from gantry.core.config.draft import Changed
from gantry.core.config.verify import verify
from gantry.protocols.changes import (
    AddFilter,
    AddGroup,
    AddInstance,
    AddLeftover,
    AddNode,
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
from gantry.protocols.identity import DiskUuid, GroupUuid, InstanceUuid, LeftoverUuid, NodeUuid
from gantry.protocols.objects.disk import FileId


def test_the_sample_keeps_all_rules() -> None:
    assert verify(sample_state()) == ()


def test_add_node_lists_a_candidates_certificate_and_touches_the_cluster() -> None:
    node = a_node("node4.gnt.test", 4)
    after = made(AddNode(node, "AB:CD")).configuration

    assert after.nodes[node.uuid].serial_no == 1
    assert after.nodes[node.uuid].ctime == NOW
    assert after.cluster.candidate_certs[node.uuid] == "AB:CD"
    assert after.cluster.serial_no == sample().cluster.serial_no + 1
    assert after.serial_no == sample().serial_no + 1
    assert after.mtime == after.cluster.mtime == NOW


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "node2.gnt.test"}, "node name node2.gnt.test belongs to node node2.gnt.test"),
        ({"primary_ip": "10.77.0.12"}, "node address 10.77.0.12 belongs to node node2.gnt.test"),
        ({"secondary_ip": "10.77.0.12"}, "node address 10.77.0.12 belongs to node node2.gnt.test"),
        ({"uuid": NodeUuid(INST1)}, f"uuid {INST1} belongs to instance inst1.gnt.test"),
        (
            {"group": GroupUuid(fake_uuid("nowhere"))},
            f"refers to nodegroup {fake_uuid('nowhere')}, which does not exist",
        ),
        ({"offline": True}, "is master candidate and offline at once"),
        ({"master_capable": False}, "is a master candidate and not capable of being master"),
    ],
)
def test_a_wrong_new_node_is_refused(changes: dict[str, object], text: str) -> None:
    node = a_node("node4.gnt.test", 4)
    wrong = evolve(node, **changes)  # type: ignore[arg-type] # a table of cases has no field types
    assert refused(AddNode(wrong)).text == text


def test_update_raises_serial_number_and_time_and_keeps_the_creation_time() -> None:
    node = sample().nodes[NODE2]
    after = made(UpdateNode(evolve(node, drained=True, master_candidate=False, ctime=1.0)))

    changed = after.configuration.nodes[NODE2]
    assert (changed.serial_no, changed.mtime, changed.ctime) == (3, NOW, node.ctime)
    assert NODE2 not in after.configuration.cluster.candidate_certs


def test_time_never_goes_back() -> None:
    state = sample_state()
    result = apply(state, SetInstanceState(INST1, admin_state="up"), 1.0)
    assert isinstance(result, Changed)
    assert result.configuration.mtime == state.configuration.mtime
    assert result.configuration.instances[INST1].mtime == sample().instances[INST1].mtime


def test_an_update_of_an_older_version_is_refused() -> None:
    node = evolve(sample().nodes[NODE2], powered=False, serial_no=1)
    assert (
        "was changed meanwhile: serial number 1 was given, 2 is stored"
        in refused(UpdateNode(node)).text
    )


def test_what_was_updated_is_put_back_whatever_its_version_is() -> None:
    before = sample()
    node, instance = before.nodes[NODE2], before.instances[INST1]
    digest = before.cluster.candidate_certs[NODE2]
    group = before.nodegroups[GROUP]
    for do, undo in (
        (
            UpdateNode(evolve(node, drained=True, master_candidate=False)),
            RestoreNode(node, digest),
        ),
        (UpdateInstance(evolve(instance, os="other")), RestoreInstance(instance)),
        (UpdateGroup(evolve(group, name="renamed")), RestoreGroup(group)),
        (
            UpdateCluster(evolve(before.cluster, candidate_pool_size=2)),
            RestoreCluster(before.cluster),
        ),
    ):
        back = made(undo, made(do)).configuration
        assert evolve(back.nodes[NODE2], serial_no=0, mtime=0) == evolve(node, serial_no=0, mtime=0)
        assert evolve(back.instances[INST1], serial_no=0, mtime=0) == evolve(
            instance, serial_no=0, mtime=0
        )
        assert back.nodegroups[GROUP].name == group.name
        assert back.cluster.candidate_certs == before.cluster.candidate_certs
        assert back.cluster.candidate_pool_size == before.cluster.candidate_pool_size
        assert made(undo).configuration == before, "never done, so there is nothing to put back"


def test_what_is_gone_is_not_put_back() -> None:
    group = a_group("third")
    assert "there is no nodegroup" in refused(RestoreGroup(group)).text


def test_an_update_that_changes_nothing_raises_no_serial_number() -> None:
    after = made(UpdateInstance(sample().instances[INST1]))
    assert after.configuration == sample()


def test_remove_node() -> None:
    after = made(RemoveNode(NODE3))
    assert NODE3 not in after.configuration.nodes
    assert NODE3 not in after.configuration.cluster.candidate_certs
    assert refused(RemoveNode(MASTER)).text == "is the master"
    assert refused(RemoveNode(NODE2)).text.startswith("is used by disk ")
    assert refused(RemoveNode(NodeUuid("x"))).text == "there is no node with the UUID x"


def test_the_master_must_be_a_candidate() -> None:
    master = sample().nodes[MASTER]
    text = "is the master and no master candidate"
    assert refused(UpdateNode(evolve(master, master_candidate=False))).text == text
    node = a_node("node4.gnt.test", 4)
    plain = made(AddNode(evolve(node, master_candidate=False)))
    cluster = evolve(plain.configuration.cluster, master_node=node.uuid)
    assert refused(UpdateCluster(cluster), plain).text == text


def test_groups() -> None:
    group = a_group("third")
    after = made(AddGroup(group))
    assert made(RemoveGroup(group.uuid), after).configuration.nodegroups == sample().nodegroups
    assert "is used by node node1.gnt.test" in refused(RemoveGroup(GROUP)).text
    alone = made(RemoveGroup(EMPTY_GROUP))
    assert refused(RemoveGroup(GROUP), alone).text == "is the last node group"
    assert refused(AddGroup(a_group("default"))).rule == "values are unique"


def test_the_cluster_needs_hypervisors_with_parameters_and_disk_templates() -> None:
    cluster = sample().cluster
    rules = {
        refused(UpdateCluster(wrong)).rule
        for wrong in (
            evolve(cluster, enabled_hypervisors=()),
            evolve(cluster, enabled_hypervisors=("kvm",), hvparams={}),
            evolve(cluster, enabled_disk_templates=()),
        )
    }
    assert rules == {
        "some hypervisor is enabled",
        "hypervisors have parameters",
        "some disk template is enabled",
    }


def test_an_instance_comes_with_disks_port_and_address_and_leaves_with_them() -> None:
    disk = a_drbd_disk("new", 11001, 0)
    instance = an_instance("new.gnt.test", disk, nic=a_nic("new", "10.77.5.9"), port=11000)
    after = made(AddInstance(instance, (disk,)))

    assert after.configuration.cluster.highest_used_port == 11001
    assert after.configuration.networks[NETWORK].reservations[9] == "1"  # type: ignore[index] # the sample's network has a bitmap
    assert after.configuration.networks[NETWORK].serial_no == 1

    gone = made(RemoveInstance(instance.uuid), after).configuration
    assert gone.instances == sample().instances
    assert gone.disks == sample().disks
    assert gone.networks == sample().networks
    assert gone.cluster.tcpudp_port_pool == (11000, 11001)
    assert gone.cluster.serial_no == sample().cluster.serial_no + 2


def test_skipped_ports_go_to_the_pool_and_are_given_out_of_it() -> None:
    after = made(AddInstance(an_instance("late", port=11003), ()))
    assert after.configuration.cluster.tcpudp_port_pool == (11000, 11001, 11002)
    later = made(AddInstance(an_instance("early", port=11001), ()), after)
    assert later.configuration.cluster.tcpudp_port_pool == (11000, 11002)
    moved = evolve(
        later.configuration.instances[InstanceUuid(fake_uuid("early"))], network_port=11000
    )
    assert made(UpdateInstance(moved), later).configuration.cluster.tcpudp_port_pool == (
        11001,
        11002,
    )


def test_values_of_instances_are_unique() -> None:
    disk = a_file_disk("new")
    new = an_instance("new", disk, port=11000)
    after = made(AddInstance(new, (disk,)))
    other = a_file_disk("other")
    twice = a_nic("twice")

    def texts(change: Change) -> str:
        return refused(change, after).text

    assert "instance name new belongs" in texts(
        AddInstance(evolve(an_instance("x"), name="new"), ())
    )
    assert "MAC address" in texts(
        AddInstance(an_instance("x", nic=evolve(a_nic("x"), mac=new.nics[0].mac.upper())), ())
    )
    assert "TCP port 11000 belongs" in texts(AddInstance(an_instance("x", port=11000), ()))
    assert "IP address" in texts(AddInstance(an_instance("x", nic=a_nic("x", "10.77.5.2")), ()))
    same_file = evolve(other, logical_id=disk.logical_id)
    assert "disk file" in texts(AddInstance(an_instance("x", same_file), (same_file,)))
    assert "disk " in texts(AddInstance(an_instance("x", disk), ()))
    doubled = evolve(an_instance("x"), nics=(twice, evolve(twice, uuid=a_nic("z").uuid)))
    assert texts(AddInstance(doubled, ())) == f"uses MAC address {twice.mac} twice"
    assert "does not list the disk" in texts(AddInstance(an_instance("x"), (other,)))


def test_references_of_instances_resolve() -> None:
    disk = a_file_disk("x")
    assert "refers to disk" in refused(AddInstance(an_instance("x", disk), ())).text
    lost = evolve(an_instance("x"), primary_node=NodeUuid(fake_uuid("nowhere")))
    assert "refers to node" in refused(AddInstance(lost, ())).text
    outside = an_instance("x", nic=a_nic("x", "10.99.0.1"))
    assert "which is 10.77.5.0/24" in refused(AddInstance(outside, ())).text
    elsewhere = a_file_disk("x", NODE3)
    wrong = AddInstance(an_instance("x", elsewhere), (elsewhere,))
    assert refused(wrong).rule == "local disks are on the primary node"


def test_rename_moves_disks_too() -> None:
    disk = sample().instances[INST2].disks[0]
    change = RenameInstance(
        INST2, "web.gnt.test", {disk: ["loop", "/srv/ganeti/file-storage/web/d"]}
    )
    after = made(change).configuration
    assert after.instances[INST2].name == "web.gnt.test"
    assert after.disks[disk].logical_id == FileId("loop", "/srv/ganeti/file-storage/web/d")
    assert after.disks[disk].serial_no == 2
    assert refused(RenameInstance(INST2, "inst1.gnt.test", {})).rule == "values are unique"
    assert refused(RenameInstance(INST2, "x", {DiskUuid("d"): []})).rule == (
        "moved disks belong to the instance"
    )
    assert refused(RenameInstance(INST2, "x", {disk: "no list"})).rule == (
        "logical ids fit the template"
    )


def test_state_is_set_and_kept() -> None:
    change = SetInstanceState(INST1, admin_state="up", disks_active=True)
    after = made(change)
    instance = after.configuration.instances[INST1]
    assert (instance.admin_state, instance.disks_active, instance.serial_no) == ("up", True, 2)
    assert instance.admin_state_source == "admin"
    assert made(change, after).configuration == after.configuration


def test_the_primary_node_moves_only_where_the_disks_are() -> None:
    assert (
        made(SetInstancePrimary(INST1, NODE2)).configuration.instances[INST1].primary_node == NODE2
    )
    assert refused(SetInstancePrimary(INST2, NODE2)).rule == "local disks are on the primary node"

    disk = evolve(a_file_disk("new"), dev_type="sharedfile")
    instance = an_instance("new", disk)
    moved = made(SetInstancePrimary(instance.uuid, NODE3), made(AddInstance(instance, (disk,))))
    assert moved.configuration.disks[disk.uuid].nodes == (NODE3,)


def test_tags() -> None:
    state = sample_state()
    targets = (("cluster", ""), ("nodegroup", GROUP), ("node", NODE2), ("instance", INST2))
    for kind, uuid in (*targets, ("network", NETWORK)):
        change = ChangeTags(kind, uuid, add=frozenset({"new", "x"}), remove=frozenset({"x", "web"}))  # type: ignore[arg-type] # a loop variable is a plain str
        state = made(change, state)
    assert state.configuration.cluster.tags == {"ct1", "new"}
    assert state.configuration.instances[INST2].tags == {"prod", "new"}
    assert state.configuration.nodes[NODE2].serial_no == 3


def test_left_overs_come_and_go() -> None:
    left = a_leftover(3)
    after = made(AddLeftover(left))
    stored = after.configuration.leftovers[left.uuid]
    assert (stored.job, stored.serial_no, stored.ctime, stored.mtime) == (3, 1, NOW, NOW)
    assert refused(AddLeftover(left), after).rule == "values are unique"

    again = evolve(left, uuid=LeftoverUuid(fake_uuid("another")))
    assert (
        refused(AddLeftover(again), after).text
        == f"undo 3/0/2/undo belongs to leftover {left.uuid}"
    )
    lost = evolve(left, node=NodeUuid("nowhere"))
    assert refused(AddLeftover(lost)).text == "refers to node nowhere, which does not exist"

    tried = made(UpdateLeftover(evolve(stored, reason="still silent")), after)
    assert tried.configuration.leftovers[left.uuid].serial_no == 2
    assert "was changed meanwhile" in refused(UpdateLeftover(stored), tried).text

    cleaned = made(RemoveLeftover(left.uuid), tried)
    assert not cleaned.configuration.leftovers
    assert made(RemoveLeftover(left.uuid), cleaned).configuration == cleaned.configuration


def test_what_is_left_on_a_node_goes_with_the_node() -> None:
    after = made(RemoveNode(NODE3), made(AddLeftover(a_leftover(3)))).configuration
    assert not after.leftovers
    assert NODE3 not in after.nodes


def test_filter_rules_come_and_go() -> None:
    rule = a_rule("pause")
    after = made(AddFilter(rule))
    assert after.configuration.filters[rule.uuid] == rule
    assert refused(AddFilter(rule), after).rule == "values are unique"
    other = evolve(rule, action="ACCEPT")
    replaced = made(UpdateFilter(other), after)
    assert replaced.configuration.filters[rule.uuid] == other
    assert made(UpdateFilter(other), replaced).configuration == replaced.configuration
    assert made(RemoveFilter(rule.uuid), replaced).configuration.filters == sample().filters
    assert "there is no filter" in refused(UpdateFilter(a_rule("none"))).text
    assert "there is no filter" in refused(RemoveFilter(a_rule("none").uuid)).text
