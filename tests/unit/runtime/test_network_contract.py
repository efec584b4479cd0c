"""The contract of Network, kept by the machine's sockets and by those in memory."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
import trio
from attrs import frozen

from gantry.runtime.environment import Network
from gantry.runtime.network import SILENT_SECONDS_MAX, RealNetwork
from gantry.runtime.testing.environment import LONE_ADDRESS, lone_network
from gantry.runtime.testing.files import MemoryFiles

MUCH = b"x" * 4_000_000
"""More than any socket buffers."""


@frozen
class Place:
    """A network, and a folder for its unix sockets."""

    network: Network
    folder: Path
    files: MemoryFiles | None

    def put(self, name: str) -> Path:
        """Make a file that is no socket."""
        path = self.folder / name
        if self.files is None:
            path.write_bytes(b"")
        else:
            self.files.put(path, b"")
        return path

    def exists(self, path: Path) -> bool:
        return path.exists() if self.files is None else path in self.files.paths()


@pytest.fixture(params=["real", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Both kinds of networks."""
    if request.param == "real":
        hosts = tmp_path / "hosts"
        hosts.write_text(f"{LONE_ADDRESS} node1.gnt.test\n")
        return Place(RealNetwork(hosts, "node1.gnt.test"), tmp_path, None)
    files = MemoryFiles()
    files.put_folder(tmp_path)
    return Place(lone_network("node1.gnt.test", files), tmp_path, files)


async def unix_pair(place: Place) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    path = place.folder / "s"
    async with await place.network.listen_unix(path, 0o600) as listener:
        near = await place.network.connect_unix(path)
        return near, await listener.accept()


async def tcp_pair(place: Place) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    async with await place.network.listen_tcp(LONE_ADDRESS, 0) as listener:
        port = place.network.port_of(listener)
        near = await place.network.connect_tcp(LONE_ADDRESS, port)
        return near, await listener.accept()


@pytest.fixture(params=[unix_pair, tcp_pair])
async def pair(
    request: pytest.FixtureRequest, place: Place
) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Both ends of a connection, of both kinds."""
    near, far = await request.param(place)
    return near, far


Pair = tuple[trio.abc.Stream, trio.abc.Stream]


async def close(*streams: trio.abc.Stream) -> None:
    for stream in streams:
        await trio.aclose_forcefully(stream)


async def test_both_ways(pair: Pair) -> None:
    near, far = pair
    await near.send_all(b"one")
    assert await far.receive_some() == b"one"
    await far.send_all(memoryview(b"two"))
    assert await near.receive_some(2) == b"tw"
    assert await near.receive_some(2) == b"o"
    await close(near, far)


async def test_what_was_sent_before_a_close_arrives(pair: Pair) -> None:
    near, far = pair
    await near.send_all(b"last words")
    await near.aclose()
    assert await far.receive_some() == b"last words"
    assert await far.receive_some() == b""
    assert await far.receive_some() == b""
    await close(far)


async def test_half_a_close(pair: Pair) -> None:
    near, far = pair
    assert isinstance(near, trio.abc.HalfCloseableStream)
    await near.send_eof()
    assert await far.receive_some() == b""
    await far.send_all(b"still here")
    assert await near.receive_some() == b"still here"
    with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
        await near.send_all(b"more")
    await close(near, far)


async def test_nobody_is_there_to_read(pair: Pair) -> None:
    near, far = pair
    await far.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await near.send_all(MUCH)
    await close(near)


async def test_a_closed_end_is_closed(pair: Pair) -> None:
    near, far = pair
    await near.aclose()
    await near.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await near.send_all(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some()
    await close(far)


async def test_a_close_wakes_who_reads(pair: Pair) -> None:
    near, far = pair

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await near.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await near.aclose()
    await close(far)


async def test_one_reader_at_a_time(pair: Pair) -> None:
    near, far = pair
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await near.receive_some()
        await far.send_all(b"x")
    await close(near, far)


async def test_a_sender_waits_for_its_reader(pair: Pair) -> None:
    near, far = pair
    received, sent = bytearray(), trio.Event()

    async def send() -> None:
        await near.send_all(MUCH)
        sent.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not sent.is_set()
        while len(received) < len(MUCH):
            received += await far.receive_some()
    assert received == MUCH
    await close(near, far)


# --- names and ports -----------------------------------------------------------------------------


async def test_a_unix_socket_that_is_not_there(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        await place.network.connect_unix(place.folder / "nothing")
    with pytest.raises(ConnectionRefusedError):
        await place.network.connect_unix(place.put("file"))
    with pytest.raises(FileNotFoundError):
        await place.network.listen_unix(place.folder / "no" / "s", 0o600)


async def test_a_stale_unix_socket_is_replaced_and_a_living_one_is_not(place: Place) -> None:
    path, network = place.folder / "s", place.network
    await (await network.listen_unix(path, 0o600)).aclose()
    assert place.exists(path)
    with pytest.raises(ConnectionRefusedError):
        await network.connect_unix(path)
    async with await network.listen_unix(path, 0o600):
        with pytest.raises(OSError, match="in use"):
            await network.listen_unix(path, 0o600)
        await close(await network.connect_unix(path))


async def test_who_was_not_accepted_is_hung_up_on(place: Place) -> None:
    path, network = place.folder / "s", place.network
    listener = await network.listen_unix(path, 0o600)
    waiting = await network.connect_unix(path)
    await listener.aclose()
    with contextlib.suppress(trio.BrokenResourceError):  # which a unix socket may say, too
        assert await waiting.receive_some() == b""
    await close(waiting)


async def test_closing_a_listener_wakes_who_accepts(place: Place) -> None:
    listener = await place.network.listen_tcp(LONE_ADDRESS, 0)

    async def accept() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        await trio.testing.wait_all_tasks_blocked()
        await listener.aclose()


async def test_ports(place: Place) -> None:
    network = place.network
    async with await network.listen_tcp(LONE_ADDRESS, 0) as listener:
        port = network.port_of(listener)
        assert port > 0
        with pytest.raises(OSError, match="in use"):
            await network.listen_tcp(LONE_ADDRESS, port)
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await network.connect_tcp(LONE_ADDRESS, port)
    with pytest.raises(OSError, match="ddress"):
        await network.listen_tcp("192.0.2.7", 0)


async def test_datagrams(place: Place) -> None:
    network = place.network
    one, two = await network.udp(LONE_ADDRESS, 0), await network.udp(LONE_ADDRESS, 0)
    await one.send(b"to nobody", (LONE_ADDRESS, 9))
    await one.send(b"hello", (LONE_ADDRESS, two.port()))
    assert await two.receive() == (b"hello", (LONE_ADDRESS, one.port()))
    with pytest.raises(OSError, match="in use"):
        await network.udp(LONE_ADDRESS, one.port())
    one.close()
    again = await network.udp(LONE_ADDRESS, one.port() if place.files else 0)
    for each in (again, two):
        each.close()


async def test_names(place: Place) -> None:
    assert await place.network.resolve("node1.gnt.test") == LONE_ADDRESS
    if place.files is not None:  # the real one would ask the name servers of this machine
        with pytest.raises(OSError, match="does not resolve"):
            await place.network.resolve("no-such-name.gnt.test")


async def test_a_machine_that_is_silently_gone_is_noticed_at_both_ends(tmp_path: Path) -> None:
    network = RealNetwork(tmp_path / "hosts", "node1.gnt.test")
    ends = await tcp_pair(Place(network, tmp_path, None))
    for end in ends:
        assert isinstance(end, trio.SocketStream)
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        probing = [
            end.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        ]
        assert probing[0] + probing[1] * probing[2] == SILENT_SECONDS_MAX
        unconfirmed_ms = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert unconfirmed_ms == SILENT_SECONDS_MAX * 1000
    await close(*ends)
