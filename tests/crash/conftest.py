"""A cluster to break things in, and the marker of this folder's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.development import DevCluster, down, up
from tests.crash.jobs import Jobs
from tests.crash.plain_os import install_plain_os
from tests.crash.wholeness import assert_whole

NewCluster = Callable[..., DevCluster]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.crash)


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """Three nodes with the fake hypervisor and the OS definition ``plain``."""
    folder = tmp_path_factory.mktemp("crash") / "dev"
    try:
        cluster = up(folder, "--nodes", "3", "--hypervisor", "fake")
        install_plain_os(cluster)
        yield cluster
    finally:
        down(folder)


@pytest.fixture
def cluster(shared_cluster: DevCluster) -> Iterator[DevCluster]:
    """The session's cluster, which a test must leave whole and empty, whatever it broke."""
    yield shared_cluster
    with Jobs.of(shared_cluster) as jobs:
        assert_whole(shared_cluster, jobs, instances=0)


@pytest.fixture
def jobs(cluster: DevCluster) -> Iterator[Jobs]:
    """A client of the cluster's LuxiD."""
    with Jobs.of(cluster) as client:
        yield client


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[NewCluster]:
    """Make clusters that a test has for itself: ``new_cluster("--nodes", "1")``."""
    folders: list[Path] = []

    def make(*options: str, hypervisor: str = "fake") -> DevCluster:
        folders.append(tmp_path / f"dev{len(folders)}")
        cluster = up(folders[-1], "--hypervisor", hypervisor, *options)
        install_plain_os(cluster)
        return cluster

    try:
        yield make
    finally:
        for folder in folders:
            down(folder)
