"""Disturb one job at a chosen place, in one of four ways, by what happens to real processes.

A step fails since its node can not write any file; a step or an undo is repeated since NodeD and
the job's process both die when the node has begun with it.
"""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Literal

from attrs import frozen
from tests.cluster.development import DevCluster
from tests.crash.jobs import Jobs, paths_of
from tests.crash.killing import (
    PATIENCE_SECONDS,
    Victim,
    process_of,
    step_journal,
    wait_for_records,
)
from tests.crash.plain_os import LOOK_SECONDS, until

from gantry.cli.devcluster.found import processes_of

NO_ROOM_SECONDS = 5.0
"""A step that fails makes its job turn back long before."""

Kind = Literal["killed at a record", "failing step", "repeated step", "repeated undo"]
KINDS: tuple[Kind, ...] = (
    "killed at a record",
    "failing step",
    "repeated step",
    "repeated undo",
)
"""With five operations that makes twenty points."""

NODED = "gantry-noded"

FAILING = "node2.gantry.test"
"""Where calls fail: one node, since NodeD also keeps replicas, and the others are a majority."""


@frozen
class Point:
    """What happens to a job, and where."""

    kind: Kind
    place: float
    """From 0, its beginning, to 1, its end."""

    def of(self, count: int) -> int:
        """Return the place as one of so many."""
        return int(self.place * count)


def sample(operation: str, seed: int) -> list[Point]:
    """Draw where each kind of thing happens to an operation."""
    draw = random.Random(f"{seed} {operation}")
    return [Point(kind, draw.random()) for kind in KINDS]


def disturb(cluster: DevCluster, jobs: Jobs, job: int, steps: int, point: Point) -> bool:
    """Disturb a job that was just submitted.

    Returns:
        Whether it came to that; else the job had ended before.
    """
    nodeds = _nodeds(cluster)
    with process_of(cluster, job) as process:
        if process is None:
            return False
        match point.kind:
            case "killed at a record":
                if not wait_for_records(cluster, job, process, point.of(2 * steps)):
                    return False
                process.kill()
                return True
            case "failing step":
                return _fail(cluster, job, process, point.of(2 * steps), nodeds)
            case "repeated step":
                return _repeat(cluster, job, process, point.of(steps), nodeds, undo=False)
            case "repeated undo":
                late = int((0.9 + 0.8 * point.place) * steps)  # before that there is little to undo
                if not wait_for_records(cluster, job, process, late):
                    return False
                process.kill()
    jobs.client.verdict("CancelJob", job)  # so the next process undoes what this one has begun
    with process_of(cluster, job) as undoing:
        return undoing is not None and _repeat(cluster, job, undoing, 0, nodeds, undo=True)


def _nodeds(cluster: DevCluster) -> dict[str, int]:
    """Wait until every node's NodeD runs, and return their process ids."""
    found: dict[str, int] = {}
    names = {str(node.root): node.name for node in cluster.layout.nodes}

    def all_run() -> bool:
        for each in processes_of(cluster.folder):
            if NODED in each.command and each.root in names:
                found[names[each.root]] = each.pid
        return found.keys() == {*names.values()}

    until(all_run)
    return found


def _fail(
    cluster: DevCluster, job: int, process: Victim, records: int, nodeds: Mapping[str, int]
) -> bool:
    """Have all calls to a node fail from some record on, until the job turns back or ends.

    Where nothing may be undone it tries again instead: then there is room after some time.
    """
    if not wait_for_records(cluster, job, process, records):
        return False
    with _no_room(nodeds[FAILING]):
        return _has_turned_back(cluster, job, process)


@contextmanager
def _no_room(pid: int) -> Iterator[None]:
    """Have every write of a process to a file refused."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def _has_turned_back(cluster: DevCluster, job: int, process: Victim) -> bool:
    """Wait until a job is being undone; return whether it ever was, or still tries to go on."""
    journal = step_journal(cluster, job)
    deadline = time.monotonic() + NO_ROOM_SECONDS
    while time.monotonic() < deadline:
        if process.has_ended():
            return False
        with suppress(FileNotFoundError):
            if b'"TurnedBack"' in journal.read_bytes():
                return True
        time.sleep(LOOK_SECONDS)  # files of other processes have no event here
    return True


def _repeat(
    cluster: DevCluster,
    job: int,
    process: Victim,
    step: int,
    nodeds: Mapping[str, int],
    *,
    undo: bool,
) -> bool:
    """Kill NodeD and the job's process when a node has begun with a step, or one after it."""
    journals = {name: paths_of(cluster, name).data / "node-keys.log" for name in nodeds}
    key = re.compile(
        rb'"job":%d,"opcode":0,"step":(\d+),"undo":%s' % (job, b"true" if undo else b"false")
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not process.has_ended():
        for name, journal in journals.items():
            if any(int(found) >= step for found in key.findall(journal.read_bytes())):
                os.kill(nodeds[name], signal.SIGKILL)
                process.kill()
                return True
        assert time.monotonic() < deadline
    return False
