"""A node's processes are killed while it works for a job, and it comes back sooner or later."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Jobs
from tests.crash.killing import kill_node, no_restarts
from tests.crash.plain_os import Script, hold_first_create, install_plain_os, until
from tests.crash.wholeness import assert_verified, assert_whole, configuration_of

from gantry.cli.devcluster.found import processes_of


@pytest.fixture
def script(cluster: DevCluster, tmp_path: Path) -> Iterator[Script]:
    yield hold_first_create(cluster, tmp_path)
    install_plain_os(cluster)


def processes_of_jobs(cluster: DevCluster) -> list[int]:
    found = processes_of(cluster.folder)
    return [each.pid for each in found if each.command.startswith("gantry-job")]


def test_a_script_outlives_its_job_s_process_and_ends_with_the_job(
    cluster: DevCluster, jobs: Jobs, script: Script
) -> None:
    job = jobs.submit(op.add("a", "node3"))
    script.pid()
    [process] = [p for p in processes_of(cluster.folder) if p.command.startswith("gantry-job")]
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: bool({*processes_of_jobs(cluster)} - {process.pid}))
    os.kill(script.pid(), 0)  # it is waited for, not begun again
    assert jobs.client.verdict("CancelJob", job, True)[0]
    ended = jobs.wait(job)
    assert ended.status == "canceled"
    script.assert_ended()
    assert_whole(cluster, jobs, instances=0)


def test_noded_dies_and_the_job_goes_on(cluster: DevCluster, jobs: Jobs, script: Script) -> None:
    job = jobs.submit(op.add("a", "node3"))
    script.pid()
    cluster.kill("gantry-noded", "node3")
    script.assert_ended()
    assert jobs.wait(job).status == "success"
    assert_whole(cluster, jobs, instances=1)
    jobs.succeed(op.remove("a"))


def test_a_node_dies_and_is_back_before_the_job_gives_up_undoing(
    cluster: DevCluster, jobs: Jobs, script: Script
) -> None:
    job = jobs.submit(op.add("a", "node3"))
    script.pid()
    with no_restarts(cluster):
        kill_node(cluster, "node3")
        jobs.wait_for_log(job, "undoing: run the create script")
    ended = jobs.wait(job)
    assert ended.status == "error"
    [result] = ended.results
    name, [reason] = cast("tuple[str, list[str]]", result)
    assert name == "OpExecError"
    assert reason.startswith("node node3.gantry.test: "), reason
    assert "left behind" not in reason
    script.assert_ended()
    assert_whole(cluster, jobs, instances=0)
    jobs.succeed(op.add("a", "node3"))
    jobs.succeed(op.remove("a"))
    assert_verified(cluster)


def test_what_a_dead_node_keeps_is_cleaned_up_when_it_is_back(
    cluster: DevCluster, jobs: Jobs, script: Script
) -> None:
    job = jobs.submit(op.add("a", "node3", disk_template="file"))
    script.pid()
    with no_restarts(cluster):
        kill_node(cluster, "node3")
        ended = jobs.wait(job)
        assert ended.status == "error"
        assert "noted as a left-over" in str(ended.results), ended
        shown = cluster.run("gnt-cluster", "verify-config")
        assert f"which job {job} could not remove" in shown
    script.assert_ended()
    until(lambda: not configuration_of(cluster).leftovers)
    assert_whole(cluster, jobs, instances=0)
    jobs.succeed(op.add("a", "node3"))
    jobs.succeed(op.remove("a"))
    assert_verified(cluster)


def test_instances_outlive_noded(cluster: DevCluster, jobs: Jobs) -> None:
    jobs.succeed(op.add("a", "node3"))
    before = assert_whole(cluster, jobs, instances=1)
    for program in ("gantry-noded", "gantry-rconfd", "gantry-mond"):
        cluster.kill(program, "node3")
    assert assert_whole(cluster, jobs, instances=1) == before
    jobs.succeed(op.remove("a"))


def test_the_master_dies_with_all_that_it_does(cluster: DevCluster, jobs: Jobs) -> None:
    names = [f"a{number}" for number in range(6)]
    begun = [jobs.submit(op.add(name, f"node{n % 3 + 1}")) for n, name in enumerate(names)]
    with no_restarts(cluster):
        kill_node(cluster, "node1")
    ended = [jobs.wait(job) for job in begun]
    picture = assert_whole(cluster, jobs)
    made = [name for name, each in zip(names, ended, strict=True) if each.status == "success"]
    assert {each.name for each in picture.instances} == {op.full(name) for name in made}
    assert_verified(cluster)
    for name in names:
        jobs.succeed(op.remove(name) if name in made else op.add(name))
    for name in set(names) - set(made):
        jobs.succeed(op.remove(name))
