"""A master that is cut off, on nodes with networks of their own: nothing it could not acknowledge
comes back, and the cluster's address goes with the master."""

from __future__ import annotations

import os
import subprocess
from functools import partial

import pytest
from tests.cluster.conftest import NewCluster
from tests.cluster.development import DevCluster
from tests.cluster.test_failover import DATA, eventually, same_end, tags

from gantry.cli.devcluster.entering import holder_of
from gantry.cli.devcluster.namespaces import BRIDGE, SWITCH

RETRANSMITTED_SECONDS_MAX = 60.0
"""The kernel sends again what a cut has swallowed, later and later: here at most so much later."""


def plug(cluster: DevCluster, node: int, state: str) -> None:
    """Cut a node's link, or mend it."""
    switch = str(holder_of(cluster.layout, SWITCH))
    argv = ["nsenter", "-t", switch, "-n", "--", "ip", "link", "set", f"p{node}", state]
    subprocess.run(argv, check=True)


def has_address(cluster: DevCluster, node: str) -> bool:
    shown = cluster.run("ip", "-o", "address", "show", "dev", BRIDGE, node=node)
    return f" {cluster.layout.cluster_address}/32 " in shown


def test_a_master_that_was_cut_off_gives_everything_back(new_cluster: NewCluster) -> None:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    cluster = new_cluster("--nodes", "3", "--net", "netns")
    eventually(lambda: has_address(cluster, "node1"), "the master has the cluster's address")
    cluster.run("gnt-cluster", "deactivate-master-ip", "--yes")
    assert not has_address(cluster, "node1")
    cluster.run("gnt-cluster", "activate-master-ip")
    assert has_address(cluster, "node1")
    cluster.run("gnt-cluster", "add-tags", "kept")

    plug(cluster, 1, "down")
    unsure = cluster.execute("gnt-cluster", "add-tags", "never-acknowledged")
    assert unsure.returncode == 1
    said = cluster.run("gnt-cluster", "master-failover", node="node2")
    assert "node1.gantry.test does not answer" in said
    eventually(lambda: has_address(cluster, "node2"), "the address is where the new master is")
    cluster.run("gnt-cluster", "add-tags", "new", node="node2")
    assert has_address(cluster, "node1")  # nobody could tell it

    plug(cluster, 1, "up")
    eventually(
        lambda: not has_address(cluster, "node1"),
        "the old master lets the address go",
        RETRANSMITTED_SECONDS_MAX,
    )
    for log in ("config.log", "queue.journal"):
        eventually(
            partial(same_end, cluster, "node1", "node2", log),
            f"{log} is equal",
            RETRANSMITTED_SECONDS_MAX,
        )
    assert tags(cluster, "node2") == {"kept", "new"}
    aside = (cluster.layout.node("node1").root / DATA).glob("queue*aside*")
    assert [path.name for path in aside]  # its job was never acknowledged, and is kept to look at
    cluster.run("gnt-cluster", "verify", node="node2")

    # A candidate that was cut off for some time catches up by itself.
    plug(cluster, 3, "down")
    cluster.run("gnt-cluster", "add-tags", "without-node3", node="node2")
    plug(cluster, 3, "up")
    eventually(
        partial(same_end, cluster, "node3", "node2", "config.log"),
        "node3 catches up",
        RETRANSMITTED_SECONDS_MAX,
    )
