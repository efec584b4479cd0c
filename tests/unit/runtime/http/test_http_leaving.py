"""Either side leaves: the server drains, the peer disconnects."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from attrs import define, field
from tests.unit.runtime.http.serving import MemoryListener, RawPeer, new_server, parsed, raw_peer

from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.messages import Request, Response, json_response
from gantry.runtime.http.server import HttpServer

GET = "GET / HTTP/1.1\r\nHost: n\r\n\r\n"


@define
class Slow:
    """A handler that answers when it is let go."""

    started: trio.Event = field(factory=trio.Event)
    go: trio.Event = field(factory=trio.Event)
    cancelled: bool = False
    finished: bool = False

    async def __call__(self, _: Request) -> Response:
        self.started.set()
        try:
            await self.go.wait()
        except trio.Cancelled:
            self.cancelled = True
            raise
        self.finished = True
        return json_response("done")


async def test_a_drain_closes_the_idle_and_waits_for_the_rest(
    autojump_clock: trio.abc.Clock, nursery: trio.Nursery
) -> None:
    handler, listener = Slow(), MemoryListener()
    server = new_server(handler)
    await nursery.start(server.serve, [listener])
    idle, busy = listener.connect(), listener.connect()
    await busy.send(GET)
    await handler.started.wait()
    async with trio.open_nursery() as draining:
        draining.start_soon(server.drain, 30.0)
        assert await idle.rest() == b""
        assert listener.closed
        handler.go.set()
        reply = parsed(await busy.rest())[0]
    assert (reply.body, reply.header("connection")) == (b'"done"', "close")
    assert server.connections == 0
    assert trio.current_time() < 1


async def test_a_drain_ends_at_its_deadline(
    autojump_clock: trio.abc.Clock, nursery: trio.Nursery
) -> None:
    handler, listener = Slow(), MemoryListener()
    server = new_server(handler)
    await nursery.start(server.serve, [listener])
    busy = listener.connect()
    await busy.send(GET)
    await handler.started.wait()
    began = trio.current_time()
    await server.drain(30.0)
    assert trio.current_time() - began == pytest.approx(30)
    assert handler.cancelled
    assert await busy.rest() == b""


async def test_cancelling_the_server_closes_everything(
    autojump_clock: trio.abc.Clock,
) -> None:
    handler, listener = Slow(), MemoryListener()
    server = new_server(handler)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        busy = listener.connect()
        await busy.send(GET)
        await handler.started.wait()
        nursery.cancel_scope.cancel()
    assert handler.cancelled
    assert listener.closed
    assert await busy.rest() == b""


async def test_a_peer_that_leaves_cancels_nothing_by_itself(
    autojump_clock: trio.abc.Clock,
) -> None:
    handler = Slow()
    await _ask_and_leave(new_server(handler), handler)
    assert handler.finished


async def test_a_peer_that_leaves_cancels_the_handler_if_that_is_wanted(
    autojump_clock: trio.abc.Clock,
) -> None:
    handler = Slow()
    server = new_server(handler, ServerOptions(cancel_on_disconnect=True))
    await _ask_and_leave(server, handler)
    assert handler.cancelled
    assert not handler.finished


async def _ask_and_leave(server: HttpServer, handler: Slow) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        await ours.send_all(GET.encode())
        await handler.started.wait()
        await ours.aclose()
        await trio.testing.wait_all_tasks_blocked()
        handler.go.set()
    assert server.connections == 0


async def test_requests_sent_ahead_are_kept_while_the_server_watches() -> None:
    handler = Slow()
    server = new_server(handler, ServerOptions(cancel_on_disconnect=True))
    async with raw_peer(server) as peer:
        await peer.send(GET)
        await handler.started.wait()
        await peer.send("GET / HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        handler.go.set()
        assert [r.body for r in parsed(await peer.rest(), ["GET", "GET"])] == [b'"done"'] * 2


@pytest.mark.parametrize("cancel_on_disconnect", [False, True])
async def test_a_stream_ends_when_its_reader_leaves(
    cancel_on_disconnect: bool, autojump_clock: trio.abc.Clock
) -> None:
    closed = trio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await trio.sleep_forever()
        finally:
            closed.set()

    async def handler(_: Request) -> Response:
        return Response(body=pieces())

    server = new_server(handler, ServerOptions(cancel_on_disconnect=cancel_on_disconnect))
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        await ours.send_all(GET.encode())
        await RawPeer(ours).until(b"first")
        await ours.aclose()
    assert closed.is_set()
