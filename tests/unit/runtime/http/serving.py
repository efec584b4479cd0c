"""A server under test at the other end of memory streams, and a peer that speaks raw bytes."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import trio
import trio.testing
from attrs import define, field
from typing_extensions import override

from gantry.runtime.environment import Clock, DatagramSocket, Network, Randomness
from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.messages import Handler, Reply, Request, Response, json_response
from gantry.runtime.http.server import HttpServer

DATE = "Sun, 09 Sep 2001 01:46:40 GMT"


class FixedClock(Clock):
    """A clock that stands at a billion seconds."""

    @override
    def now(self) -> float:
        return 1_000_000_000.0


class FixedRandomness(Randomness):
    """Randomness that is none."""

    @override
    def bytes(self, count: int) -> bytes:
        return b"\x07" * count

    @override
    def uuid(self) -> str:
        return "00000000-0000-4000-8000-000000000000"


async def echo(request: Request) -> Response:
    """Say what was asked."""
    return json_response(
        {
            "method": request.method,
            "path": request.path,
            "segments": request.segments,
            "query": request.target.query,
            "body": request.body.decode("latin-1"),
        }
    )


def new_server(
    handler: Handler = echo,
    options: ServerOptions | None = None,
    tls: ssl.SSLContext | None = None,
) -> HttpServer:
    """Make a server whose time and randomness stand still."""
    return HttpServer(handler, FixedClock(), FixedRandomness(), options or ServerOptions(), tls)


@define(eq=False)
class RawPeer:
    """The client's end of one stream."""

    stream: trio.abc.Stream
    received: bytearray = field(factory=bytearray)

    async def send(self, *parts: str | bytes) -> None:
        for part in parts:
            await self.stream.send_all(part.encode("latin-1") if isinstance(part, str) else part)

    async def until(self, marker: bytes) -> bytes:
        """Return what came up to and including ``marker``; the rest waits for the next call."""
        while marker not in self.received:
            data = await self.stream.receive_some(65536)
            assert data, f"closed before {marker!r}: {bytes(self.received)!r}"
            self.received += data
        end = self.received.index(marker) + len(marker)
        found = bytes(self.received[:end])
        del self.received[:end]
        return found

    async def rest(self) -> bytes:
        """Return what comes until the server closes."""
        while data := await self.stream.receive_some(65536):
            self.received += data
        return bytes(self.received)


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """A listener on nothing: a test puts streams in."""

    def __init__(self) -> None:
        self.enter, self._accepted = trio.open_memory_channel[trio.abc.Stream](10)
        self.closed = False

    @override
    async def accept(self) -> trio.abc.Stream:
        return await self._accepted.receive()

    @override
    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()

    def connect(self) -> RawPeer:
        ours, theirs = trio.testing.memory_stream_pair()
        self.enter.send_nowait(theirs)
        return RawPeer(ours)


@asynccontextmanager
async def raw_peer(server: HttpServer) -> AsyncIterator[RawPeer]:
    """Connect to a server; on leaving both ends are gone."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        yield RawPeer(ours)
        await trio.aclose_forcefully(ours)
        nursery.cancel_scope.cancel()


def parsed(raw: bytes, methods: Sequence[str] = ("GET",)) -> list[Reply]:
    """Parse the answers to requests with these methods, to the end of the connection."""
    connection = h11.Connection(h11.CLIENT)
    connection.receive_data(raw)
    connection.receive_data(b"")
    replies = []
    for method in methods:
        connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        connection.send(h11.EndOfMessage())
        replies.append(_next_reply(connection))
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()
    return replies


def _next_reply(connection: h11.Connection) -> Reply:
    body, head = b"", None
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
    assert head is not None
    headers = tuple((name.decode(), value.decode()) for name, value in head.headers)
    return Reply(head.status_code, headers, body)


async def asked(server: HttpServer, *parts: str | bytes, method: str = "GET") -> Reply:
    """Send raw bytes that end the connection, and return the one answer."""
    async with raw_peer(server) as peer:
        await peer.send(*parts)
        return parsed(await peer.rest(), [method])[0]


@define(eq=False)
class MemoryNetwork(Network):
    """A network with one server on it."""

    server: HttpServer
    nursery: trio.Nursery
    refuses: bool = False
    connects: int = 0
    streams: list[trio.abc.Stream] = field(factory=list)
    """The server's ends, in the order of their connections."""

    @override
    async def connect_tcp(
        self, address: str, port: int, tls: ssl.SSLContext | None = None
    ) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self.refuses:
            raise ConnectionRefusedError(111, "Connection refused")
        self.connects += 1
        ours, theirs = trio.testing.memory_stream_pair()
        self.streams.append(theirs)
        self.nursery.start_soon(self.server.serve_stream, theirs)
        if tls is None:
            return ours
        secured = trio.SSLStream(ours, tls, server_hostname=address, https_compatible=True)
        await secured.do_handshake()
        return secured

    @override
    async def connect_unix(self, path: Path) -> trio.abc.Stream:
        raise NotImplementedError

    @override
    async def listen_unix(
        self, path: Path, mode: int, owned_as: Path | None = None
    ) -> trio.abc.Listener[trio.abc.Stream]:
        raise NotImplementedError

    @override
    async def listen_tcp(self, address: str, port: int) -> trio.abc.Listener[trio.abc.Stream]:
        raise NotImplementedError

    @override
    def port_of(self, listener: trio.abc.Listener[trio.abc.Stream]) -> int:
        raise NotImplementedError

    @override
    async def udp(self, address: str, port: int) -> DatagramSocket:
        raise NotImplementedError

    @override
    async def resolve(self, name: str) -> str:
        raise NotImplementedError
