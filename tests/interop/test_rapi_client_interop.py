"""Ganeti's Python client of the remote API drives a whole cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.interop.bridge import Bridge, Refused

pytestmark = pytest.mark.cluster

NAME = "r1.gantry.test"
NODES = [f"node{n}.gantry.test" for n in (1, 2, 3)]


@pytest.fixture
def instance(rapi: Bridge) -> Iterator[str]:
    """An instance that the client made, and removes."""
    result = rapi.job(
        "CreateInstance",
        "create",
        NAME,
        "sharedfile",
        [{"size": 64}],
        [{}],
        os="busybox",
        pnode=NODES[0],
        no_install=True,
        name_check=False,
        ip_check=False,
        ignore_ipolicy=True,
        beparams={"memory": 128},
    )
    assert result == [NODES[0]]
    yield NAME
    rapi.job("DeleteInstance", NAME)
    assert NAME not in rapi.call("GetInstances")


def test_it_finds_its_way_around(rapi: Bridge) -> None:
    assert rapi.call("GetVersion") == 2
    assert "instance-create-reqv1" in rapi.call("GetFeatures")
    assert rapi.call("GetInfo")["name"] == "cluster.gantry.test"
    assert rapi.call("GetNodes") == NODES
    assert rapi.call("GetNode", NODES[1])["role"] in ("C", "R")
    assert rapi.call("GetGroup", "default")["alloc_policy"] == "preferred"
    assert "busybox" in rapi.call("GetOperatingSystems")


def test_an_instance_moves(rapi: Bridge, instance: str) -> None:
    rapi.job("MigrateInstance", instance, target_node=NODES[1])
    assert rapi.call("GetInstance", instance)["pnode"] == NODES[1]
    rapi.job("FailoverInstance", instance, target_node=NODES[2])
    found = rapi.call("GetInstance", instance)
    assert (found["pnode"], found["status"]) == (NODES[2], "running")


def test_an_instance_stops_and_starts(rapi: Bridge, instance: str) -> None:
    rapi.job("ShutdownInstance", instance)
    assert rapi.call("GetInstance", instance)["status"] == "ADMIN_down"
    rapi.job("StartupInstance", instance)
    rapi.job("RebootInstance", instance, reboot_type="hard")
    assert rapi.call("GetInstance", instance)["status"] == "running"
    details = rapi.job("GetInstanceInfo", instance)[instance]
    assert (details["run_state"], details["pnode"]) == ("up", NODES[0])


def test_an_instance_is_changed_and_installed_again(rapi: Bridge, instance: str) -> None:
    changed = rapi.job("ModifyInstance", instance, beparams={"vcpus": 2}, ignore_ipolicy=True)
    assert changed == [["be/vcpus", 2]]
    rapi.job("ShutdownInstance", instance)
    assert [each[1] for each in rapi.job("ActivateInstanceDisks", instance)] == ["disk/0"]
    rapi.job("DeactivateInstanceDisks", instance)
    rapi.job("ReinstallInstance", instance, os="busybox")
    assert rapi.call("GetInstance", instance)["custom_beparams"]["vcpus"] == 2


def test_a_nodes_role_changes(rapi: Bridge) -> None:
    assert rapi.call("GetNodeRole", NODES[2]) == "master-candidate"
    rapi.job("SetNodeRole", NODES[2], "drained", auto_promote=True)
    assert rapi.call("GetNodeRole", NODES[2]) == "drained"
    rapi.job("SetNodeRole", NODES[2], "master-candidate")
    assert rapi.call("GetNodeRole", NODES[2]) == "master-candidate"


def test_instances_leave_a_node(rapi: Bridge, instance: str) -> None:
    jobs = rapi.job("MigrateNode", NODES[0], target_node=NODES[1])["jobs"]
    assert [submitted for submitted, _ in jobs] == [True]
    assert rapi.call("WaitForJobCompletion", jobs[0][1], period=0.05, retries=600)
    assert rapi.call("GetInstance", instance)["pnode"] == NODES[1]


def test_groups_are_made_filled_and_removed(rapi: Bridge) -> None:
    rapi.job("CreateGroup", "rack2", alloc_policy="last_resort")
    rapi.job("AssignGroupNodes", "rack2", [NODES[2]])
    assert rapi.call("GetGroup", "rack2")["node_list"] == [NODES[2]]
    rapi.job("ModifyGroup", "rack2", alloc_policy="unallocable")
    assert rapi.job("RenameGroup", "rack2", "rack3") == "rack3"
    assert rapi.call("GetGroup", "rack3")["alloc_policy"] == "unallocable"
    rapi.job("AssignGroupNodes", "default", [NODES[2]])
    rapi.job("DeleteGroup", "rack3")
    assert rapi.call("GetGroups") == ["default"]


def test_the_clusters_settings_change(rapi: Bridge) -> None:
    before = rapi.call("GetInfo")["max_running_jobs"]
    rapi.job("ModifyCluster", max_running_jobs=before + 1)
    assert rapi.call("GetInfo")["max_running_jobs"] == before + 1
    rapi.job("ModifyCluster", max_running_jobs=before)


def test_tags_come_and_go(rapi: Bridge, instance: str) -> None:
    rapi.job("AddInstanceTags", instance, ["one", "two"])
    assert rapi.call("GetInstanceTags", instance) == ["one", "two"]
    rapi.job("DeleteInstanceTags", instance, ["one"])
    assert rapi.call("GetInstanceTags", instance) == ["two"]


def test_queries_come_with_definitions(rapi: Bridge, instance: str) -> None:
    found = rapi.call("Query", "instance", ["name", "pnode"], ["=", "name", instance])
    assert [field["kind"] for field in found["fields"]] == ["text", "text"]
    assert found["data"] == [[[0, instance], [0, NODES[0]]]]
    assert {"name", "mfree"} <= {f["name"] for f in rapi.call("QueryFields", "node")["fields"]}


def test_what_is_not_there_is_404(rapi: Bridge) -> None:
    with pytest.raises(Refused) as refused:
        rapi.call("GetInstance", "nowhere.gantry.test")
    assert refused.value.kind == 404
