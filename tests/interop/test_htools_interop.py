"""Ganeti's own htools read the cluster over LUXI, and move instances by submitting jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.cluster.development import DevCluster
from tests.interop.conftest import Htools

pytestmark = pytest.mark.cluster

NAMES = [f"h{n}.gantry.test" for n in (1, 2, 3)]


@pytest.fixture
def crowded(cluster: DevCluster) -> Iterator[DevCluster]:
    """Three instances on one node: something to balance."""
    for name in NAMES:
        cluster.run(
            *("gnt-instance", "add", "-t", "sharedfile", "-s", "64M", "-o", "busybox"),
            *("--no-install", "--no-name-check", "--no-ip-check", "--ignore-ipolicy"),
            *("-B", "memory=128", "-n", "node1", name),
        )
    yield cluster
    for name in NAMES:
        cluster.run("gnt-instance", "remove", "-f", name)


def places(cluster: DevCluster) -> list[str]:
    return cluster.run("gnt-instance", "list", "--no-headers", "-o", "pnode").split()


def test_hinfo_counts_what_there_is(htools: Htools, crowded: DevCluster) -> None:
    said = htools.run("hinfo", "-L")
    assert "Loaded 3 nodes, 3 instances, 1 node group" in said
    assert "Cluster is N+1 happy" in said


def test_the_remote_api_says_the_same(htools: Htools, crowded: DevCluster) -> None:
    over_rapi = htools.run("hinfo", "-m", f"https://{crowded.master.address}:5080")
    assert "Loaded 3 nodes, 3 instances, 1 node group" in over_rapi


def test_hroller_puts_the_master_last(htools: Htools, crowded: DevCluster) -> None:
    order = re.split(r"[\s,]+", htools.run("hroller", "-L", "--no-headers").strip())
    assert set(order) == {f"node{n}.gantry.test" for n in (1, 2, 3)}
    assert order[-1] == "node1.gantry.test"


def test_hcheck_finds_no_node_in_trouble(htools: Htools, cluster: DevCluster) -> None:
    said = htools.run("hcheck", "-L", "--machine-readable", "--no-simulation")
    found = dict(re.findall(r"^HCHECK_(\w+)=(.*)$", said, re.MULTILINE))
    assert found["OK"] == "1"
    assert found["INIT_CLUSTER_N1_FAIL"] == "0"


def test_hspace_finds_room(htools: Htools, cluster: DevCluster) -> None:
    said = htools.run("hspace", "-L", "--machine-readable", "--standard-alloc=1024,64,1")
    found = dict(re.findall(r"^HTS_(\w+)=(.*)$", said, re.MULTILINE))
    assert found["OK"] == "1"
    assert int(found["ALLOC_INSTANCES"]) > 0


def test_hbal_balances(htools: Htools, crowded: DevCluster) -> None:
    assert places(crowded) == ["node1.gantry.test"] * 3
    plan = htools.run("hbal", "-L", "-C")
    assert plan.count("gnt-instance migrate -f -n") == 2
    said = htools.run("hbal", "-L", "-X")
    assert said.count("Got job IDs") == 2
    assert sorted(places(crowded)) == [f"node{n}.gantry.test" for n in (1, 2, 3)]
    assert "gnt-instance migrate" not in htools.run("hbal", "-L", "-C")


def test_hbal_takes_instances_that_do_not_run_along(htools: Htools, crowded: DevCluster) -> None:
    crowded.run("gnt-instance", "shutdown", "--force-multiple", *NAMES)
    htools.run("hbal", "-L", "-X")
    statuses = crowded.run("gnt-instance", "list", "--no-headers", "-o", "status").split()
    assert statuses == ["ADMIN_down"] * 3
