"""Five nodes, several people at work, and everything that can happen to real machines.

``make chaos MINUTES=30`` runs it for longer; the seed that it prints repeats the disasters, though
not the moments at which they strike: those are the machine's.
"""

from __future__ import annotations

import os
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
from tests.chaos.disasters import Disaster, draw, strike
from tests.chaos.people import Crowd, working
from tests.cluster.development import DevCluster, down, up
from tests.crash import jobs as op
from tests.crash.plain_os import install_plain_os

PEOPLE = 4
PAUSE_SECONDS_MAX = 2.0
DISK_BYTES = 512 * 1024 * 1024


@define
class Record:
    """What has happened, to be told at the end."""

    seed: int
    began: float = field(factory=time.monotonic)
    disasters: list[tuple[float, Disaster]] = field(factory=list)

    def note(self, disaster: Disaster) -> None:
        """Note a disaster that is about to strike."""
        self.disasters.append((time.monotonic() - self.began, disaster))

    def tell(self, crowd: Crowd) -> None:
        """Print what was done and what has happened."""
        ended = Counter(each.status for each in crowd.ended)
        kinds = Counter(type(disaster).__name__ for _, disaster in self.disasters)
        print(f"\nchaos: seed {self.seed}, jobs {dict(ended)}, disasters {dict(kinds)}")  # noqa: T201 - the figures of the run
        for moment, disaster in self.disasters:
            print(f"  {moment:7.2f} s  {disaster}")  # noqa: T201 - the figures of the run


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of the cluster's own, as root, so that it can be full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        yield folder
        return
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def cluster(disk: Path) -> Iterator[DevCluster]:
    """Five nodes; as root each has a network namespace, and cables that can be pulled."""
    net = "netns" if os.geteuid() == 0 else "loopback"
    folder = disk / "dev"
    try:
        cluster = up(folder, "--nodes", "5", "--hypervisor", "fake", "--net", net)
        install_plain_os(cluster)
        yield cluster
    finally:
        down(folder)


@pytest.mark.chaos
def test_nothing_is_lost_and_nothing_stays(
    cluster: DevCluster, pytestconfig: pytest.Config
) -> None:
    minutes = float(pytestconfig.getoption("--chaos-minutes"))
    seed = int(pytestconfig.getoption("--chaos-seed"))
    random, record = Random(seed), Record(seed)
    with working(cluster, random, PEOPLE) as crowd:
        try:
            while time.monotonic() < record.began + minutes * 60:
                crowd.wait(random.uniform(0.0, PAUSE_SECONDS_MAX))
                disaster = draw(random, cluster)
                record.note(disaster)
                strike(cluster, disaster, crowd.wait)
        finally:
            record.tell(crowd)
    with Client.of(cluster) as client:
        checks.check_jobs(crowd, client)
        assert client.wait(client.submit(op.tag_cluster("after"))).status == "success"
    checks.check_whole(cluster)
    checks.check_people(crowd)
    checks.check_replicas(cluster)
    checks.check_verified(cluster)
