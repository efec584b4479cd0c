"""A cluster for clients that we did not write, and those clients."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from tests.cluster.development import DevCluster, down, up
from tests.interop.bridge import Bridge

HTOOLS = Path("/usr/lib/ganeti/3.0/usr/bin")
"""Where Debian's ganeti-htools-3.0 has its programs."""

HAIL = Path("/usr/lib/ganeti/3.0/usr/lib/ganeti/iallocators/hail")
SYSTEM_PYTHON = "/usr/bin/python3"
SECONDS_MAX = 60


@frozen
class Htools:
    """Ganeti's own tools, pointed at a development cluster as at a cluster of Ganeti's."""

    cluster: DevCluster

    def run(self, program: str, *options: str, status: int = 0) -> str:
        """Run one on the master and return what it printed."""
        ended = subprocess.run(
            [HTOOLS / program, *options],
            env=as_on(self.cluster),
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert ended.returncode == status, (program, ended.stdout, ended.stderr)
        return ended.stdout


def as_on(cluster: DevCluster) -> dict[str, str]:
    """Return the environment in which programs of Ganeti's take the master for this machine."""
    master = cluster.master
    return {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "GANETI_ROOTDIR": str(master.root),
        "GANETI_HOSTNAME": master.name,
    }


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
def rapi(cluster: DevCluster) -> Iterator[Bridge]:
    """Ganeti's own client of the remote API, logged in at the cluster's master."""
    if not list(Path("/usr/lib/python3/dist-packages").glob("ganeti/rapi")):
        pytest.skip("apt install python3-ganeti-rapi")
    users = cluster.master.root / "var/lib/ganeti/rapi/users"
    users.write_text(users.read_text() + "tester secret write\n")
    with Bridge.to(SYSTEM_PYTHON, "rapi", cluster.master.address, env=os.environ) as bridge:
        yield bridge


@pytest.fixture(scope="session")
def ganeti_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with Ganeti's Python modules.

    They come with its daemons, so that the package is unpacked and not installed.
    """
    modules = "import OpenSSL, bitarray, psutil, pycurl, pyparsing, simplejson"
    if subprocess.run([SYSTEM_PYTHON, "-c", modules], check=False, capture_output=True).returncode:
        pytest.skip("run .ci/system-packages: Ganeti's LUXI client needs Python modules")
    folder = tmp_path_factory.mktemp("ganeti")
    fetched = subprocess.run(
        ["apt-get", "download", "ganeti-3.0"], cwd=folder, check=False, capture_output=True
    )
    found = list(folder.glob("ganeti-3.0_*.deb"))
    if fetched.returncode or not found:
        pytest.skip("apt-get can not download ganeti-3.0")
    subprocess.run(["dpkg-deb", "-x", str(found[0]), str(folder)], check=True)
    return folder / "usr/share/ganeti/3.0"


@pytest.fixture
def luxi(cluster: DevCluster, ganeti_modules: Path) -> Iterator[Bridge]:
    """Ganeti's own client of LUXI, which looks for the socket by itself."""
    env = as_on(cluster) | {"PYTHONPATH": str(ganeti_modules), "PYTHONDONTWRITEBYTECODE": "1"}
    with Bridge.to(SYSTEM_PYTHON, "luxi", env=env) as bridge:
        yield bridge
