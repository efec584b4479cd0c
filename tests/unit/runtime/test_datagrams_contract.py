"""The contract of DatagramSocket, kept by the real ones and by those in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from gantry.runtime.environment import DatagramSocket, Network
from gantry.runtime.network import RealNetwork
from gantry.runtime.testing.environment import lone_network
from gantry.runtime.testing.files import MemoryFiles

HOST = "127.0.0.1"
NOBODY = 1
"""A port on which nobody listens: tcpmux is for TCP."""

PATIENCE_SECONDS = 30

NETWORKS: dict[str, Callable[[], Network]] = {
    "real": lambda: RealNetwork(Path("/nonexistent"), "localhost"),
    "memory": lambda: lone_network("localhost", MemoryFiles()),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    return NETWORKS[request.param]()


@pytest.fixture
async def pair(network: Network) -> AsyncIterator[tuple[DatagramSocket, DatagramSocket]]:
    one, two = await network.udp(HOST, 0), await network.udp(HOST, 0)
    with trio.fail_after(PATIENCE_SECONDS):
        yield one, two
    one.close()
    two.close()


Pair = tuple[DatagramSocket, DatagramSocket]


async def test_a_datagram_arrives_with_its_sender(pair: Pair) -> None:
    one, two = pair
    await one.send(b"hello", (HOST, two.port()))
    assert await two.receive() == (b"hello", (HOST, one.port()))


async def test_many_are_received_at_once_and_in_order(pair: Pair) -> None:
    one, two = pair
    await one.send_some([((b"piece ", b"%d" % number), (HOST, two.port())) for number in range(10)])
    received = await two.receive_some(4)
    assert len(received) == 4
    while len(received) < 10:
        received += await two.receive_some(64)
    assert [data for data, _ in received] == [b"piece %d" % number for number in range(10)]


async def test_an_empty_datagram_is_one(pair: Pair) -> None:
    one, two = pair
    await one.send(b"", (HOST, two.port()))
    assert await two.receive_some(2) == [(b"", (HOST, one.port()))]


async def test_receiving_waits(pair: Pair) -> None:
    one, two = pair
    got: list[bytes] = []

    async def receive() -> None:
        got.append((await two.receive())[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        assert got == []
        await one.send(b"late", (HOST, two.port()))
    assert got == [b"late"]


async def test_what_is_too_large_is_refused_or_lost(pair: Pair) -> None:
    one, two = pair
    large = bytes(65508)
    with pytest.raises(OSError, match=r"\S"):
        await one.send(large, (HOST, two.port()))
    await one.send_some([((large,), (HOST, two.port())), ((b"small",), (HOST, two.port()))])
    assert (await two.receive())[0] == b"small"


async def test_a_peer_that_is_not_there_harms_nobody(pair: Pair) -> None:
    one, two = pair
    for _ in range(3):
        await one.send_some([((b"lost",), (HOST, NOBODY)), ((b"found",), (HOST, two.port()))])
    await two.send(b"to one", (HOST, one.port()))
    assert (await one.receive())[0] == b"to one"
    assert [data for data, _ in await two.receive_some(3)] == [b"found"] * 3


async def test_a_port_belongs_to_one(network: Network, pair: Pair) -> None:
    one, _ = pair
    port = one.port()
    with pytest.raises(OSError, match=r"\S"):
        await network.udp(HOST, port)
    one.close()
    (await network.udp(HOST, port)).close()


async def test_closing_ends_who_waits(pair: Pair) -> None:
    one, _ = pair

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await one.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        one.close()
