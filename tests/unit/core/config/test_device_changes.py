"""Disks and network interfaces come, change and go."""

from __future__ import annotations

from attrs import evolve
from tests.unit.core.config.small_cluster import (
    INST1,
    INST2,
    MASTER,
    NETWORK,
    NODE2,
    NODE3,
    a_drbd_disk,
    a_file_disk,
    a_nic,
    an_instance,
    fake_uuid,
    made,
    refused,
    sample,
)

from gantry.core.config.state import State
from gantry.protocols.changes import AddInstance, RestoreInstance, UpdateInstance
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
from gantry.protocols.identity import DiskUuid, InstanceUuid, NicUuid
from gantry.protocols.objects.disk import DrbdId

(OLD,) = sample().instances[INST2].disks
NEW = a_file_disk("more", MASTER)


def names(state: State) -> list[str]:
    """Return the names of INST2's disks, in order."""
    configuration = state.configuration
    return [configuration.disks[uuid].iv_name for uuid in configuration.instances[INST2].disks]


def test_a_disk_is_added_at_its_place_and_the_others_move_on() -> None:
    after = made(AddDisk(NEW, INST2, 0))
    assert after.configuration.instances[INST2].disks == (NEW.uuid, OLD)
    assert names(after) == ["disk/0", "disk/1"]
    assert after.configuration.instances[INST2].serial_no == 5
    assert after.configuration.cluster.serial_no == sample().cluster.serial_no
    last = made(AddDisk(NEW, INST2))
    assert last.configuration.instances[INST2].disks == (OLD, NEW.uuid)
    assert last.configuration.disks[OLD] == sample().disks[OLD]
    text = "has 1 disks, so that none can be put at the place 2"
    assert refused(AddDisk(NEW, INST2, 2)).text == text
    assert refused(AddDisk(NEW, INST2, -1)).rule == "disks stand side by side"


def test_a_disk_is_detached_and_attached_again() -> None:
    both = made(AddDisk(NEW, INST2, 0))
    without = made(DetachDisk(NEW.uuid), both)
    assert without.configuration.instances[INST2].disks == (OLD,)
    assert names(without) == ["disk/0"]
    assert without.configuration.disks[NEW.uuid].iv_name == ""
    assert refused(DetachDisk(NEW.uuid), without).text == "belongs to no instance"

    back = made(AttachDisk(NEW.uuid, INST2, 0), without)
    assert back.configuration.instances[INST2].disks == (NEW.uuid, OLD)
    assert refused(AttachDisk(OLD, INST1), back).text.startswith("disk ")
    elsewhere = refused(AttachDisk(NEW.uuid, InstanceUuid("nobody")), without)
    assert elsewhere.text == "there is no instance with the UUID nobody"


def test_only_detached_disks_are_removed() -> None:
    assert refused(RemoveDisk(OLD)).text == "is used by instance inst2.gnt.test"
    gone = made(RemoveDisk(OLD), made(DetachDisk(OLD)))
    assert OLD not in gone.configuration.disks
    assert refused(RemoveDisk(OLD), gone).rule == "the object exists"


def test_disks_that_change_hands_with_their_instance_are_named_too() -> None:
    instance = sample().instances[INST2]
    loose = made(UpdateInstance(evolve(instance, disks=())))
    assert loose.configuration.disks[OLD].iv_name == ""
    back = made(RestoreInstance(instance), loose)
    assert names(back) == ["disk/0"]
    given = an_instance("given", evolve(sample().disks[OLD], nodes=(NODE2,)))
    moved = evolve(given, primary_node=MASTER)
    assert made(AddInstance(moved, ()), loose).configuration.disks[OLD].iv_name == "disk/0"


def test_a_mirrored_disk_brings_its_port_and_takes_it_along() -> None:
    disk = a_drbd_disk("new", 11001, 0)
    after = made(AddDisk(disk))
    assert after.configuration.cluster.tcpudp_port_pool == (11000,)
    moved = evolve(disk, iv_name="", logical_id=DrbdId(NODE2, NODE3, 11000, 0, 0, "secret"))
    stored = after.configuration.disks[disk.uuid]
    changed = evolve(moved, ctime=stored.ctime, mtime=stored.mtime)
    later = made(UpdateDisk(changed), after)
    assert later.configuration.cluster.tcpudp_port_pool == (11001,)
    assert "was changed meanwhile" in refused(UpdateDisk(changed), later).text
    back = made(RestoreDisk(stored), later)
    assert back.configuration.cluster.tcpudp_port_pool == (11000,)
    gone = made(RemoveDisk(disk.uuid), back)
    assert gone.configuration.cluster.tcpudp_port_pool == (11000, 11001)


def test_a_disk_is_put_back_without_leaving_its_place() -> None:
    grown = made(UpdateDisk(evolve(sample().disks[OLD], size=99)))
    both = made(AddDisk(NEW, INST2, 0), grown)
    back = made(RestoreDisk(sample().disks[OLD]), both)
    assert back.configuration.disks[OLD].size == sample().disks[OLD].size
    assert names(back) == ["disk/0", "disk/1"]


def test_a_mirrored_disk_is_on_two_nodes() -> None:
    disk = a_drbd_disk("new", 11001, 0)
    one = evolve(disk, logical_id=DrbdId(NODE2, NODE2, 11001, 0, 1, "secret"))
    assert refused(AddDisk(one)).rule == "mirrored disks are on two nodes"
    assert refused(AddDisk(evolve(disk, nodes=(NODE2, MASTER)))).rule == (
        "mirrored disks are on two nodes"
    )
    half = evolve(disk, children=disk.children[:1])
    assert refused(AddDisk(half)).text == "is made of 1 devices"


def test_interfaces_come_change_and_go_with_their_addresses() -> None:
    nic = a_nic("more", "10.77.5.7")
    after = made(AddNic(INST1, nic, 0))
    assert after.configuration.instances[INST1].nics[0] == nic
    assert bit(after, 7) == "1"
    moved = made(UpdateNic(INST1, evolve(nic, ip="10.77.5.8")), after)
    assert (bit(moved, 7), bit(moved, 8)) == ("0", "1")
    gone = made(RemoveNic(INST1, nic.uuid), moved)
    assert gone.configuration.instances[INST1].nics == sample().instances[INST1].nics
    assert gone.configuration.networks == sample().networks

    nobody = NicUuid(fake_uuid("nobody"))
    assert refused(RemoveNic(INST1, nobody)).text == f"has no interface with the UUID {nobody}"
    assert refused(UpdateNic(INST1, nic)).rule == "the interface exists"
    assert refused(AddNic(INST1, nic, 3)).rule == "interfaces stand side by side"
    taken = a_nic("other", "10.77.5.2")
    assert refused(AddNic(INST2, taken)).rule == "values are unique"
    bad = evolve(a_nic("other"), mac="aa:bb")
    assert refused(AddNic(INST1, bad)).rule == "MAC addresses are well-formed"


def bit(state: State, place: int) -> str:
    return (state.configuration.networks[NETWORK].reservations or "")[place]


def test_nothing_is_done_to_disks_that_do_not_exist() -> None:
    for change in (
        AttachDisk(DiskUuid("x"), INST1),
        DetachDisk(DiskUuid("x")),
        UpdateDisk(NEW),
        RestoreDisk(NEW),
    ):
        assert refused(change).rule == "the object exists"
