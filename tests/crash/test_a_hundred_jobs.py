"""SIGKILL of everything that takes part in jobs while a hundred of them are at work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Jobs
from tests.crash.plain_os import until

from gantry.cli.luxi import Opcode

JOBS = 100
RUNNING_MAX = 20
"""The cluster's own limit."""

WAIT_SECONDS = 25.0
"""Longer than it takes to begin so many jobs on a busy machine, and to kill something."""

NODES = ("node1", "node2", "node3")

KILLS = (
    ("gantry-luxid", "node1"),
    ("gantry-forkserver", "node1"),
    ("gantry-wconfd", "node1"),
    *(("gantry-noded", node) for node in NODES),
)


@pytest.fixture
def room(cluster: DevCluster) -> Iterator[None]:
    """Let so many jobs be at work at once."""
    limit = ("gnt-cluster", "modify", "--max-running-jobs")
    cluster.run(*limit, str(JOBS + 10))
    yield
    cluster.run(*limit, str(RUNNING_MAX))


def work(number: int) -> tuple[Opcode, ...]:
    """Wait on a node, change the configuration, and wait again; no lock is waited for."""
    node = NODES[number % len(NODES)]
    waits = [{**op.delay(seconds, node), "no_locks": True} for seconds in (WAIT_SECONDS, 0.0)]
    return waits[0], op.tag_cluster(f"job:{number}"), waits[1]


def at_work(jobs: Jobs, ids: list[int]) -> int:
    return jobs.client.query_jobs(ids, ["status"]).count(["running"])


@pytest.mark.usefixtures("room")
def test_all_of_them_end_well_and_change_what_they_should(cluster: DevCluster, jobs: Jobs) -> None:
    ids = [jobs.submit(*work(number)) for number in range(JOBS)]
    until(lambda: at_work(jobs, ids) == JOBS)
    for program, node in KILLS:
        cluster.kill(program, node)
    assert {jobs.wait(job).status for job in ids} == {"success"}
    tags = {f"job:{number}" for number in range(JOBS)}
    assert {*cluster.run("gnt-cluster", "list-tags").split()} == tags
    attempts = [cast("list[object]", row[0]) for row in jobs.client.query_jobs(ids, ["attempts"])]
    assert {len(each) for each in attempts} == {1}  # nothing of that was a death of a job
    jobs.succeed(op.untag_cluster(*tags))
