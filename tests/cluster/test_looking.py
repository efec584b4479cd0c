"""``gantry confd`` and ``gantry export``: looking at the cluster without LuxiD."""

from __future__ import annotations

import json

from tests.cluster.development import DevCluster


def test_confd_answers_from_the_candidates(cluster: DevCluster) -> None:
    assert json.loads(cluster.run("gantry", "confd", "cluster-master")) == "node1.gantry.test"
    assert json.loads(cluster.run("gantry", "confd", "node-role", "node1.gantry.test")) == 0
    name = cluster.run("gantry", "confd", "config-value", "/cluster/cluster_name")
    assert json.loads(name) == "cluster.gantry.test"


def test_an_unknown_node_is_an_error(cluster: DevCluster) -> None:
    cluster.run("gantry", "confd", "node-role", "node77", status=1)


def test_an_unknown_query_is_refused_with_what_there_is(cluster: DevCluster) -> None:
    asked = cluster.execute("gantry", "confd", "weather")
    assert asked.returncode == 1
    assert "cluster-master" in asked.stderr


def test_the_export_is_what_ganeti_would_have(cluster: DevCluster) -> None:
    exported = json.loads(cluster.run("gantry", "export"))
    assert "gantry" not in exported
    assert exported["version"] == 3000000
    names = {node["name"] for node in exported["nodes"].values()}
    assert "node1.gantry.test" in names
