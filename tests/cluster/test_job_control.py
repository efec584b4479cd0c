"""Jobs under control, on real daemons, with the commands that people give."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import cast

import pytest
from tests.cluster.conftest import NewCluster
from tests.cluster.development import DevCluster

from gantry.cli.devcluster.found import processes_of
from gantry.cli.luxi import LuxiClient
from gantry.protocols.luxi import SOCKET_NAME
from gantry.runtime.paths import Paths

NODE2 = "node2.gantry.test"
FIELDS = ("status", "opsteps", "blocked_by", "paused", "attempts")
CHANGE_SECONDS_MAX = 30
CHANGES_MAX = 200
"""More changes than the jobs of these tests go through."""


@pytest.fixture
def client(cluster: DevCluster) -> Iterator[LuxiClient]:
    paths = Paths.of(cluster.layout.variables(cluster.layout.master, {}))
    with closing(LuxiClient(str(paths.socket(SOCKET_NAME)))) as connected:
        yield connected


@pytest.fixture
def job(cluster: DevCluster) -> Iterator[int]:
    """A job that waits on node2 again and again: far too long to end by itself."""
    submitted = delay(cluster, "600", "--repeat", "3")
    yield submitted
    cluster.execute("gnt-job", "cancel", "--kill", "--yes-do-it", str(submitted))
    cluster.execute("gnt-job", "wait", str(submitted))


def delay(cluster: DevCluster, seconds: str, *more: str) -> int:
    """Submit a job that waits on node2 and locks it meanwhile."""
    words = ("gnt-debug", "delay", "--submit", "--no-master", "-n", NODE2)
    return int(cluster.run(*words, *more, seconds).split()[-1])


def until(client: LuxiClient, job: int, condition: Callable[[dict[str, object]], object]) -> None:
    """Wait for a change of a job; LuxiD tells of each."""
    previous: list[object] | None = None
    serial = 0
    for _ in range(CHANGES_MAX):
        change = client.wait_for_job_change(job, previous, serial, CHANGE_SECONDS_MAX, FIELDS)
        serial = max([serial, *(entry[0] for entry in change.entries)])
        said = [entry[3] for entry in change.entries]
        if condition({**dict(zip(FIELDS, change.values, strict=True)), "said": said}):
            return
        previous = change.values
    pytest.fail(f"job {job} never came so far: {previous}")


def states(seen: dict[str, object]) -> list[str]:
    plans = cast("list[dict[str, list[dict[str, str]]] | None]", seen["opsteps"])
    return [step["state"] for plan in plans if plan for step in plan["steps"]]


def is_at_work(seen: dict[str, object]) -> bool:
    return "running" in states(seen)


def kill_process(cluster: DevCluster, job: int) -> None:
    """Kill a job's process, which calls itself ``gantry-job N``."""
    for process in processes_of(cluster.folder):
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{process.pid}/comm").read_text().strip() == f"gantry-job {job}":
                os.kill(process.pid, signal.SIGKILL)
                return
    pytest.fail(f"job {job} has no process")


def test_a_pause_holds_over_deaths_of_luxid_and_of_the_process(
    cluster: DevCluster, client: LuxiClient
) -> None:
    job = str(delay(cluster, "0.3", "--repeat", "4"))
    until(client, int(job), is_at_work)
    assert "keeps its locks" in cluster.run("gnt-job", "pause", job)
    until(client, int(job), lambda seen: "paused before" in str(seen["said"]))
    cluster.kill("gantry-luxid")
    kill_process(cluster, int(job))
    until(client, int(job), lambda seen: len(cast("list[object]", seen["attempts"])) == 2)
    listed = cluster.run("gnt-job", "list", "--no-headers", "-o", "status,paused", job)
    assert listed.split() == ["running", "Y"]
    other = delay(cluster, "0")
    until(client, other, lambda seen: seen["blocked_by"] == [int(job)])
    assert "goes on" in cluster.run("gnt-job", "resume", job)
    watched = cluster.run("gnt-job", "watch", job)
    steps = re.findall(r"\[(\d)/8\] .*: done", watched)
    assert steps == sorted(steps)
    assert "8" in steps
    cluster.run("gnt-job", "wait", str(other))
    told = cluster.run("gnt-job", "info", job)
    assert "2, which carries it on, begun" in told
    assert "Pauses:" in told
    assert told.count("done") >= 8
    assert f"for jobs {job} (opcode 0)" in cluster.run("gnt-job", "info", str(other))


def test_running_waiting_and_queued_jobs_are_cancelled(
    cluster: DevCluster, client: LuxiClient, job: int
) -> None:
    until(client, job, is_at_work)
    waiting = delay(cluster, "1")
    until(client, waiting, lambda seen: seen["blocked_by"] == [job])
    assert "was cancelled" in cluster.run("gnt-job", "cancel", str(waiting))
    cluster.run("gnt-cluster", "queue", "pause")
    queued = delay(cluster, "1")
    assert "Dequeued" in cluster.run("gnt-job", "cancel", str(queued))
    cluster.run("gnt-cluster", "queue", "resume")
    killed = ("gnt-job", "cancel", "--kill", "--yes-do-it", str(job))
    assert "killed" in cluster.run(*killed)
    cluster.run("gnt-job", "wait", str(job), status=1)
    listing = ("gnt-job", "list", "--no-headers", "-o", "status")
    numbers = [str(each) for each in (job, waiting, queued)]
    assert cluster.run(*listing, *numbers).split() == ["canceled"] * 3


def test_a_running_job_stops_before_its_next_step(cluster: DevCluster, client: LuxiClient) -> None:
    job = str(delay(cluster, "0.5", "--repeat", "9"))
    until(client, int(job), is_at_work)
    assert "told to stop" in cluster.run("gnt-job", "cancel", job, status=1)
    cluster.run("gnt-job", "wait", job, status=1)
    assert cluster.run("gnt-job", "list", "--no-headers", "-o", "status", job) == "canceled\n"
    again = cluster.execute("gnt-job", "cancel", job)
    assert (again.returncode, again.stdout) == (1, f"Job {job} not found in queue\n")


def test_a_higher_priority_passes_through_to_the_line_for_locks(
    cluster: DevCluster, client: LuxiClient
) -> None:
    first = delay(cluster, "0.5", "--repeat", "6")
    until(client, first, is_at_work)
    cluster.run("gnt-job", "pause", str(first))
    second, third = delay(cluster, "0.2"), delay(cluster, "0.2")
    for waiting in (second, third):
        until(client, waiting, lambda seen: seen["blocked_by"])
    cluster.run("gnt-job", "change-priority", "--priority=high", str(third))
    cluster.run("gnt-job", "resume", str(first))
    for each in (first, second, third):
        cluster.run("gnt-job", "wait", str(each))
    rows = client.query_jobs([second, third], ["opexec", "oppriority"])
    (second_at, _), (third_at, priority) = cast("list[list[list[object]]]", rows)
    assert cast("list[list[int]]", third_at) < cast("list[list[int]]", second_at)
    assert priority == [-10]


def test_how_long_a_step_takes_on_its_node_is_told(
    cluster: DevCluster, client: LuxiClient, job: int
) -> None:
    until(client, job, lambda seen: "'total': 600.0, 'unit': 'seconds'" in str(seen["opsteps"]))


def test_a_dry_run_prints_a_plan_and_leaves_nothing(cluster: DevCluster) -> None:
    before = cluster.run("gantry", "export")
    options = ("-t", "file", "-o", "busybox", "-s", "64m", "-n", NODE2)
    unchecked = ("--no-name-check", "--no-ip-check")
    words = ("gnt-instance", "add", "--dry-run", *options, *unchecked, "dry1.example.com")
    plan = cluster.run(*words)
    assert "OP_INSTANCE_CREATE would do this" in plan
    assert NODE2 in plan.partition("Nodes: ")[2].splitlines()[0]
    assert "undo: call remove_disk" in plan
    assert "would do:" not in plan
    exported = json.loads(cluster.run("gantry", "export"))
    assert exported == json.loads(before)
    owners = cluster.run("gnt-debug", "locks", "--no-headers", "-o", "owner").split()
    assert set(owners) <= {"-"}


def test_bad_input_is_told(cluster: DevCluster) -> None:
    for verb in ("pause", "resume", "cancel"):
        gone = cluster.execute("gnt-job", verb, "999999")
        assert (gone.returncode, gone.stdout) == (1, "Job 999999 not found in queue\n")
        no_number = cluster.execute("gnt-job", verb, "web1")
        assert no_number.returncode == 1
        assert "is not a job id" in no_number.stderr
    gone = cluster.execute("gnt-job", "watch", "999999")
    assert gone.returncode == 1
    assert "gnt-job list" in gone.stderr


def test_a_paused_job_and_queue_are_paused_under_the_next_master_too(
    new_cluster: NewCluster,
) -> None:
    cluster = new_cluster("--nodes", "3")
    job = str(delay(cluster, "0.2", "--repeat", "3"))
    cluster.run("gnt-job", "pause", job)
    cluster.run("gnt-cluster", "queue", "pause")
    queued = str(delay(cluster, "0"))
    cluster.kill_all("node1")
    cluster.run("gnt-cluster", "master-failover", node="node3")
    listing = ("gnt-job", "list", "--no-headers", "-o", "status,paused")
    assert cluster.run(*listing, job, node="node3").split()[1] == "Y"
    assert "The queue is paused" in cluster.run("gnt-cluster", "queue", "info", node="node3")
    told = cluster.run("gnt-job", "info", queued, node="node3")
    assert "Queued because: the queue is paused" in told
    cluster.run("gnt-job", "resume", job, node="node3")
    cluster.run("gnt-cluster", "queue", "resume", node="node3")
    for each in (job, queued):
        cluster.run("gnt-job", "wait", each, node="node3")
