"""Parameters of all layers, and what follows from an instance's disks and NICs."""

import copy
from typing import Any

import pytest

from gantry.core.query.cluster import Release, cluster_info
from gantry.core.query.engine import plan_query
from gantry.core.query.instances import INSTANCES
from gantry.core.query.view import View
from gantry.protocols.codec import Json
from gantry.protocols.objects.configuration import load_configuration
from gantry.protocols.query import parse_query

NODE1 = "4d80e271-c4ae-4394-aae9-c634f98eb05e"
NODE2 = "30969da0-a282-463d-aea9-c0c473b1cad6"
INST2 = "6ae7d516-e9f6-40a6-9718-229b12567466"
GROUP2 = "52ce5d64-743f-4993-9388-b04178ef8d9d"
DISK = "6e42aa23-fefd-414f-a1b1-dfdee9fa0f10"
SECOND = "00000000-0000-4000-8000-000000000002"
NET1 = "0d123dd2-18d3-4a78-bb17-e560e0d5ddc8"


@pytest.fixture
def layered(stored: dict[str, Any]) -> View:
    """The recorded cluster, with something of its own on every layer."""
    changed = copy.deepcopy(stored)
    cluster, instance = changed["cluster"], changed["instances"][INST2]
    cluster["os_hvp"] = {"noop+big": {"kvm": {"cpu_type": "host", "vga": "std"}}}
    cluster["osparams"] = {"noop": {"a": "1", "b": "1"}, "noop+big": {"b": "2", "c": "2"}}
    cluster["nicparams"]["default"]["vlan"] = "7"
    instance.update(hypervisor="kvm", os="noop+big", hvparams={"vga": "none"}, network_port=11000,
                    osparams={"c": "3"}, disks=[DISK, SECOND])  # fmt: skip
    instance["nics"][0].update(nicparams={"mode": "openvswitch", "link": "sw"}, name="eth",
                               ip="10.77.5.9", network=NET1)  # fmt: skip
    instance["nics"].append(
        {"mac": "aa:00:00:00:00:01", "nicparams": {"mode": "routed"}, "uuid": SECOND}
    )
    drbd = {"dev_type": "drbd", "logical_id": [NODE2, NODE1, 11001, 0, 1, "secret"],
            "nodes": [NODE2, NODE1], "name": "data", "spindles": 2}  # fmt: skip
    changed["disks"][DISK].update(drbd)
    changed["disks"][SECOND] = {**changed["disks"][DISK], "uuid": SECOND, "size": 1000}
    changed["nodes"][NODE2].update(group=GROUP2, ndparams={"ssh_port": 24})
    group = changed["nodegroups"][GROUP2]
    group.update(ndparams={"ssh_port": 23, "spindle_count": 3}, ipolicy={"vcpu-ratio": 2.5},
                 diskparams={"drbd": {"metavg": "fast"}, "plain": {"stripes": 4}})  # fmt: skip
    return View(load_configuration(changed))


def show(view: View, what: str, name: str, *fields: str) -> list[Json]:
    query = parse_query(what, fields, ["=", "name", name])
    (row,) = plan_query(query, view, {}).chosen().plain()
    return row


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hv/cpu_type", "host"),
        ("hv/vga", "none"),
        ("hv/kernel_path", "/boot/vmlinuz-3-kvmU"),
        ("hv/pae", None),
        ("custom_hvparams", {"vga": "none"}),
        ("osparams", {"a": "1", "b": "2", "c": "3"}),
        ("custom_osparams", {"c": "3"}),
        ("be/memory", 64),
        ("be/auto_balance", True),
        ("network_port", 11000),
        ("nic.vlan/0", "7"),
        ("nic.vlan/1", None),
        ("nic.bridge/0", None),
        ("nic.links", ["sw", "br0"]),
        ("nic.modes", ["openvswitch", "routed"]),
        ("nic.bridges", [None, None]),
        ("nic.names", ["eth", None]),
        ("nic.networks.names", ["net1", None]),
        ("nic.count", 2),
        ("ip", "10.77.5.9"),
        ("disk_template", "drbd"),
        ("disk_usage", 32 + 1000 + 2 * 128),
        ("disk.sizes", [32, 1000]),
        ("sdb_size", 1000),
        ("disk.spindles/1", 2),
        ("disk.name/0", "data"),
        ("snodes", ["node2.gnt.test"]),
        ("snodes.group", ["group2"]),
        ("snodes.group.uuid", [GROUP2]),
    ],
)
def test_an_instance(layered: View, field: str, value: Json) -> None:
    assert show(layered, "instance", "inst2.gnt.test", field) == [value]


def test_parameters_of_the_whole_cluster_are_not_shown_with_instances(layered: View) -> None:
    (hvparams,) = show(layered, "instance", "inst2.gnt.test", "hvparams")
    assert isinstance(hvparams, dict)
    assert not hvparams.keys() & {"migration_port", "migration_bandwidth", "migration_mode"}
    assert hvparams["vnet_hdr"] is True


def test_disks_of_several_templates_are_mixed(stored: dict[str, Any]) -> None:
    changed = copy.deepcopy(stored)
    plain = {**changed["disks"][DISK], "uuid": SECOND, "dev_type": "plain",
             "logical_id": ["vg", "lv"]}  # fmt: skip
    changed["disks"][SECOND] = plain
    changed["instances"][INST2]["disks"].append(SECOND)
    view = View(load_configuration(changed))
    assert show(view, "instance", "inst2.gnt.test", "disk_template") == ["mixed"]


def test_a_node_and_its_group(layered: View) -> None:
    fields = ("ndp/ssh_port", "ndp/spindle_count", "ndp/cpu_speed", "custom_ndparams", "group")
    assert show(layered, "node", "node2.gnt.test", *fields) == [
        24,
        3,
        1,
        {"ssh_port": 24},
        "group2",
    ]
    assert show(layered, "node", "node2.gnt.test", "sinst_list") == [["inst2.gnt.test"]]
    assert show(layered, "group", "group2", "ndp/ssh_port", "pinst_list", "node_cnt") == [
        23, ["tmpl.gnt.test"], 1,
    ]  # fmt: skip


def test_a_groups_own_parameters_win(layered: View) -> None:
    diskparams, ipolicy, custom = show(
        layered, "group", "group2", "diskparams", "ipolicy", "custom_ipolicy"
    )
    assert isinstance(diskparams, dict)
    assert (diskparams["drbd"]["metavg"], diskparams["drbd"]["protocol"]) == ("fast", "C")
    assert diskparams["plain"] == {"stripes": 4}
    assert isinstance(ipolicy, dict)
    assert ipolicy["vcpu-ratio"] == 2.5
    assert ipolicy["spindle-ratio"] == 100000
    assert custom == {"vcpu-ratio": 2.5}


def test_a_network_is_used_by_instances_once(layered: View) -> None:
    assert show(layered, "network", "net1", "inst_list", "inst_cnt") == [
        ["inst1.gnt.test", "inst2.gnt.test"], 2,
    ]  # fmt: skip


def test_a_network_without_bitmaps_has_no_map(stored: dict[str, Any]) -> None:
    changed = copy.deepcopy(stored)
    del changed["networks"][NET1]["ext_reservations"]
    view = View(load_configuration(changed))
    fields = ("map", "free_count", "reserved_count", "external_reservations")
    assert show(view, "network", "net1", *fields) == [None, None, None, None]


def test_whole_numbers_have_no_fraction(stored: dict[str, Any]) -> None:
    changed = copy.deepcopy(stored)
    changed["nodes"][NODE2].update(ctime=5, mtime=7.25)
    changed["cluster"].update(ctime=3)
    view = View(load_configuration(changed))
    shown = show(view, "node", "node2.gnt.test", "ctime", "mtime", "ndp/cpu_speed")
    assert shown == [5, 7.25, 1]
    assert [type(each) for each in shown] == [int, float, int]
    info = cluster_info(view, Release("3.0.2", "", ("64bits", "x86_64")))
    assert (info["ctime"], type(info["ctime"])) == (3, int)


def test_fields_are_the_same_alone_and_among_others(layered: View) -> None:
    fields = [each.name for each in INSTANCES.all_fields()]
    together = plan_query(parse_query("instance", fields, None), layered, {}).chosen().cells()
    for at, field in enumerate(fields):
        alone = plan_query(parse_query("instance", [field], None), layered, {}).chosen().cells()
        assert [row[at] for row in together] == [row[0] for row in alone], field
