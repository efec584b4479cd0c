"""A cluster for clients that we did not write, and those clients."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from tests.cluster.development import DevCluster, down, up
from tests.interop.rapi_bridge import RapiBridge

HTOOLS = Path("/usr/lib/ganeti/3.0/usr/bin")
"""Where Debian's ganeti-htools-3.0 has its programs."""

HAIL = Path("/usr/lib/ganeti/3.0/usr/lib/ganeti/iallocators/hail")
SECONDS_MAX = 60


@frozen
class Htools:
    """Ganeti's own tools, pointed at a development cluster as at a cluster of Ganeti's."""

    cluster: DevCluster

    def run(self, program: str, *options: str, status: int = 0) -> str:
        """Run one on the master and return what it printed."""
        master = self.cluster.master
        ended = subprocess.run(
            [HTOOLS / program, *options],
            env={
                **os.environ,
                "LC_ALL": "C.UTF-8",
                "GANETI_ROOTDIR": str(master.root),
                "GANETI_HOSTNAME": master.name,
            },
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert ended.returncode == status, (program, ended.stdout, ended.stderr)
        return ended.stdout


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """Three nodes with the fake hypervisor; a test leaves it without instances."""
    folder = tmp_path_factory.mktemp("interop") / "dev"
    try:
        yield up(folder, "--nodes", "3", "--hypervisor", "fake")
    finally:
        down(folder)


@pytest.fixture(scope="session")
def htools_installed() -> None:
    """Skip where there are no htools."""
    if not HTOOLS.is_dir():
        pytest.skip("apt install ganeti-htools-3.0")


@pytest.fixture
def htools(htools_installed: None, cluster: DevCluster) -> Htools:
    """The tools, for the cluster."""
    return Htools(cluster)


@pytest.fixture(scope="session")
def rapi(cluster: DevCluster) -> Iterator[RapiBridge]:
    """Ganeti's own client of the remote API, logged in at the cluster's master."""
    python = shutil.which("python3", path="/usr/bin")
    if python is None or not list(Path("/usr/lib/python3/dist-packages").glob("ganeti/rapi")):
        pytest.skip("apt install python3-ganeti-rapi")
    users = cluster.master.root / "var/lib/ganeti/rapi/users"
    users.write_text(users.read_text() + "tester secret write\n")
    with RapiBridge.to(python, cluster.master.address) as bridge:
        yield bridge
