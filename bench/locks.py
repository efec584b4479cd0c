"""Locks: how many operations a second, and a request among very many locks and waiting jobs."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import trio
from bench import wconfd
from bench.accounting import processor_seconds
from bench.figures import Figure, Section, share
from bench.wconfd import Direct
from tests.cluster.development import DevCluster

from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.locks import LockName, LockOwner, LockRequest, lock_name
from gantry.protocols.wconfd import WConfD

LOCKS: Final = 20_000
WAITERS: Final = 500
WAITERS_EACH: Final = 200
"""On one connection, which carries a bounded number of calls."""

REQUESTS: Final = 300
CLIENTS: Final = 16
CROWD_SECONDS: Final = 3.0

REQUEST_MS_TARGET: Final = 1.0

_JOBS: Final = itertools.count(2_000_000_000)
"""Ids that no real job has."""


def requests(cluster: DevCluster) -> Section:
    """Measure requests for locks that are free: alone, of many clients, and in a crowd of locks."""
    return wconfd.run(cluster, _measured)


async def _measured(direct: Direct) -> Section:
    async with direct.client() as client:
        quiet, quiet_cpu = await _times(direct, client)
    rate = await _rate(direct)
    crowded, crowded_cpu = await _among_many(direct)
    return Section(
        "Locks",
        "One exclusive lock that is free, asked for, granted (which is flushed) and released, on "
        f"WConfD's socket; the same of {CLIENTS} clients at once; and the same while one job holds "
        f"{LOCKS} others, for which {WAITERS} jobs wait. The processor time is that of a request "
        "with its release.",
        (
            *_shown("nothing else held", quiet, quiet_cpu, below=None),
            Figure(f"{CLIENTS} clients: locked and released", rate, "/s"),
            *_shown(
                f"{LOCKS} locks, {WAITERS} waiting", crowded, crowded_cpu, below=REQUEST_MS_TARGET
            ),
        ),
    )


def _shown(
    name: str, times: list[float], cpu_ms: float, *, below: float | None
) -> Iterator[Figure]:
    yield Figure(f"{name}: a request, median", statistics.median(times), "ms", below=below)
    yield Figure(f"{name}: a request, 99 % below", share(times, 0.99), "ms")
    yield Figure(f"{name}: processor time", cpu_ms, "ms")


async def _times(direct: Direct, client: WConfD) -> tuple[list[float], float]:
    """Return how long requests took, in ms, and the processor time of one with its release."""
    times, before = [], processor_seconds(direct.pid)
    for _ in range(REQUESTS):
        owner = _owner()
        began = time.perf_counter()
        await client.lock(owner, (_exclusive(f"free{owner.job}"),), 0)
        times.append((time.perf_counter() - began) * 1000)
        await client.drop_job(owner.job)
    return times, (processor_seconds(direct.pid) - before) * 1000 / REQUESTS


async def _rate(direct: Direct) -> float:
    made = 0

    async def work(client: WConfD) -> None:
        nonlocal made
        while True:
            owner = _owner()
            await client.lock(owner, (_exclusive(f"free{owner.job}"),), 0)
            await client.drop_job(owner.job)
            made += 1

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(direct.client()) for _ in range(CLIENTS)]
        began = time.perf_counter()
        with trio.move_on_after(CROWD_SECONDS):
            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(work, client)
        return made / (time.perf_counter() - began)


async def _among_many(direct: Direct) -> tuple[list[float], float]:
    holder = _owner()
    names = [f"held{number}" for number in range(LOCKS)]
    async with AsyncExitStack() as stack:
        connections = -(-WAITERS // WAITERS_EACH)
        clients = [await stack.enter_async_context(direct.client()) for _ in range(connections + 1)]
        await clients[0].lock(holder, tuple(map(_exclusive, names)), 0)
        async with trio.open_nursery() as nursery:
            for number in range(WAITERS):
                client = clients[1 + number // WAITERS_EACH]
                wanted = (_exclusive(names[number]),)
                nursery.start_soon(client.lock, _owner(), wanted, 0)
            while await _waiting(clients[0]) < WAITERS:  # noqa: ASYNC110 - there is no event
                await trio.sleep(0.1)
            found = await _times(direct, clients[0])
            nursery.cancel_scope.cancel()
        await clients[0].drop_job(holder.job)
    return found


async def _waiting(client: WConfD) -> int:
    return sum(len(state.waits) for state in await client.locks())


def _owner() -> LockOwner:
    return LockOwner(JobId(next(_JOBS)), Attempt(1))


def _exclusive(member: str) -> LockRequest:
    return LockRequest(LockName(lock_name("instance", member)), "exclusive")
