"""SIGKILL of each daemon while jobs run: every acknowledged job and change is there, once."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Jobs, paths_of
from tests.crash.stream import streaming
from tests.crash.wholeness import Placed, assert_verified, assert_whole, configuration_of

from gantry.cli.devcluster.bringing_up import command_on

JOBS_BETWEEN = 4
PATIENCE_SECONDS = 30

KILLS = {
    ("gantry-luxid", "node1"): 3,
    ("gantry-wconfd", "node1"): 3,
    ("gantry-forkserver", "node1"): 3,
    ("gantry-noded", "node1"): 2,
    ("gantry-noded", "node2"): 3,
    ("gantry-rconfd", "node2"): 1,
    ("gantry-mond", "node2"): 1,
    ("gantry-rapid", "node1"): 1,
}
"""How often each daemon is killed: those that take no part in jobs once only."""


@pytest.mark.parametrize(("program", "node"), KILLS)
def test_every_job_goes_on(program: str, node: str, cluster: DevCluster, jobs: Jobs) -> None:
    serial = configuration_of(cluster).cluster.serial_no
    with streaming(cluster) as stream:
        for _ in range(KILLS[program, node]):
            stream.advance(JOBS_BETWEEN)
            cluster.kill(program, node)
        stream.advance(JOBS_BETWEEN)
    picture = assert_whole(cluster, jobs)
    assert {each.name for each in picture.instances} == stream.instances
    assert all(each.runs for each in picture.instances)
    assert picture.cluster_tags == stream.tags
    assert configuration_of(cluster).cluster.serial_no == serial + stream.cluster_changes
    assert_all_jobs_ended(jobs, {ended.id for ended in stream.ended})
    assert_verified(cluster)
    tidy_up(jobs, picture.instances, picture.cluster_tags)


def test_asked_to_stop_each_does_so_in_time(cluster: DevCluster, jobs: Jobs) -> None:
    """As systemd does at a shutdown or an upgrade: jobs go on over that, too."""
    layout = cluster.layout
    with streaming(cluster) as stream:
        for program in layout.programs(layout.master):
            cluster.kill(program, number=signal.SIGTERM)
            stream.advance(1)
    picture = assert_whole(cluster, jobs)
    assert {each.name for each in picture.instances} == stream.instances
    assert picture.cluster_tags == stream.tags
    for path in paths_of(cluster).logs.glob("*.log"):
        text = path.read_text(errors="replace")
        assert "did not stop in time" not in text, path
    tidy_up(jobs, picture.instances, picture.cluster_tags)


def assert_all_jobs_ended(jobs: Jobs, acknowledged: set[int]) -> None:
    rows = jobs.client.query_jobs(None, ["id", "status"])
    statuses = {row[0]: row[1] for row in rows}
    assert acknowledged <= statuses.keys()
    assert {statuses[job] for job in acknowledged} == {"success"}
    assert set(statuses.values()) <= {"success", "error", "canceled"}


def tidy_up(jobs: Jobs, instances: frozenset[Placed], tags: frozenset[str]) -> None:
    jobs.succeed(*(op.remove(each.name.partition(".")[0]) for each in instances))
    jobs.succeed(op.untag_cluster(*tags))


def test_a_command_that_waits_hears_of_its_job(cluster: DevCluster, jobs: Jobs) -> None:
    """With the command's own patience: it waits for LuxiD and finds its job."""
    with begun(cluster, "gnt-debug", "delay", "--print-jobid", "0.5") as command:
        assert command.stdout is not None
        job = int(command.stdout.readline())
        cluster.kill("gantry-luxid")
        assert jobs.wait(job).status == "success"
        _, complaints = command.communicate(timeout=PATIENCE_SECONDS)
    assert command.returncode == 0, complaints
    assert "The connection to LuxiD broke; trying again" in complaints


def begun(cluster: DevCluster, *argv: str) -> subprocess.Popen[str]:
    """Start a command on the master that says at once what it says."""
    variables = cluster.layout.variables(cluster.master, os.environ)
    return subprocess.Popen(
        command_on(cluster.layout, cluster.master, argv),
        env={**variables, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
