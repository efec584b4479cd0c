"""All connections together hold no more of requests' bodies than the server has room for."""

from __future__ import annotations

import trio
from tests.unit.runtime.http.serving import new_server, parsed, raw_peer

from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.messages import Request, Response

HEAD = "POST / HTTP/1.1\r\nHost: n\r\nConnection: close\r\nContent-Length: 60\r\n\r\n"
OPTIONS = ServerOptions(Limits(bodies_bytes=100))


async def test_what_has_no_room_is_turned_away_and_the_room_is_given_back() -> None:
    asked, go_on = trio.Event(), trio.Event()

    async def wait(_: Request) -> Response:
        asked.set()
        await go_on.wait()
        return Response(204)

    server = new_server(wait, OPTIONS)
    async with raw_peer(server) as first:
        await first.send(HEAD, "x" * 60)
        await asked.wait()
        async with raw_peer(server) as second:
            await second.send(HEAD, "y" * 60)
            (refused,) = parsed(await second.rest(), ["POST"])
            assert refused.status == 503
        go_on.set()
        (served,) = parsed(await first.rest(), ["POST"])
        assert served.status == 204
    async with raw_peer(server) as third:
        await third.send(HEAD, "z" * 60)
        (served,) = parsed(await third.rest(), ["POST"])
        assert served.status == 204


async def test_a_peer_that_leaves_gives_its_room_back() -> None:
    async def never(_: Request) -> Response:
        raise AssertionError

    server = new_server(never, OPTIONS)
    for _ in range(3):
        async with raw_peer(server) as peer:
            await peer.send(HEAD, "x" * 59)
    assert server._bodies.bytes_held == 0
