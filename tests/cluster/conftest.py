"""Clusters for tests: one of three nodes for the whole session, and fresh ones on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.development import DevCluster, down, up

NewCluster = Callable[..., DevCluster]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """Three nodes with the fake hypervisor, shared by the session's tests.

    A test leaves it as it was: no instances, all daemons running.
    """
    folder = tmp_path_factory.mktemp("cluster") / "dev"
    try:
        yield up(folder, "--nodes", "3", "--hypervisor", "fake")
    finally:
        down(folder)


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[NewCluster]:
    """Make clusters that a test has for itself: ``new_cluster("--nodes", "1")``."""
    folders: list[Path] = []

    def make(*options: str, hypervisor: str = "fake") -> DevCluster:
        folders.append(tmp_path / f"dev{len(folders)}")
        return up(folders[-1], "--hypervisor", hypervisor, *options)

    try:
        yield make
    finally:
        for folder in folders:
            down(folder)
