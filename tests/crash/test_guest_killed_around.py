"""A real guest goes on counting while what looks after it is killed: NodeD, a migrating job."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time

import pytest
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.conftest import NewCluster
from tests.crash.jobs import Jobs, paths_of
from tests.crash.killing import kill_at, no_restarts, wait_for_call
from tests.crash.wholeness import configuration_of

from gantry.cli.devcluster.found import processes_of

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(
        shutil.which("qemu-system-x86_64") is None,
        reason="QEMU is not installed: apt install qemu-system-x86",
    ),
]

GUEST_SECONDS_MAX = 90.0
"""For anything that a guest does."""

LOOK_SECONDS = 0.05
RECORDS_OF_A_MIGRATION = (2, 4, 5, 8)
"""Moments before and after the guest has moved: the twin tests try every one."""

STEP_SEND = 2
"""The step of a migration in which the guest moves: hooks and the target come before it."""


def count_of(cluster: DevCluster, node: str) -> int:
    """Return the last whole number that the guest has written on its console there."""
    log = paths_of(cluster, node).logs / "kvm" / f"{op.full('a')}.serial.log"
    if not log.exists():
        return -1
    numbers = re.findall(r"tick (\d+)\s*\n", log.read_text(errors="replace"))
    return int(numbers[-1]) if numbers else -1


def goes_on(cluster: DevCluster, node: str) -> None:
    """Wait until the guest counts on."""
    before, deadline = count_of(cluster, node), time.monotonic() + GUEST_SECONDS_MAX
    while count_of(cluster, node) <= before:
        assert time.monotonic() < deadline, f"the guest says nothing on {node}"
        time.sleep(LOOK_SECONDS)  # a file that another process writes has no event


def guests(cluster: DevCluster) -> list[int]:
    """Return the process ids of the QEMUs."""
    return [p.pid for p in processes_of(cluster.folder) if f"-name {op.full('a')} " in p.command]


def place(cluster: DevCluster) -> str:
    """Return the short name of the node that the configuration names."""
    found = configuration_of(cluster)
    [instance] = found.instances.values()
    return found.nodes[instance.primary_node].name.partition(".")[0]


@pytest.fixture
def cluster(new_cluster: NewCluster) -> DevCluster:
    return new_cluster("--nodes", "2", hypervisor="kvm")


def test_it_counts_on(cluster: DevCluster) -> None:
    with Jobs.of(cluster) as jobs:
        disk = [{"size": 64}]
        jobs.succeed(op.add("a", "node1", os_type="busybox", disks=disk, osparams={"tick": "0.2"}))
        goes_on(cluster, "node1")
        [qemu] = guests(cluster)
        cluster.kill("gantry-noded", "node1")
        goes_on(cluster, "node1")
        assert guests(cluster) == [qemu]
        assert "running" in cluster.run("gnt-instance", "list", "--no-headers", "-o", "status")
        for records in RECORDS_OF_A_MIGRATION:
            migrate_and_kill(cluster, jobs, records)
        migrate_and_silence(cluster, jobs)
        jobs.succeed(op.remove("a"))
        assert guests(cluster) == []


def migrate_and_kill(cluster: DevCluster, jobs: Jobs, records: int) -> None:
    source = place(cluster)
    target = "node2" if source == "node1" else "node1"
    job = jobs.submit(op.migrate("a", target))
    kill_at(cluster, job, records)
    ended = jobs.wait(job)
    assert place(cluster) == (target if ended.status == "success" else source), ended
    assert len(guests(cluster)) == 1, ended
    goes_on(cluster, place(cluster))


def migrate_and_silence(cluster: DevCluster, jobs: Jobs) -> None:
    """Kill the source's NodeD under way, for longer than a restart takes: nothing is guessed."""
    source = place(cluster)
    target = "node2" if source == "node1" else "node1"
    noded = cluster.pid("gantry-noded", source)
    with no_restarts(cluster):
        job = jobs.submit(op.migrate("a", target))
        wait_for_call(cluster, source, job, STEP_SEND)
        os.kill(noded, signal.SIGKILL)
        jobs.wait_for_log(job, "asking again")
    assert jobs.wait(job).status == "success"
    assert place(cluster) == target
    assert len(guests(cluster)) == 1
    goes_on(cluster, target)
