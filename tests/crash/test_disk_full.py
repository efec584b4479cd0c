"""No space for the cluster's data: changes are refused, reads go on, and then it goes on itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.conftest import NewCluster
from tests.crash.jobs import Jobs, paths_of
from tests.crash.wholeness import assert_verified, assert_whole

from gantry.cli.errors import ServerFailure

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")

SIZE = "6m"
MASTER = ("gantry-wconfd", "gantry-forkserver", "gantry-luxid")
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.02
SUBMISSIONS_MAX = 100


@frozen
class SmallDisk:
    """A file system of few megabytes."""

    folder: Path

    def fill(self) -> None:
        """Leave no room."""
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            for size in (65536, 1):
                try:
                    while True:
                        ballast.write(b"\0" * size)
                except OSError:
                    continue

    def free(self) -> None:
        """Make room again."""
        (self.folder / "ballast").unlink()


@pytest.fixture
def cluster(new_cluster: NewCluster) -> DevCluster:
    return new_cluster("--nodes", "1")


@pytest.fixture
def disk(cluster: DevCluster) -> Iterator[SmallDisk]:
    """What the master's daemons write to; NodeD, with its own journal, is elsewhere."""
    data = paths_of(cluster).data
    for program in reversed(MASTER):
        cluster.stop(program)
    kept = data.with_name("kept")
    shutil.copytree(data, kept, symlinks=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", data], check=True)
    try:
        shutil.copytree(kept, data, symlinks=True, dirs_exist_ok=True)
        for program in MASTER:
            cluster.start(program)
        yield SmallDisk(data)
    finally:
        for program in reversed(MASTER):
            cluster.stop(program)
        subprocess.run(["umount", "--lazy", data], check=True)


def test_changes_are_refused_and_reads_go_on(cluster: DevCluster, disk: SmallDisk) -> None:
    with Jobs.of(cluster) as jobs:
        jobs.succeed(op.tag_cluster("before"))
        disk.fill()
        accepted = submit_until_refused(jobs)
        ended = cluster.execute("gnt-cluster", "add-tags", "never")
        assert ended.returncode == 1
        assert "No space left on device" in ended.stderr
        assert cluster.run("gnt-cluster", "list-tags").split() == ["before"]
        assert "success" in cluster.run("gnt-job", "list")
        disk.free()
        jobs.succeed(op.tag_cluster("after"))
        ended_well = [jobs.wait(job).status == "success" for job in accepted]
        tags = {f"full-{number}" for number, well in enumerate(ended_well) if well}
        assert assert_whole(cluster, jobs).cluster_tags == {"before", "after"} | tags


def test_a_running_job_ends_once_there_is_room(cluster: DevCluster, disk: SmallDisk) -> None:
    with Jobs.of(cluster) as jobs:
        job = jobs.submit(op.delay(0.5, "node1"), op.add("a", "node1"))
        until_running(jobs, job)
        disk.fill()
        disk.free()
        ended = jobs.wait(job)
        picture = assert_whole(cluster, jobs)
        assert bool(picture.instances) == (ended.status == "success")
        if ended.status == "success":
            jobs.succeed(op.remove("a"))
        jobs.succeed(op.add("a", "node1"))
        jobs.succeed(op.remove("a"))
        assert_verified(cluster)


def submit_until_refused(jobs: Jobs) -> list[int]:
    """Submit jobs that tag the cluster; the journal's last page has room for some."""
    accepted: list[int] = []
    while len(accepted) < SUBMISSIONS_MAX:
        try:
            accepted.append(jobs.submit(op.tag_cluster(f"full-{len(accepted)}")))
        except ServerFailure as refusal:
            if "No space left on device" not in refusal.text:
                raise
            return accepted
    raise AssertionError("nothing is refused")


def until_running(jobs: Jobs, job: int) -> None:
    previous: list[object] | None = None
    while previous != ["running"]:
        previous = jobs.client.wait_for_job_change(job, previous, 0, 20).values
