"""The server as a peer with raw bytes sees it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator

import pytest
import trio
from tests.unit.runtime.http.serving import DATE, asked, echo, new_server, parsed, raw_peer

from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.messages import Request, Response, error_response, json_response
from gantry.runtime.http.server import HttpServer

CLOSE = "Host: n\r\nConnection: close\r\n\r\n"


async def test_a_request_is_taken_apart_for_the_handler() -> None:
    reply = await asked(new_server(), "GET /2/a%20b/%C3%BC?x=1&y=&x=2 HTTP/1.1\r\n", CLOSE)
    assert reply.status == 200
    assert json.loads(reply.body) == {
        "method": "GET",
        "path": "/2/a%20b/%C3%BC",
        "segments": ["2", "a b", "ü"],
        "query": [["x", "1"], ["y", ""], ["x", "2"]],
        "body": "",
    }


async def test_the_head_of_an_answer() -> None:
    reply = await asked(new_server(), "GET / HTTP/1.1\r\n", CLOSE)
    assert dict(reply.headers) == {
        "date": DATE,
        "server": "Gantry",
        "content-type": "application/json",
        "content-length": str(len(reply.body)),
        "connection": "close",
    }


@pytest.mark.parametrize(
    ("target", "path", "segments"),
    [
        ("/", "/", []),
        ("/a/", "/a/", ["a", ""]),
        ("//a", "//a", ["", "a"]),
        ("/a%2Fb", "/a%2Fb", ["a/b"]),
        ("http://host:1/x?q", "/x", ["x"]),
        ("https://host", "/", []),
        ("*", "*", ["*"]),
    ],
)
async def test_targets(target: str, path: str, segments: list[str]) -> None:
    reply = await asked(new_server(), f"GET {target} HTTP/1.1\r\n", CLOSE)
    told = json.loads(reply.body)
    assert (told["path"], told["segments"]) == (path, segments)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET nonsense HTTP/1.1", 400),
        ("GET /%FF HTTP/1.1", 400),
        ("GET /?x=%FF HTTP/1.1", 400),
        ("GET http://[/ HTTP/1.1", 400),
        ("GET ftp://host/ HTTP/1.1", 400),
        ("CONNECT host:80 HTTP/1.1", 501),
        ("GET", 400),
        ("\x00\x01\x02", 400),
        ("GET / HTTP/2.0", 505),
    ],
)
async def test_bad_requests_are_refused(request_line: str, status: int) -> None:
    reply = await asked(new_server(), f"{request_line}\r\n", CLOSE)
    assert reply.status == status
    assert reply.header("connection") == "close"
    assert json.loads(reply.body)["code"] == status


async def test_a_missing_host_is_refused() -> None:
    assert (await asked(new_server(), "GET / HTTP/1.1\r\n\r\n")).status == 400


async def test_a_body_with_a_length_that_is_also_chunked_is_refused() -> None:
    both = "Host: n\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert (await asked(new_server(), "POST / HTTP/1.1\r\n", both)).status == 400


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with raw_peer(new_server()) as peer:
        await peer.send(
            "POST /1 HTTP/1.1\r\nHost: n\r\nContent-Length: 3\r\n\r\nabc",
            "GET /2 HTTP/1.1\r\nHost: n\r\n\r\n",
            f"GET /3 HTTP/1.1\r\n{CLOSE}",
        )
        replies = parsed(await peer.rest(), ["POST", "GET", "GET"])
    assert [json.loads(r.body)["path"] for r in replies] == ["/1", "/2", "/3"]


async def test_a_request_in_single_bytes() -> None:
    async with raw_peer(new_server()) as peer:
        for byte in b"POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nok":
            await peer.send(bytes([byte]))
        assert json.loads(parsed(await peer.rest(), ["POST"])[0].body)["body"] == "ok"


async def test_a_chunked_request_body() -> None:
    head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    chunks = "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
    reply = await asked(new_server(), head, CLOSE, chunks, method="POST")
    assert json.loads(reply.body)["body"] == "abcde"


async def test_empty_lines_between_requests_are_passed_over() -> None:
    async with raw_peer(new_server()) as peer:
        await peer.send("\r\n\r\nGET /1 HTTP/1.1\r\nHost: n\r\n\r\n")
        await peer.until(b'"body":""}')
        await peer.send(b"\r\n")
        await peer.send("GET /2 HTTP/1.1\r\n", CLOSE)
        assert b'"path":"/2"' in await peer.rest()


async def test_http_1_0_is_answered_and_closed() -> None:
    raw = await _raw(b"GET / HTTP/1.0\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close" in raw or b"connection: close" in raw


async def _raw(sent: bytes) -> bytes:
    async with raw_peer(new_server()) as peer:
        await peer.send(sent)
        return await peer.rest()


async def test_head_has_the_head_of_get_and_no_body() -> None:
    raw = await _raw(f"HEAD /abc HTTP/1.1\r\n{CLOSE}".encode())
    head, body = raw.split(b"\r\n\r\n", 1)
    assert body == b""
    length = len(json.dumps({"method": "HEAD"}))  # at least that much was not sent
    assert int(parsed(raw, ["HEAD"])[0].header("content-length") or 0) > length
    assert head.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_body_have_no_length(status: int) -> None:
    async def nothing(_: Request) -> Response:
        return Response(status, b"ignored")

    reply = await asked(new_server(nothing), "GET / HTTP/1.1\r\n", CLOSE)
    assert (reply.status, reply.body, reply.header("content-length")) == (status, b"", None)


async def test_without_keep_alive_every_answer_closes() -> None:
    options = ServerOptions(name="Ganeti 3.0.2", keep_alive=False)
    reply = await asked(new_server(echo, options), "GET / HTTP/1.1\r\nHost: n\r\n\r\n")
    assert reply.header("connection") == "close"
    assert reply.header("server") == "Ganeti 3.0.2"


# --- Expect: 100-continue ------------------------------------------------------------------------

EXPECTING = "POST /p HTTP/1.1\r\nHost: n\r\nExpect: 100-continue\r\n"


async def test_a_body_is_asked_for() -> None:
    async with raw_peer(new_server()) as peer:
        await peer.send(EXPECTING, "Content-Length: 2\r\n\r\n")
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 Continue\r\n")
        await peer.send("ok")
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        await peer.until(b'"body":"ok"}')


async def test_a_body_that_is_too_large_is_never_asked_for(autojump_clock: trio.abc.Clock) -> None:
    options = ServerOptions(limits=Limits(body_bytes=10))
    reply = await asked(new_server(echo, options), EXPECTING, "Content-Length: 11\r\n\r\n")
    assert reply.status == 413
    assert reply.header("connection") == "close"


async def test_a_sender_may_be_refused_before_the_body(autojump_clock: trio.abc.Clock) -> None:
    def check(request: Request) -> Response | None:
        return error_response(401, "who?") if request.header("authorization") is None else None

    server = new_server(echo, ServerOptions(check_head=check))
    assert (await asked(server, EXPECTING, "Content-Length: 2\r\n\r\n")).status == 401
    admitted = "Authorization: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    assert (await asked(server, EXPECTING, admitted)).status == 200


async def test_nothing_else_can_be_expected(autojump_clock: trio.abc.Clock) -> None:
    request = "POST / HTTP/1.1\r\nHost: n\r\nExpect: miracles\r\nContent-Length: 0\r\n\r\n"
    assert (await asked(new_server(), request)).status == 417


# --- streamed answers ----------------------------------------------------------------------------


async def test_a_streamed_answer_is_chunked() -> None:
    closed = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one,"
            yield b""
            yield b"two"
        finally:
            closed.append(True)

    async def handler(_: Request) -> Response:
        return Response(body=pieces(), content_type="text/plain")

    raw = await _raw_of(new_server(handler), f"GET / HTTP/1.1\r\n{CLOSE}")
    assert raw.endswith(b"4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert parsed(raw)[0].body == b"one,two"
    assert closed == [True]
    raw = await _raw_of(new_server(handler), "GET / HTTP/1.0\r\n\r\n")
    assert raw.endswith(b"\r\n\r\none,two")
    assert b"chunked" not in raw
    raw = await _raw_of(new_server(handler), f"HEAD / HTTP/1.1\r\n{CLOSE}")
    assert raw.endswith(b"\r\n\r\n")
    assert b"one" not in raw


async def _raw_of(server: HttpServer, request: str) -> bytes:
    async with raw_peer(server) as peer:
        await peer.send(request)
        return await peer.rest()


async def test_a_stream_that_fails_is_cut_so_that_the_reader_notices(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("broken")

    async def handler(_: Request) -> Response:
        return Response(body=pieces())

    raw = await _raw_of(new_server(handler), "GET / HTTP/1.1\r\nHost: n\r\n\r\n")
    assert raw.endswith(b"3\r\none\r\n")
    assert "streamed response failed" in caplog.text


# --- failures ------------------------------------------------------------------------------------


async def test_a_failing_handler_is_logged_and_tells_the_peer_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/ok":
            return json_response("fine")
        raise ValueError("the secret")

    async with raw_peer(new_server(handler)) as peer:
        await peer.send("GET /bad HTTP/1.1\r\nHost: n\r\n\r\n", f"GET /ok HTTP/1.1\r\n{CLOSE}")
        raw = await peer.rest()
    failed, fine = parsed(raw, ["GET", "GET"])
    assert (failed.status, fine.body) == (500, b'"fine"')
    assert b"secret" not in raw
    assert b"Traceback" not in raw
    assert b"070707070707" in failed.body
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.__dict__["fields"] == {"id": "070707070707", "method": "GET", "path": "/bad"}
    assert record.exc_info is not None


@pytest.mark.parametrize(
    "response",
    [
        Response(headers=(("x", "a\r\nset-cookie: b"),)),
        Response(headers=(("bad name", "x"),)),
        Response(status=42),
        Response(headers=(("x", "\N{SNOWMAN}"),)),
    ],
)
async def test_an_impossible_response_becomes_an_error(response: Response) -> None:
    async def handler(_: Request) -> Response:
        return response

    reply = await asked(new_server(handler), "GET / HTTP/1.1\r\n", CLOSE)
    assert reply.status == 500


async def test_error_bodies_are_escaped() -> None:
    response = error_response(404, "<script>")
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "code": 404,
        "message": "Not Found",
        "explain": "&lt;script&gt;",
    }
