"""Jobs of the tests: submitted over LUXI and waited for, also while LuxiD is being killed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen
from tests.cluster.development import DevCluster

from gantry.cli.jobs import FINAL
from gantry.cli.luxi import LuxiClient, Opcode, Patience
from gantry.protocols.luxi import SOCKET_NAME
from gantry.runtime.paths import Paths

PATIENCE = Patience(
    connect_seconds=20.0,
    connect_pause_seconds=0.05,
    answer_seconds=60.0,
    sends_max=100,
    send_pause_seconds=0.01,
)
"""A daemon that was killed is back within a second: these clients need no more rest."""

CHANGE_SECONDS_MAX = 30

_number = itertools.count()


def paths_of(cluster: DevCluster, node: str | None = None) -> Paths:
    """Return where a node's files are; without one, the master's."""
    layout = cluster.layout
    where = layout.master if node is None else layout.node(node)
    return Paths.of(layout.variables(where, {}))


@frozen
class Ended:
    """How a job ended."""

    id: int
    status: str
    results: tuple[object, ...]


class JobFailed(AssertionError):
    """A job did not end as it should."""


@frozen
class Jobs:
    """A client of a cluster's LuxiD, for one thread. Made by :meth:`of`, which closes it."""

    cluster: DevCluster
    client: LuxiClient

    @classmethod
    @contextmanager
    def of(cls, cluster: DevCluster) -> Iterator[Jobs]:
        """Connect when something is asked; close at the end."""
        client = LuxiClient(str(paths_of(cluster).socket(SOCKET_NAME)), patience=PATIENCE)
        try:
            yield cls(cluster, client)
        finally:
            client.close()

    def submit(self, *opcodes: Opcode) -> int:
        """Submit a job; once this returns its id, the job is acknowledged."""
        marked = [{**opcode, "reason": _reason()} for opcode in opcodes]
        return self.client.submit_job(marked)

    def wait(self, job: int) -> Ended:
        """Wait for a job's end, woken by each of its changes."""
        previous: list[object] | None = None
        while True:
            change = self.client.wait_for_job_change(job, previous, 0, CHANGE_SECONDS_MAX)
            if change.values[0] in FINAL:
                break
            previous = change.values
        [[status, results]] = self.client.query_jobs([job], ["status", "opresult"])
        assert isinstance(results, list)
        return Ended(job, str(status), tuple(results))

    def wait_for_log(self, job: int, text: str) -> None:
        """Wait until a job says something."""
        serial, status = 0, [""]
        while status[0] not in FINAL:
            change = self.client.wait_for_job_change(job, [*status], serial, CHANGE_SECONDS_MAX)
            status = [str(value) for value in change.values]
            for number, _, _, said in change.entries:
                if text in str(said):
                    return
                serial = max(serial, number)
        raise JobFailed(f"job {job} ended without saying {text!r}: {self.wait(job)}")

    def do(self, *opcodes: Opcode) -> Ended:
        """Run a job to its end."""
        return self.wait(self.submit(*opcodes))

    def succeed(self, *opcodes: Opcode) -> Ended:
        """Run a job that has to succeed."""
        ended = self.do(*opcodes)
        if ended.status != "success":
            raise JobFailed(f"job {ended.id} of {opcodes}: {ended}")
        return ended


def _reason() -> list[list[object]]:
    """Return a trail by which LuxiD tells a repeated submission from a second one."""
    return [["test", f"{next(_number)}", time.time_ns()]]


# --- opcodes --------------------------------------------------------------------------------------


def full(name: str) -> str:
    """Return the full name of an instance or node."""
    return f"{name}.gantry.test"


def add(name: str, node: str = "node2", **more: object) -> Opcode:
    """Make an instance with a disk, install ``plain`` on it and start it."""
    return {
        "OP_ID": "OP_INSTANCE_CREATE",
        "mode": "create",
        "instance_name": full(name),
        "pnode": full(node),
        "disk_template": "sharedfile",
        "disks": [{"size": 1}],
        "nics": [],
        "os_type": "plain",
        "name_check": False,
        "ip_check": False,
        "start": True,
        **more,
    }


def remove(name: str) -> Opcode:
    return {
        "OP_ID": "OP_INSTANCE_REMOVE",
        "instance_name": full(name),
        "ignore_failures": False,
        "shutdown_timeout": 0,
    }


def start(name: str) -> Opcode:
    return {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": full(name), "force": False}


def stop(name: str) -> Opcode:
    return {"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": full(name), "timeout": 0}


def rename(name: str, new_name: str) -> Opcode:
    return {
        "OP_ID": "OP_INSTANCE_RENAME",
        "instance_name": full(name),
        "new_name": full(new_name),
        "name_check": False,
        "ip_check": False,
    }


def migrate(name: str, node: str) -> Opcode:
    return {
        "OP_ID": "OP_INSTANCE_MIGRATE",
        "instance_name": full(name),
        "target_node": full(node),
        "mode": "live",
    }


def tag(name: str, *tags: str) -> Opcode:
    return {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": full(name), "tags": list(tags)}


def tag_cluster(*tags: str) -> Opcode:
    return {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "name": None, "tags": list(tags)}


def untag_cluster(*tags: str) -> Opcode:
    return {"OP_ID": "OP_TAGS_DEL", "kind": "cluster", "name": None, "tags": list(tags)}


def delay(seconds: float, *nodes: str) -> Opcode:
    return {
        "OP_ID": "OP_TEST_DELAY",
        "duration": seconds,
        "on_master": not nodes,
        "on_nodes": [full(node) for node in nodes],
    }
