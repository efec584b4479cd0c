"""WConfD, spoken to directly: what a change costs it, however large the configuration is."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar

import trio
from attrs import define, field, frozen
from bench import population
from bench.accounting import bytes_sent, processor_seconds
from bench.figures import share
from tests.cluster.development import DevCluster

from gantry.protocols.changes import ChangeTags
from gantry.protocols.codec import digest_of, dump
from gantry.protocols.identity import Attempt, Epoch, InstanceUuid, JobId, Key, Ticket
from gantry.protocols.wconfd import SOCKET_NAME, WCONFD, Committed, Selection, WConfD
from gantry.runtime.real import real_environment
from gantry.runtime.rpc import connect

T = TypeVar("T")

CHANGES: Final = 400
CLIENTS: Final = 16
CROWD_SECONDS: Final = 3.0
WARM_UP: Final = 50
REST_SECONDS: Final = 2.0
"""Those who follow the configuration catch up, and config.data is rewritten."""

READY_SECONDS: Final = 120.0

_JOBS: Final = itertools.count(1_000_000_000)
"""Ids that no real job has."""


@frozen
class ChangeCosts:
    """What changes of one instance's tags cost."""

    median_ms: float
    p99_ms: float
    p99_during_rewrites_ms: float
    rewrites: int
    """While those were measured."""
    changes_per_second: float
    crowd_changes_per_second: float
    cpu_ms_of_crowd_change: float
    journal_bytes: float
    """For a change."""
    network_bytes: float
    """For a change, sent to all other nodes together."""


def run(cluster: DevCluster, work: Callable[[Direct], Awaitable[T]]) -> T:
    """Do something with the master's WConfD as soon as it is ready for everything."""
    pid = cluster.pid("gantry-wconfd")

    async def connected() -> T:
        direct = Direct(cluster, pid)
        with trio.fail_after(READY_SECONDS):
            async with direct.client() as wconfd:
                while not (status := await wconfd.status()).ready:  # noqa: ASYNC110 - no event
                    await trio.sleep(0.1)
                direct.epoch = status.epoch
        return await work(direct)

    return trio.run(connected)


@define
class Direct:
    """The way to one WConfD."""

    cluster: DevCluster
    pid: int
    epoch: Epoch = field(default=Epoch(1), init=False)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[WConfD]:
        """Connect."""
        variables = self.cluster.layout.variables(self.cluster.master, os.environ)
        env = real_environment(variables)
        async with connect(WCONFD, env.network, env.paths.socket(SOCKET_NAME)) as wconfd:
            yield wconfd

    def ticket(self, job: JobId, step: int, change: ChangeTags) -> Ticket:
        """Return what a job's change carries."""
        return Ticket(Key(job, 0, step), Attempt(1), self.epoch, digest_of(dump(change)))


async def change_costs(direct: Direct) -> ChangeCosts:
    """Measure changes one after the other, during rewrites, and of many clients at once."""
    async with direct.client() as wconfd, direct.client() as other:
        part = await wconfd.read(Selection(instances=(population.FIRST,)))
        (uuid,) = (each.uuid for each in part.instances.values())
        await _changes(direct, wconfd, uuid, WARM_UP)
        await trio.sleep(REST_SECONDS)
        before, began = await wconfd.status(), time.perf_counter()
        sent = bytes_sent(direct.pid)
        quiet = await _changes(direct, wconfd, uuid, CHANGES)
        seconds, after = time.perf_counter() - began, await wconfd.status()
        sent = bytes_sent(direct.pid) - sent
        busy, rewrites = await _during_rewrites(direct, wconfd, other, uuid)
    rate, cpu_ms = await _crowd(direct, uuid)
    return ChangeCosts(
        statistics.median(quiet),
        share(quiet, 0.99),
        share(busy, 0.99),
        rewrites,
        CHANGES / seconds,
        rate,
        cpu_ms,
        (after.journal_bytes - before.journal_bytes) / CHANGES,
        sent / CHANGES,
    )


async def _during_rewrites(
    direct: Direct, wconfd: WConfD, other: WConfD, uuid: InstanceUuid
) -> tuple[list[float], int]:
    """Return the times of changes while ``config.data`` is rewritten again and again."""
    rewrites = 0

    async def rewrite() -> None:
        nonlocal rewrites
        while True:
            await other.flush()
            rewrites += 1

    times: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rewrite)
        while len(times) < CHANGES or rewrites < 2:
            times += await _changes(direct, wconfd, uuid, CHANGES // 4)
        nursery.cancel_scope.cancel()
    return times, rewrites


async def _changes(direct: Direct, wconfd: WConfD, uuid: InstanceUuid, count: int) -> list[float]:
    """Make changes one after the other, as one job, and return how long each took, in ms."""
    job, times = JobId(next(_JOBS)), []
    for step, change in enumerate(itertools.islice(_tagging(uuid, f"tag-{job}"), count)):
        ticket = direct.ticket(job, step, change)
        began = time.perf_counter()
        answer = await wconfd.commit(ticket, change)
        times.append((time.perf_counter() - began) * 1000)
        if not isinstance(answer, Committed):
            raise RuntimeError(f"a change was refused: {answer}")
    await wconfd.forget(job)
    return times


def _tagging(uuid: InstanceUuid, tag: str) -> Iterator[ChangeTags]:
    """Add a tag and remove it again, and so on: each change changes something."""
    tags = frozenset({tag})
    while True:
        yield ChangeTags("instance", uuid, add=tags)
        yield ChangeTags("instance", uuid, remove=tags)


async def _crowd(direct: Direct, uuid: InstanceUuid) -> tuple[float, float]:
    """Return the changes a second of many clients, and the processor time of one, in ms."""
    made = 0

    async def client(wconfd: WConfD) -> None:
        nonlocal made
        while True:
            times = await _changes(direct, wconfd, uuid, 20)
            made += len(times)

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(direct.client()) for _ in range(CLIENTS)]
        began, used = time.perf_counter(), processor_seconds(direct.pid)
        with trio.move_on_after(CROWD_SECONDS):
            async with trio.open_nursery() as nursery:
                for wconfd in clients:
                    nursery.start_soon(client, wconfd)
        seconds, cpu = time.perf_counter() - began, processor_seconds(direct.pid) - used
        return made / seconds, cpu * 1000 / made
