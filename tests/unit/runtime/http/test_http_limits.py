"""Every limit of the server, and what a peer gets that crosses it."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from tests.unit.runtime.http.serving import asked, echo, new_server, parsed, raw_peer

from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.messages import Request, Response
from gantry.runtime.http.server import HttpServer

LIMITS = Limits(
    connections=2,
    header_bytes=1000,
    header_count=10,
    header_seconds=20.0,
    body_bytes=100,
    body_seconds=30.0,
    keep_alive_idle_seconds=75.0,
    handshake_seconds=10.0,
    write_seconds=60.0,
)
GET = "GET / HTTP/1.1\r\nHost: n\r\n"


def limited(limits: Limits = LIMITS) -> HttpServer:
    return new_server(echo, ServerOptions(limits=limits))


async def test_header_bytes_in_one_long_line(autojump_clock: trio.abc.Clock) -> None:
    assert (await asked(limited(), GET, "X: ", "y" * 5000)).status == 431


async def test_header_bytes_that_arrive_at_once(autojump_clock: trio.abc.Clock) -> None:
    reply = await asked(limited(), f"{GET}X: {'y' * 1000}\r\nConnection: close\r\n\r\n")
    assert reply.status == 431


async def test_header_count(autojump_clock: trio.abc.Clock) -> None:
    many = "".join(f"X{i}: y\r\n" for i in range(10))
    assert (await asked(limited(), GET, many, "\r\n")).status == 431


async def test_a_body_whose_length_says_too_much(autojump_clock: trio.abc.Clock) -> None:
    assert (await asked(limited(), GET, "Content-Length: 101\r\n\r\n", "x" * 101)).status == 413


async def test_a_chunked_body_that_grows_too_much(autojump_clock: trio.abc.Clock) -> None:
    chunks = "Transfer-Encoding: chunked\r\n\r\n" + "a\r\n0123456789\r\n" * 11
    assert (await asked(limited(), GET, chunks)).status == 413


async def test_a_body_at_the_limit_is_taken(autojump_clock: trio.abc.Clock) -> None:
    end = "Content-Length: 100\r\nConnection: close\r\n\r\n"
    assert (await asked(limited(), GET, end, "x" * 100)).status == 200


# --- time ----------------------------------------------------------------------------------------


async def test_headers_that_drip_are_cut_off(autojump_clock: trio.abc.Clock) -> None:
    began = trio.current_time()
    async with raw_peer(limited()) as peer:
        for byte in GET:
            await peer.send(byte)
            await trio.sleep(1)
            if trio.current_time() - began > LIMITS.header_seconds:
                break
        assert parsed(await peer.rest())[0].status == 408
    waited = trio.current_time() - began
    assert LIMITS.header_seconds <= waited <= LIMITS.header_seconds + 5


async def test_a_body_that_drips_is_cut_off(autojump_clock: trio.abc.Clock) -> None:
    began = trio.current_time()
    async with raw_peer(limited()) as peer:
        await peer.send("POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 100\r\n\r\n")
        while trio.current_time() - began < LIMITS.body_seconds:
            await peer.send("x")
            await trio.sleep(1)
        assert parsed(await peer.rest(), ["POST"])[0].status == 408


async def test_a_peer_that_says_nothing_is_cut_off(autojump_clock: trio.abc.Clock) -> None:
    began = trio.current_time()
    async with raw_peer(limited()) as peer:
        assert await peer.rest() == b""
    assert trio.current_time() - began == pytest.approx(LIMITS.header_seconds)


async def test_an_idle_connection_is_closed(autojump_clock: trio.abc.Clock) -> None:
    async with raw_peer(limited()) as peer:
        await peer.send(GET, "\r\n")
        await peer.until(b'"body":""}')
        began = trio.current_time()
        assert await peer.rest() == b""
    assert trio.current_time() - began == pytest.approx(LIMITS.keep_alive_idle_seconds)


async def test_a_peer_that_does_not_read_is_cut_off(autojump_clock: trio.abc.Clock) -> None:
    async def large(_: Request) -> Response:
        return Response(body=b"x" * 1_000_000)

    server = new_server(large, ServerOptions(limits=LIMITS))
    ours, theirs = trio.testing.lockstep_stream_pair()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        await ours.send_all(f"{GET}\r\n".encode())
        await trio.testing.wait_all_tasks_blocked()
        assert server.connections == 1
    assert trio.current_time() - began == pytest.approx(LIMITS.write_seconds)
    assert server.connections == 0


# --- connections ---------------------------------------------------------------------------------


async def test_a_connection_too_many_is_told_so(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    patient = Limits(connections=2, header_seconds=1000, keep_alive_idle_seconds=1000)
    server = limited(patient)
    async with raw_peer(server) as first, raw_peer(server):
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            reply = await asked(server)
            assert (reply.status, reply.header("connection")) == (503, "close")
        assert caplog.text.count("too many connections") == 1
        await first.send(GET, "\r\n")
        await first.until(b'"body":""}')  # those inside are not disturbed
        await trio.sleep(60)
        assert (await asked(server)).status == 503
        assert caplog.text.count("too many connections") == 2
    assert (await asked(server, GET, "Connection: close\r\n\r\n")).status == 200


async def test_only_so_many_are_told(autojump_clock: trio.abc.Clock) -> None:
    server = limited(Limits(connections=1))
    told = []

    async def knock() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_stream, theirs)
            told.append(bytes(await ours.receive_some()))

    async with raw_peer(server):
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(knock)
    assert min(map(len, told)) == 0
    assert 0 < sum(b"503" in answer for answer in told) <= 16
