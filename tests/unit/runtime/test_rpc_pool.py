"""Calls on connections that carry one at a time: kept, made anew, lost, ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import trio
import trio.testing
from attrs import define, field
from tests.unit.runtime.test_rpc import KITCHEN, Broke, Cook, Kitchen

from gantry.protocols.errors import (
    BadCall,
    ConnectionLost,
    Fault,
    Forbidden,
    Unreachable,
    VersionMismatch,
)
from gantry.protocols.service import Method, Service, stub
from gantry.runtime import rpc
from gantry.runtime.environment import Network
from gantry.runtime.rpc_pool import IDLE_MAX, RpcPool
from gantry.runtime.testing.environment import lone_network
from gantry.runtime.testing.files import MemoryFiles

SOCKET: Final = Path("/run/kitchen")
SECONDS: Final = 60.0


@define
class Place:
    """A kitchen on a node."""

    network: Network
    cook: Cook = field(factory=Cook)
    served: int = 0
    """Connections so far."""
    serving: trio.CancelScope = field(factory=trio.CancelScope)
    may: rpc.Authorize | None = None

    async def serve(self, service: Service[Kitchen] = KITCHEN) -> None:
        """Serve until told otherwise; all connections end with that."""
        self.serving = trio.CancelScope()
        listener = await self.network.listen_unix(SOCKET, 0o600)

        async def one(stream: trio.abc.Stream) -> None:
            self.served += 1
            await rpc.serve_connection(service, self.cook, stream, self.may)

        with self.serving:
            async with listener:
                await trio.serve_listeners(one, [listener])


@asynccontextmanager
async def kitchen(
    service: Service[Kitchen] = KITCHEN, may: rpc.Authorize | None = None
) -> AsyncIterator[tuple[Kitchen, Place, trio.Nursery]]:
    files = MemoryFiles()
    files.put_folder(SOCKET.parent)
    place = Place(lone_network("node1.gnt.test", files), may=may)
    pool = RpcPool(KITCHEN, place.network, SOCKET)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.serve, service)
        await trio.testing.wait_all_tasks_blocked()
        yield stub(KITCHEN, pool.call(SECONDS)), place, nursery
        await pool.aclose()
        with pytest.raises(Unreachable):
            await stub(KITCHEN, pool.call(SECONDS)).double(1)
        nursery.cancel_scope.cancel()


async def test_one_connection_serves_calls_one_after_the_other() -> None:
    async with kitchen() as (remote, place, _):
        assert await remote.double(21) == 42
        with pytest.raises(Broke, match="a plate"):
            await remote.drop("a plate")
        with pytest.raises(Fault, match="boom"):
            await remote.explode()
        with pytest.raises(BadCall, match="expected int"):
            await remote.double("3")  # type: ignore[arg-type] # the point of the test
        assert await remote.double(2) == 4
        assert place.served == 1


async def test_calls_at_a_time_have_connections_of_their_own_and_some_are_kept() -> None:
    async with kitchen() as (remote, place, _):
        async with trio.open_nursery() as calls:
            for _ in range(IDLE_MAX + 2):
                calls.start_soon(remote.simmer)
            await trio.testing.wait_all_tasks_blocked()
            place.cook.done.set()
        assert place.served == IDLE_MAX + 2
        await trio.testing.wait_all_tasks_blocked()
        assert await remote.double(1) == 2
        assert place.served == IDLE_MAX + 2


async def test_a_daemon_that_was_restarted_is_connected_to_again() -> None:
    async with kitchen() as (remote, place, nursery):
        assert await remote.double(1) == 2
        place.serving.cancel()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ConnectionLost):
            await remote.double(1)
        with pytest.raises(Unreachable):
            await remote.double(1)
        nursery.start_soon(place.serve)
        await trio.testing.wait_all_tasks_blocked()
        assert await remote.double(1) == 2


async def test_a_daemon_that_dies_during_a_call_leaves_it_unknown() -> None:
    async with kitchen() as (remote, place, nursery):

        async def slow() -> None:
            with pytest.raises(ConnectionLost, match="went away during simmer") as lost:
                await remote.simmer()
            assert not isinstance(lost.value, Unreachable)

        nursery.start_soon(slow)
        await place.cook.began.wait()
        place.serving.cancel()
        await trio.testing.wait_all_tasks_blocked()


async def test_a_deadline_ends_a_call_on_both_sides(autojump_clock: object) -> None:
    async with kitchen() as (remote, place, _):
        with pytest.raises(ConnectionLost, match="within 60 seconds"):
            await remote.simmer()
        await place.cook.cancelled.wait()
        place.cook.cancelled = trio.Event()
        with trio.move_on_after(5):
            await remote.simmer()
        await place.cook.cancelled.wait()
        assert await remote.double(1) == 2


async def test_who_may_not_call_is_told_so() -> None:
    async def may(method: Method) -> Forbidden | None:
        await trio.lowlevel.checkpoint()
        return Forbidden(method.name, "the plates are hot") if method.name == "drop" else None

    async with kitchen(may=may) as (remote, _, _):
        with pytest.raises(Forbidden, match="the plates are hot"):
            await remote.drop("a plate")
        assert await remote.double(1) == 2


async def test_a_daemon_of_another_version_does_nothing() -> None:
    async with kitchen(Service(Kitchen, versions=(2, 3))) as (remote, place, _):
        with pytest.raises(VersionMismatch):
            await remote.simmer()
        assert not place.cook.began.is_set()
