"""Where a development cluster's nodes are, and the network that it holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gantry.cli.devcluster import layout, subnets
from gantry.cli.devcluster.layout import DevClusterError
from gantry.runtime.paths import Paths


def test_each_node_has_a_root_named_like_it_and_an_address(tmp_path: Path) -> None:
    made = layout.plan(tmp_path, "127.70.1", 3, "loopback", "fake")
    assert [node.root for node in made.nodes] == [
        tmp_path / f"node{number}.gantry.test" for number in (1, 2, 3)
    ]
    assert made.nodes[2].address == "127.70.1.3"
    assert "127.70.1.3 node3.gantry.test node3" in made.hosts().splitlines()
    assert "127.70.1.254 cluster.gantry.test cluster" in made.hosts().splitlines()
    assert made.node("node2") == made.node("node2.gantry.test") == made.nodes[1]


def test_a_layout_is_found_again(tmp_path: Path) -> None:
    made = layout.plan(tmp_path, "127.70.1", 3, "loopback", "fake")
    assert layout.find(tmp_path) is None
    layout.save(made)
    assert layout.existing(tmp_path) == made


def test_only_the_master_has_the_masters_daemons(tmp_path: Path) -> None:
    made = layout.plan(tmp_path, "127.70.1", 2, "loopback", "fake")
    assert set(layout.MASTER) <= set(made.programs(made.nodes[0]))
    assert made.programs(made.nodes[1]) == layout.ALL_NODES


def test_sockets_of_a_deep_folder_have_short_paths(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    made = layout.plan(deep, "127.70.1", 1, "loopback", "fake")
    variables = made.variables(made.master, {"PATH": "/usr/bin", "XDG_RUNTIME_DIR": "/long"})
    paths = Paths.of(variables)
    assert len(str(paths.socket("job-100000000"))) < 100
    assert paths.root == made.master.root
    assert variables["PATH"].endswith(":/usr/bin")


@pytest.mark.parametrize("count", [0, 201])
def test_the_number_of_nodes_is_limited(tmp_path: Path, count: int) -> None:
    with pytest.raises(DevClusterError, match="1 to 200 nodes"):
        layout.plan(tmp_path, "127.70.1", count, "loopback", "fake")


def test_an_unknown_node_is_named_with_the_known_ones(tmp_path: Path) -> None:
    made = layout.plan(tmp_path, "127.70.1", 2, "loopback", "fake")
    with pytest.raises(DevClusterError, match=r"no node node9 here; the nodes are: node1, node2"):
        made.node("node9")


def test_clusters_get_different_networks(tmp_path: Path) -> None:
    folder = tmp_path / "subnets"
    first, second = subnets.take(folder), subnets.take(folder)
    assert first.prefix != second.prefix
    with pytest.raises(DevClusterError, match="held by another cluster"):
        subnets.take_again(first.prefix, folder)
    first.free()
    third = subnets.take(folder)
    assert third.prefix == first.prefix
    second.free()
    third.free()
    assert list(folder.iterdir()) == []


def test_the_lock_of_a_killed_supervisor_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "subnets"
    left = subnets.take(folder)
    subnets.forget(left.prefix, folder)
    assert left.path.exists()  # it is held
    os.close(left.fd)
    subnets.forget(left.prefix, folder)
    assert not left.path.exists()
