"""Five nodes, several people at work, and everything that can happen to real machines.

``make chaos MINUTES=30`` runs it for longer, ``HYPERVISOR=kvm`` with QEMU guests; the seed that it
prints repeats the disasters, though not the moments at which they strike: those are the machine's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from attrs import define, field
from tests.chaos import checks
from tests.chaos.clients import Client
from tests.chaos.disasters import Disaster, Scene, draw, strike
from tests.chaos.onlooker import Onlooker
from tests.chaos.people import Crowd, working
from tests.chaos.remote import let_in
from tests.chaos.watcher import Watcher
from tests.chaos.wishes import FAKE, KVM
from tests.cluster.development import DevCluster, down, up
from tests.crash import jobs as op
from tests.crash.plain_os import install_plain_os

PEOPLE = {"fake": 5, "kvm": 3}
"""The first of them works over RAPI; beside them there is an operator."""

PAUSE_SECONDS_MAX = 2.0
DISK_BYTES = {"fake": 512 * 1024 * 1024, "kvm": 2048 * 1024 * 1024}
"""For the files of all nodes: journals, logs and images."""


@define
class Record:
    """What has happened, to be told at the end."""

    seed: int
    began: float = field(factory=time.monotonic)
    disasters: list[tuple[float, Disaster]] = field(factory=list)

    def note(self, disaster: Disaster) -> None:
        """Note a disaster that is about to strike."""
        self.disasters.append((time.monotonic() - self.began, disaster))

    def tell(self, crowd: Crowd, onlooker: Onlooker) -> None:
        """Print what was done and what has happened."""
        ended = Counter(each.status for each in crowd.ended)
        kinds = Counter(type(disaster).__name__ for _, disaster in self.disasters)
        print(f"\nchaos: seed {self.seed}, jobs {dict(ended)}, disasters {dict(kinds)}")  # noqa: T201 - the figures of the run
        print(f"chaos: {crowd.doubtful} doubtful instances, {onlooker.looks} looks")  # noqa: T201 - the figures of the run
        for moment, disaster in self.disasters:
            print(f"  {moment:7.2f} s  {disaster}")  # noqa: T201 - the figures of the run
        for problem in crowd.problems:
            print(f"chaos: {problem!r}")  # noqa: T201 - a disaster's own failure may hide it


@pytest.fixture
def hypervisor(pytestconfig: pytest.Config) -> str:
    """``fake`` or ``kvm``."""
    return str(pytestconfig.getoption("--chaos-hypervisor"))


@pytest.fixture
def disk(hypervisor: str, tmp_path: Path) -> Iterator[Path]:
    """A file system of the cluster's own, as root, so that it can be full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        yield folder
        return
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(DISK_BYTES[hypervisor])
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def cluster(hypervisor: str, disk: Path, tmp_path: Path) -> Iterator[DevCluster]:
    """Five nodes; as root each has a network namespace, and cables that can be pulled."""
    net = "netns" if os.geteuid() == 0 else "loopback"
    folder = disk / "dev"
    try:
        cluster = up(folder, "--nodes", "5", "--hypervisor", hypervisor, "--net", net)
        install_plain_os(cluster)
        let_in(cluster)
        yield cluster
    finally:
        keep_logs(folder, tmp_path / "logs")
        down(folder)


def keep_logs(folder: Path, kept: Path) -> None:
    """Copy what daemons have written to where it outlives the cluster: pytest keeps a few runs."""
    kept.mkdir()
    patterns = ("logs/*", "node*/var/log/ganeti/*.log", "node*/var/lib/ganeti/q*.journal")
    for log in (path for pattern in patterns for path in folder.glob(pattern)):
        node = log.relative_to(folder).parts[0]
        shutil.copy(log, kept / f"{node}-{log.name}")


@pytest.mark.chaos
def test_nothing_is_lost_and_nothing_stays(
    hypervisor: str, cluster: DevCluster, pytestconfig: pytest.Config
) -> None:
    minutes = float(pytestconfig.getoption("--chaos-minutes"))
    seed = int(pytestconfig.getoption("--chaos-seed"))
    random, record = Random(seed), Record(seed)
    scene, onlooker = Scene(cluster), Onlooker(cluster)
    guests = KVM if hypervisor == "kvm" else FAKE
    with working(cluster, random, guests, PEOPLE[hypervisor], onlooker.look) as crowd:
        try:
            while time.monotonic() < record.began + minutes * 60:
                crowd.wait(random.uniform(0.0, PAUSE_SECONDS_MAX))
                disaster = draw(random, cluster)
                record.note(disaster)
                strike(scene, disaster, crowd.wait)
        finally:
            record.tell(crowd, onlooker)
    client = Client(cluster)
    try:
        assert client.wait(client.submit(op.delay(0.0))).status == "success"
        checks.settled(crowd, client, Watcher(client, frozenset(scene.dead_guests)).care)
    finally:
        client.close()
    said = cluster.run("gnt-cluster", "verify", node=cluster.master.short_name)
    assert "ERROR" not in said, said
