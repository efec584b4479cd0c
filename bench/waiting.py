"""Clients that wait for jobs to change, hundreds of them at once."""

from __future__ import annotations

import json
import selectors
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, cast

from bench.accounting import spent, usage_by_program
from bench.figures import Figure, Section, share
from bench.jobs import NOTHING, luxi, run_job_ms, settle
from tests.cluster.development import DevCluster

from gantry.cli.luxi import ETX, LUXI_VERSION, LuxiClient
from gantry.cli.socket_address import luxi_address

CLIENTS: Final = 500
JOBS: Final = 100
WAIT_SECONDS: Final = 60
ANSWER_BYTES: Final = 65536

REST_SECONDS: Final = 1.0
"""Until LuxiD has taken all requests, and the files behind it are written."""


def clients(cluster: DevCluster) -> Section:
    """Measure what waiting clients hear, and what they cost when others' jobs change."""
    with luxi(cluster) as client, _held_jobs(client, CLIENTS) as held:
        alone = _luxid_ms(cluster, client)
        with _waiting(cluster, held) as waiting:
            time.sleep(REST_SECONDS)
            beside = _luxid_ms(cluster, client)
            each = [_heard_ms(client, job, [who]) for job, who in zip(held, waiting, strict=True)]
    with (
        luxi(cluster) as client,
        _held_jobs(client, 1) as held,
        _waiting(cluster, held * CLIENTS) as waiting,
    ):
        time.sleep(REST_SECONDS)
        last = _heard_ms(client, held[0], waiting)
    settle(cluster)
    return Section(
        f"{CLIENTS} waiting clients (1 node)",
        "WaitForJobChange, on a connection for each client, for queued jobs that are cancelled one "
        "after the other: from the call of CancelJob until the client has its answer. What LuxiD's "
        "processor time is for a no-op job nobody of them waits for; and all of them for one job.",
        (
            Figure("the one client hears, median", statistics.median(each), "ms"),
            Figure("the one client hears, 90 % below", share(each, 0.9), "ms"),
            Figure("all clients of one job have heard", last, "ms"),
            Figure("LuxiD for another job, nobody waiting", alone, "ms"),
            Figure(f"LuxiD for another job, {CLIENTS} waiting", beside, "ms"),
        ),
    )


@contextmanager
def _held_jobs(client: LuxiClient, count: int) -> Iterator[list[int]]:
    """Have jobs in the queue that can not begin; the one they depend on is cancelled at the end."""
    blocker = cast(
        int, client.call("SubmitJob", [{**NOTHING, "duration": 600.0, "no_locks": True}])
    )
    held = {**NOTHING, "depends": [[blocker, ["success"]]]}
    answers = client.call("SubmitManyJobs", [[held]] * count)
    yield [job for _, job in cast("list[tuple[bool, int]]", answers)]
    client.call("CancelJob", blocker, False)  # noqa: FBT003 - LUXI's arguments are positional


@contextmanager
def _waiting(cluster: DevCluster, jobs: Sequence[int]) -> Iterator[list[socket.socket]]:
    """Have a client wait for each of these jobs."""
    connections: list[socket.socket] = []
    try:
        for job in jobs:
            connections.append(socket.socket(socket.AF_UNIX))
            connections[-1].connect(luxi_address(str(cluster.master.root)))
            known = ["queued"]
            args = [job, ["status"], known, 0, WAIT_SECONDS]
            request = {"method": "WaitForJobChange", "args": args, "version": LUXI_VERSION}
            connections[-1].sendall(json.dumps(request).encode() + ETX)
        yield connections
    finally:
        for connection in connections:
            connection.close()


def _heard_ms(client: LuxiClient, job: int, waiting: Sequence[socket.socket]) -> float:
    """Cancel a job and return when the last client that waits for it has heard."""
    with selectors.DefaultSelector() as selector:
        for connection in waiting:
            selector.register(connection, selectors.EVENT_READ)
        began = time.perf_counter()
        client.call("CancelJob", job, False)  # noqa: FBT003 - LUXI's arguments are positional
        while selector.get_map():
            for key, _ in selector.select():
                answer = cast(socket.socket, key.fileobj).recv(ANSWER_BYTES)
                assert b"canceled" in answer, answer
                selector.unregister(key.fileobj)
        return (time.perf_counter() - began) * 1000


def _luxid_ms(cluster: DevCluster, client: LuxiClient) -> float:
    """Return LuxiD's processor time for a no-op job."""
    before = usage_by_program(cluster.folder)
    for _ in range(JOBS):
        run_job_ms(client, {**NOTHING, "no_locks": True})
    time.sleep(REST_SECONDS)
    return spent(before, usage_by_program(cluster.folder))["gantry-luxid"].cpu_seconds * 1000 / JOBS
