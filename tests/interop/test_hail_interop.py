"""Ganeti's hail chooses nodes for our instances."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.development import DevCluster

pytestmark = pytest.mark.cluster

ADD = (
    *("gnt-instance", "add", "-s", "1G", "-o", "busybox", "--no-install"),
    *("--no-name-check", "--no-ip-check", "-B", "memory=128"),
)


@pytest.fixture
def names(htools_installed: None, cluster: DevCluster) -> Iterator[list[str]]:
    """Names for instances, which are removed in the end."""
    names: list[str] = []
    yield names
    for name in names:
        cluster.run("gnt-instance", "remove", "-f", name)


def primary(cluster: DevCluster, name: str) -> str:
    return cluster.run("gnt-instance", "list", "--no-headers", "-o", "pnode", name).strip()


@pytest.mark.parametrize("template", ["file", "sharedfile"])
def test_it_spreads_new_instances(cluster: DevCluster, names: list[str], template: str) -> None:
    for number in (1, 2, 3):
        name = f"a{number}.gantry.test"
        cluster.run(*ADD, "-t", template, "-I", "hail", name)
        names.append(name)
    assert {primary(cluster, name) for name in names} == {
        f"node{number}.gantry.test" for number in (1, 2, 3)
    }


def test_it_is_the_default_and_moves_instances(cluster: DevCluster, names: list[str]) -> None:
    name = "a1.gantry.test"
    cluster.run(*ADD, "-t", "sharedfile", name)
    names.append(name)
    first = primary(cluster, name)
    cluster.run("gnt-instance", "migrate", "-f", name)
    second = primary(cluster, name)
    cluster.run("gnt-instance", "failover", "-f", "-I", "hail", name)
    assert first != second != primary(cluster, name)


def test_what_fits_nowhere_is_refused_with_hails_reason(cluster: DevCluster) -> None:
    ended = cluster.execute(*ADD, "-t", "file", "-B", "memory=30G", "-I", "hail", "a9.gantry.test")
    assert ended.returncode == 1
    assert "FailMem" in ended.stderr


def test_it_empties_a_node(cluster: DevCluster, names: list[str]) -> None:
    for number in (1, 2):
        name = f"a{number}.gantry.test"
        cluster.run(*ADD, "-t", "sharedfile", "-n", "node1", name)
        names.append(name)
    cluster.run("gnt-instance", "shutdown", names[0])
    cluster.run("gnt-node", "evacuate", "-f", "--primary-only", "-I", "hail", "node1")
    assert "node1.gantry.test" not in {primary(cluster, name) for name in names}
    cluster.run("gnt-instance", "startup", names[0])
    there = primary(cluster, names[0])
    cluster.run("gnt-node", "migrate", "-f", there)
    assert there not in {primary(cluster, name) for name in names}
