"""RConfD answers from committed records, and goes on when all candidates but one are gone."""

from __future__ import annotations

import json

from tests.cluster.conftest import NewCluster
from tests.cluster.development import DevCluster
from tests.cluster.test_failover import DATA, eventually


def tags_by_confd(cluster: DevCluster, node: str) -> set[str]:
    tags = cluster.run("gantry", "confd", "config-value", "/cluster/tags", node=node)
    return set(json.loads(tags))


def committed(cluster: DevCluster, node: str) -> int:
    """Return up to where a node knows that the configuration's log counts."""
    mark = cluster.layout.node(node).root / DATA / "config.committed"
    return int(mark.read_text().split()[2]) if mark.exists() else 0


def test_the_last_candidate_answers(new_cluster: NewCluster) -> None:
    cluster = new_cluster("--nodes", "3")
    cluster.run("gnt-cluster", "add-tags", "kept")
    eventually(
        lambda: committed(cluster, "node3") == committed(cluster, "node1") > 0,
        "the candidate hears what is committed",
    )
    ips = cluster.layout.node("node3").root / DATA / "ssconf_master_candidates_ips"
    eventually(lambda: len(ips.read_text().split()) == 3, "the candidate knows the others")
    cluster.kill_all("node1")
    cluster.kill_all("node2")

    eventually(lambda: tags_by_confd(cluster, "node3") == {"kept"}, "RConfD follows the log")
    role = cluster.run("gantry", "confd", "node-role", "node1.gantry.test", node="node3")
    assert json.loads(role) == 0
