"""``gnt-network``: what is submitted, and what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.fake_luxid import Command, FakeLuxid
from tests.unit.cli.test_instance_commands import submitted

from gantry.cli.gnt_network.program import PROGRAM as NETWORK

SAMPLES = json.loads(Path("tests/facts/samples/cli.json").read_text())


@pytest.fixture
def jobs(luxid: FakeLuxid) -> FakeLuxid:
    """A LuxiD whose jobs succeed with no result."""
    luxid.answers |= {
        "SubmitJob": lambda _: 7,
        "WaitForJobChange": lambda _: [["success"], []],
        "QueryJobs": lambda _: [["success", ["success"], [None]]],
    }
    return luxid


def test_networks_are_added_changed_and_removed(command: Command, jobs: FakeLuxid) -> None:
    reserved = "--add-reserved-ips=192.0.2.5,192.0.2.6"
    words = ("--network=192.0.2.0/24", "--gateway=192.0.2.1", reserved, "--tags=a,b", "net7")
    assert command(NETWORK, "add", *words).code == 0
    assert (
        command(NETWORK, "modify", "--gateway=none", "--remove-reserved-ips=192.0.2.5", "net7").code
        == 0
    )
    assert command(NETWORK, "rename", "net7", "lab").code == 0
    assert command(NETWORK, "remove", "net7").code == 0
    add, modify, rename, remove = submitted(jobs)
    assert add == {
        "OP_ID": "OP_NETWORK_ADD",
        "network_name": "net7",
        "network": "192.0.2.0/24",
        "gateway": "192.0.2.1",
        "network6": None,
        "gateway6": None,
        "mac_prefix": None,
        "add_reserved_ips": ["192.0.2.5", "192.0.2.6"],
        "conflicts_check": True,
        "tags": ["a", "b"],
    }
    assert (modify["gateway"], modify["remove_reserved_ips"]) == ("none", ["192.0.2.5"])
    assert modify["add_reserved_ips"] is None
    assert rename == {"OP_ID": "OP_NETWORK_RENAME", "network_name": "net7", "new_name": "lab"}
    assert remove == {"OP_ID": "OP_NETWORK_REMOVE", "network_name": "net7", "force": False}


def test_what_is_missing_is_told(command: Command, jobs: FakeLuxid) -> None:
    assert "--network option must be given" in command(NETWORK, "add", "net7").err
    assert "at least one of the parameters" in command(NETWORK, "modify", "net7").err
    ended = command(NETWORK, "connect", "-N", "speed=9", "net7")
    assert "Unknown NIC parameter 'speed'" in ended.err
    assert jobs.requests == []


def test_each_group_is_a_job_of_its_own(command: Command, jobs: FakeLuxid) -> None:
    jobs.answers["SubmitManyJobs"] = lambda _: [[True, 7], [True, 8]]
    jobs.answers["Query"] = {
        "fields": [{"name": "name", "title": "Group", "kind": "text", "doc": "Name"}],
        "data": [[[0, "default"]], [[0, "rack2"]]],
    }
    ended = command(NETWORK, "connect", "-N", "link=br7", "net7")
    assert ended.code == 0
    assert "Waiting for job 8 for rack2 ..." in ended.out
    opcode, second = submitted(jobs)
    assert second["group_name"] == "rack2"
    assert opcode == {
        "OP_ID": "OP_NETWORK_CONNECT",
        "network_name": "net7",
        "group_name": "default",
        "network_mode": "bridged",
        "network_link": "br7",
        "network_vlan": "",
        "conflicts_check": True,
    }


def rows(**values: object) -> object:
    """Return the answer to a query for one object."""
    fields = [{"name": n, "title": n, "kind": "other", "doc": n} for n in values]
    return {"fields": fields, "data": [[[0, value] for value in values.values()]]}


def test_info_looks_as_ganetis(command: Command, luxid: FakeLuxid) -> None:
    (expected,) = [each["stdout"] for each in SAMPLES if each["cmd"] == "gnt-network info net1"]
    taken = 3 * "X" + 252 * "." + "X"
    uuid = "0d123dd2-18d3-4a78-bb17-e560e0d5ddc8"
    found = rows(
        name="net1",
        network="10.77.5.0/24",
        gateway="10.77.5.1",
        network6=None,
        gateway6=None,
        mac_prefix=None,
        free_count=252,
        reserved_count=4,
        map=taken,
        group_list=[["default", "bridged", "br0", ""]],
        inst_list=["inst1.gnt.test"],
        external_reservations="10.77.5.0, 10.77.5.1, 10.77.5.255",
        serial_no=1,
        uuid=uuid,
    )
    user = rows(**{"name": "inst1.gnt.test", "nic.ips": ["10.77.5.2"], "nic.networks": [uuid]})
    luxid.answers["Query"] = [found, user]
    assert command(NETWORK, "info", "net1").out == expected


def test_groups_are_listed_with_how_they_connect(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["Query"] = rows(name="net1", group_list=[["default", "bridged", "br0", ""]])
    ended = command(NETWORK, "list", "-o", "name,group_list", "--no-headers")
    assert ended.out == "net1 default (bridged, br0, )\n"
