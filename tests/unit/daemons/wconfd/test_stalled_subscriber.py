"""A subscriber that reads no more slows no writer; when it is back it resumes by a snapshot."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import define, field
from tests.unit.core.config.small_cluster import NODE2, ticket
from tests.unit.daemons.wconfd.running_wconfd import config_store, lock_store, lone_master_files
from typing_extensions import override

from gantry.core.config.reservations import Reservations
from gantry.daemons.wconfd import delta_buffer
from gantry.daemons.wconfd.server import WConfDServer
from gantry.protocols.changes import ChangeTags
from gantry.protocols.wconfd import WCONFD, Committed, Deltas, Snapshot
from gantry.runtime.gate import Gate
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.rpc import client, serve_connection

KEPT = 20
CALLS = 5


@define(eq=False)
class Stalling(trio.abc.Stream):
    """A stream whose other end may stop reading: then what is sent waits, as with a full socket."""

    inner: trio.abc.Stream
    reading: Gate = field(factory=Gate)

    @override
    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    @override
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.reading.passed()
        await self.inner.send_all(data)

    @override
    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    @override
    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_it_slows_nobody_and_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta_buffer, "KEPT_MIN", KEPT)
    files = lone_master_files()
    async with (
        config_store(files) as store,
        lock_store(files) as held,
        open_plain_nursery() as nursery,
    ):
        ours, theirs = trio.testing.memory_stream_pair()
        stream = Stalling(theirs)
        stream.reading.open()
        nursery.start_soon(serve_connection, WCONFD, WConfDServer(store, held), stream)
        async with client(WCONFD, ours) as subscriber:
            since = (await subscriber.snapshot()).index
            heard: list[Deltas | Snapshot] = []

            async def follow() -> None:
                heard.append(await subscriber.deltas(since))

            stream.reading.close()
            for _ in range(CALLS):
                nursery.start_soon(follow)
            await trio.testing.wait_all_tasks_blocked()
            for step in range(2 * KEPT):
                change = ChangeTags("node", NODE2, add=frozenset({f"tag{step}"}))
                made = await store.commit(ticket(change, step=step), change, Reservations())
                assert isinstance(made, Committed)
            await trio.testing.wait_all_tasks_blocked()
            assert heard == []

            stream.reading.open()
            await trio.testing.wait_all_tasks_blocked()
            assert len(heard) == CALLS
            resumed = await subscriber.deltas(since)
            assert isinstance(resumed, Snapshot)
            assert resumed.index == store.durable.index
        nursery.cancel_scope.cancel()
