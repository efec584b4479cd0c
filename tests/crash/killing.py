"""SIGKILL at a chosen moment: for a job's process, when its step journal is so long."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen
from tests.cluster.development import DevCluster
from tests.crash.jobs import paths_of

from gantry.cli.devcluster.found import processes_of

PATIENCE_SECONDS = 30.0


@frozen
class Victim:
    """The process of a job, as a child of the fork server."""

    pid: int
    pidfd: int

    def kill(self) -> None:
        """End it and wait for its end."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        assert poll.poll(PATIENCE_SECONDS * 1000)

    def has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))


def records_of(journal: Path) -> int | None:
    """Return how many whole records a step journal has; ``None``: it is not there (any more)."""
    try:
        return max(0, journal.read_bytes().count(b"\n") - 1)  # the first line is the journal's own
    except FileNotFoundError:
        return None


def kill_at(cluster: DevCluster, job: int, records: int) -> int | None:
    """Kill a job's process when its journal has some records.

    Returns:
        How many there were when it was dead; ``None``: it was over before.
    """
    with process_of(cluster, job) as victim:
        if victim is None or not wait_for_records(cluster, job, victim, records):
            return None
        victim.kill()
        return records_of(step_journal(cluster, job))


def step_journal(cluster: DevCluster, job: int) -> Path:
    return paths_of(cluster).queue / "steps" / f"job-{job}"


def wait_for_records(cluster: DevCluster, job: int, process: Victim, records: int) -> bool:
    """Wait until a job's journal has some records; return whether it ever had."""
    journal, seen = step_journal(cluster, job), False
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (count := records_of(journal)) is None or count < records:
        seen = seen or count is not None
        if (seen and count is None) or process.has_ended():
            return False
        assert time.monotonic() < deadline
    return True


def kill_node(cluster: DevCluster, name: str) -> None:
    """Kill every process of a node, jobs and all."""
    root = str(cluster.layout.node(name).root)
    for process in processes_of(cluster.folder):
        if process.root == root:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


def wait_for_call(cluster: DevCluster, node: str, job: int, step: int) -> None:
    """Wait until a node has begun with a step of a job's first opcode."""
    journal = paths_of(cluster, node).data / "node-keys.log"
    deadline = time.monotonic() + PATIENCE_SECONDS
    key = f'"job":{job},"opcode":0,"step":{step},'.encode()
    while key not in journal.read_bytes():
        assert time.monotonic() < deadline


@contextmanager
def process_of(cluster: DevCluster, job: int) -> Iterator[Victim | None]:
    """Wait for the process of a job; ``None``: the job is over already."""
    victim = _found(cluster, job)
    try:
        yield victim
    finally:
        if victim is not None:
            os.close(victim.pidfd)


def _found(cluster: DevCluster, job: int) -> Victim | None:
    server = cluster.pid("gantry-forkserver")
    children = Path(f"/proc/{server}/task/{server}/children")
    file = paths_of(cluster).queue / f"job-{job}"
    name = f"gantry-job {job}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for pid in map(int, children.read_text().split()):
            with suppress(FileNotFoundError, ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                if Path(f"/proc/{pid}/comm").read_text().strip() == name[:15]:
                    return Victim(pid, pidfd)
                os.close(pidfd)
        with suppress(FileNotFoundError):
            if b'"end_timestamp":[' in file.read_bytes():
                return None
    raise AssertionError(f"job {job} got no process")


@contextmanager
def no_restarts(cluster: DevCluster) -> Iterator[None]:
    """Hold the supervisor, so that what is killed stays dead meanwhile."""
    [supervisor] = [p.pid for p in processes_of(cluster.folder) if "supervisor" in p.command]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)
