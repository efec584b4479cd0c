"""The client against our server over memory streams, and against servers that misbehave."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
import trio.testing
from attrs import define, field
from tests.unit.runtime.http.serving import MemoryNetwork, echo, new_server
from typing_extensions import override

from gantry.protocols.errors import ConnectionLost, Unreachable
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import ClientLimits, Limits
from gantry.runtime.http.messages import Request, Response, json_response

SECONDS = 10.0

Misbehave = Callable[[trio.abc.Stream], Awaitable[None]]


@define(eq=False)
class ScriptedNetwork(MemoryNetwork):
    """A network whose server does what a test says, connection by connection."""

    scripts: list[Misbehave] = field(factory=list)

    @override
    async def connect_tcp(
        self, address: str, port: int, tls: ssl.SSLContext | None = None
    ) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.scripts[self.connects], theirs)
        self.connects += 1
        return ours


async def test_a_request_and_its_reply(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(new_server(), nursery)
    async with HttpClient(network, "127.0.0.1", 80) as client:
        reply = await client.request("PUT", "/a?b=c", body=b"text", deadline_seconds=SECONDS)
    assert reply.status == 200
    assert reply.header("content-type") == "application/json"
    told = json.loads(reply.body)
    assert (told["method"], told["path"], told["body"]) == ("PUT", "/a", "text")


async def test_connections_are_kept_alive(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(new_server(), nursery)
    async with HttpClient(network, "127.0.0.1", 80) as client:
        for method in ("GET", "POST", "HEAD", "DELETE"):
            await client.request(method, "/", deadline_seconds=SECONDS)
    assert network.connects == 1


async def test_idle_connections_are_not_used_for_ever(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    network = MemoryNetwork(new_server(), nursery)
    async with HttpClient(network, "127.0.0.1", 80) as client:
        await client.request("GET", "/", deadline_seconds=SECONDS)
        await trio.sleep(31)
        await client.request("GET", "/", deadline_seconds=SECONDS)
    assert network.connects == 2


async def test_requests_share_a_bounded_number_of_connections(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    at_once, most = 0, 0

    async def handler(_: Request) -> Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(1)
        at_once -= 1
        return json_response(None)

    network = MemoryNetwork(new_server(handler), nursery)

    async def ask() -> None:
        await client.request("GET", "/", deadline_seconds=SECONDS)

    client = HttpClient(network, "h", 80, limits=ClientLimits(connections=3))
    async with client, trio.open_nursery() as asking:
        for _ in range(9):
            asking.start_soon(ask)
    assert (most, network.connects) == (3, 3)
    assert trio.current_time() == pytest.approx(3)


async def test_a_reply_that_never_comes(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async def handler(_: Request) -> Response:
        await trio.sleep_forever()
        raise AssertionError

    network = MemoryNetwork(new_server(handler, ServerOptions(cancel_on_disconnect=True)), nursery)
    async with HttpClient(network, "h", 80) as client:
        with pytest.raises(ConnectionLost, match=r"h:80 did not answer within 10 seconds") as lost:
            await client.request("GET", "/", deadline_seconds=SECONDS)
        assert not isinstance(lost.value, Unreachable)
        await trio.testing.wait_all_tasks_blocked()
        assert network.server.connections == 0


async def test_a_wait_for_a_free_connection_counts_as_not_sent(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    async def handler(_: Request) -> Response:
        await trio.sleep(60)
        return json_response(None)

    network = MemoryNetwork(new_server(handler), nursery)
    client = HttpClient(network, "h", 80, limits=ClientLimits(connections=1))
    async with client, trio.open_nursery() as asking:
        asking.start_soon(lambda: client.request("GET", "/", deadline_seconds=100))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Unreachable):
            await client.request("POST", "/", deadline_seconds=SECONDS)


async def test_cancellation_closes_the_connection(nursery: trio.Nursery) -> None:
    started = trio.Event()

    async def handler(_: Request) -> Response:
        started.set()
        await trio.sleep_forever()
        raise AssertionError

    server = new_server(handler, ServerOptions(cancel_on_disconnect=True))
    network = MemoryNetwork(server, nursery)
    async with HttpClient(network, "h", 80) as client:
        async with trio.open_nursery() as asking:
            asking.start_soon(lambda: client.request("GET", "/", deadline_seconds=SECONDS))
            await started.wait()
            asking.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert server.connections == 0


async def test_nobody_listens(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(new_server(), nursery, refuses=True)
    async with HttpClient(network, "::1", 80) as client:
        with pytest.raises(Unreachable, match=r"\[::1\]:80 does not answer: .*refused"):
            await client.request("GET", "/", deadline_seconds=SECONDS)


async def test_a_closed_client_sends_nothing(nursery: trio.Nursery) -> None:
    client = HttpClient(MemoryNetwork(new_server(), nursery), "h", 80)
    await client.aclose()
    with pytest.raises(Unreachable, match="closed"):
        await client.request("GET", "/", deadline_seconds=SECONDS)


async def test_a_reply_that_is_too_large(nursery: trio.Nursery) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000

    async def handler(_: Request) -> Response:
        return Response(body=pieces())

    network = MemoryNetwork(new_server(handler), nursery)
    async with HttpClient(network, "h", 80, limits=ClientLimits(body_bytes=10_000)) as client:
        with pytest.raises(ConnectionLost, match="larger than 10000 bytes"):
            await client.request("GET", "/", deadline_seconds=SECONDS)


async def test_a_refusal_comes_through_while_a_large_body_is_sent(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    network = MemoryNetwork(
        new_server(echo, ServerOptions(limits=Limits(body_bytes=1000))), nursery
    )
    async with HttpClient(network, "h", 80) as client:
        body = b"x" * 10_000_000
        reply = await client.request("POST", "/", body=body, deadline_seconds=SECONDS)
        assert reply.status == 413
        assert (await client.request("GET", "/", deadline_seconds=SECONDS)).status == 200


@pytest.mark.parametrize("header", [("x", "a\r\nb: c"), ("bad name", "x"), ("x", "\N{SNOWMAN}")])
async def test_impossible_headers_are_the_callers_defect(
    nursery: trio.Nursery, header: tuple[str, str]
) -> None:
    network = MemoryNetwork(new_server(), nursery)
    async with HttpClient(network, "h", 80) as client:
        with pytest.raises(Exception, match=r"header|encode"):
            await client.request("GET", "/", headers=(header,), deadline_seconds=SECONDS)
        assert (await client.request("GET", "/", deadline_seconds=SECONDS)).status == 200


# --- servers that misbehave ----------------------------------------------------------------------


async def hang_up(stream: trio.abc.Stream) -> None:
    await stream.receive_some(1000)
    await stream.aclose()


async def answer_once_then_hang_up(stream: trio.abc.Stream) -> None:
    await stream.receive_some(1000)
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    await hang_up(stream)


async def answer_in_part(stream: trio.abc.Stream) -> None:
    await stream.receive_some(1000)
    await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
    await stream.aclose()


async def babble(stream: trio.abc.Stream) -> None:
    await stream.receive_some(1000)
    await stream.send_all(b"220 mail ready\r\n\r\n")
    await stream.aclose()


async def say_continue_first(stream: trio.abc.Stream) -> None:
    await stream.receive_some(1000)
    await stream.send_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    await stream.send_all(b"HTTP/1.0 200 OK\r\n\r\nto the end")
    await stream.aclose()


def scripted(nursery: trio.Nursery, *scripts: Misbehave) -> tuple[ScriptedNetwork, HttpClient]:
    network = ScriptedNetwork(new_server(), nursery, scripts=list(scripts))
    return network, HttpClient(network, "h", 80)


@pytest.mark.parametrize("script", [hang_up, answer_in_part, babble])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_broken_exchange_has_an_unknown_outcome(
    nursery: trio.Nursery, script: Misbehave, method: str
) -> None:
    network, client = scripted(nursery, script)
    with pytest.raises(ConnectionLost) as lost:
        await client.request(method, "/", deadline_seconds=SECONDS)
    assert not isinstance(lost.value, Unreachable)
    assert network.connects == 1


async def test_a_safe_request_into_a_closing_connection_is_sent_again(
    nursery: trio.Nursery,
) -> None:
    network, client = scripted(nursery, answer_once_then_hang_up, answer_once_then_hang_up)
    for _ in range(2):
        assert (await client.request("GET", "/", deadline_seconds=SECONDS)).body == b"ok"
    assert network.connects == 2


async def test_a_changing_request_is_never_sent_again(nursery: trio.Nursery) -> None:
    network, client = scripted(nursery, answer_once_then_hang_up, answer_once_then_hang_up)
    await client.request("GET", "/", deadline_seconds=SECONDS)
    with pytest.raises(ConnectionLost):
        await client.request("POST", "/", deadline_seconds=SECONDS)
    assert network.connects == 1


async def test_informational_and_old_answers_are_understood(nursery: trio.Nursery) -> None:
    _, client = scripted(nursery, say_continue_first)
    reply = await client.request("GET", "/", deadline_seconds=SECONDS)
    assert (reply.status, reply.body) == (200, b"to the end")
