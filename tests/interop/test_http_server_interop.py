"""Our server against clients that we did not write: curl and httpx."""

from __future__ import annotations

import json
import random
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
from attrs import frozen

from gantry.protocols.identity import ClusterUuid, NodeUuid
from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.messages import Request, Response, error_response, json_response
from gantry.runtime.http.server import HttpServer
from gantry.runtime.real import RealClock, RealRandomness
from gantry.security.authority import NodeSubject, issue_node_credential, new_authority
from gantry.security.contexts import server_context

DEADLINE_SECONDS = 20
"""No test takes that long; a hanging one ends with it."""


async def handler(request: Request) -> Response:
    """Echo; stream; fail."""
    match request.segments:
        case ("stream",):
            return Response(body=_pieces(), content_type="text/plain")
        case ("fail",):
            raise ValueError("the secret")
        case ("large",):
            return Response(body=b"x" * 3_000_000, content_type="application/octet-stream")
        case _:
            return json_response(
                {
                    "method": request.method,
                    "path": request.path,
                    "query": request.target.query,
                    "length": len(request.body),
                    "peer": request.peer and request.peer.common_name,
                    "from": request.peer_address,
                }
            )


async def _pieces() -> AsyncIterator[bytes]:
    for number in range(5):
        yield f"piece {number}\n".encode()


STREAMED = "".join(f"piece {number}\n" for number in range(5))


@asynccontextmanager
async def serving(
    options: ServerOptions | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve on loopback; the URL without path."""
    server = HttpServer(handler, RealClock(), RealRandomness(), options or ServerOptions(), tls)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    with trio.fail_after(DEADLINE_SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, [listener])
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
            await server.drain(5)


@frozen
class Curled:
    """What curl said."""

    status: int
    head: str
    body: bytes
    errors: str


async def curl(*arguments: str) -> Curled:
    command = ["curl", "--silent", "--show-error", "--include", "--no-progress-meter", *arguments]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    head, _, body = done.stdout.rpartition(b"\r\n\r\n")
    return Curled(done.returncode, head.decode("latin-1"), body, done.stderr.decode())


async def test_curl_gets() -> None:
    async with serving() as url:
        got = await curl(f"{url}/a%20b?x=1&x=2")
    assert got.status == 0, got.errors
    told = json.loads(got.body)
    assert (told["path"], told["query"]) == ("/a%20b", [["x", "1"], ["x", "2"]])
    assert told["from"] == "127.0.0.1"


async def test_curl_reuses_its_connection() -> None:
    async with serving() as url:
        got = await curl("--verbose", f"{url}/1", f"{url}/2", f"{url}/3")
    assert got.errors.count("Re-using existing connection") == 2


async def test_curl_posts_after_being_told_to_continue(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 3_000_000)
    async with serving() as url:
        for arguments in (
            ["--header", "Expect: 100-continue", "--data-binary", f"@{large}"],
            ["--header", "Transfer-Encoding: chunked", "--data-binary", f"@{large}"],
            ["--upload-file", str(large)],
            ["--http1.0", "--data-binary", f"@{large}"],
        ):
            got = await curl(*arguments, f"{url}/p")
            assert got.status == 0, got.errors
            assert json.loads(got.body)["length"] == 3_000_000
        assert "100 Continue" in (await curl("--upload-file", str(large), f"{url}/p")).head


async def test_curl_is_refused_before_it_sends(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 3_000_000)
    async with serving(ServerOptions(limits=Limits(body_bytes=1000))) as url:
        got = await curl("--upload-file", str(large), url)
        assert got.head.startswith("HTTP/1.1 413 ")
        assert "100 Continue" not in got.head
        blunt = await curl("--header", "Expect:", "--data-binary", f"@{large}", url)
        assert blunt.head.startswith("HTTP/1.1 413 "), blunt.errors
        chunked = ["--header", "Transfer-Encoding: chunked", "--header", "Expect:"]
        grown = await curl(*chunked, "--data-binary", f"@{large}", url)
        assert grown.head.startswith("HTTP/1.1 413 "), grown.errors


async def test_curl_streams_heads_and_old_versions() -> None:
    async with serving() as url:
        streamed = await curl(f"{url}/stream")
        assert streamed.body.decode() == STREAMED
        assert "chunked" in streamed.head
        old = await curl("--http1.0", f"{url}/stream")
        assert (old.status, old.body.decode()) == (0, STREAMED)
        for path in ("/x", "/stream", "/large"):
            head = await curl("--head", f"{url}{path}")
            assert (head.status, head.body) == (0, b"")
        upgrade = await curl("--http2", f"{url}/x")
        assert (upgrade.status, json.loads(upgrade.body)["path"]) == (0, "/x")


async def test_curl_sees_no_traceback() -> None:
    async with serving() as url:
        got = await curl(f"{url}/fail")
    assert got.head.startswith("HTTP/1.1 500 ")
    assert b"secret" not in got.body
    assert b"Traceback" not in got.body


async def test_curl_meets_a_full_server() -> None:
    async with serving(ServerOptions(limits=Limits(connections=0))) as url:
        got = await curl(url)
    assert got.head.startswith("HTTP/1.1 503 ")
    assert json.loads(got.body) == error_body(503, "too many connections")


def error_body(status: int, explain: str) -> object:
    body = error_response(status, explain).body
    assert isinstance(body, bytes)
    return json.loads(body)


# --- mutual TLS ----------------------------------------------------------------------------------


@frozen
class Cluster:
    """Key files of a cluster."""

    authority: Path
    server: ssl.SSLContext
    client: Path


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    source, now = random.Random(1).randbytes, time.time()
    authority = new_authority(ClusterUuid("c"), now, source)
    paths = [tmp_path / name for name in ("ca.pem", "server.pem", "client.pem")]
    paths[0].write_bytes(authority.certificate_pem)
    for path in paths[1:]:
        subject = NodeSubject(NodeUuid(path.stem), "node.example", "127.0.0.1")
        path.write_bytes(issue_node_credential(authority, subject, now, source).combined())
    server = server_context(paths[1], "required", authority.certificate_pem)
    return Cluster(paths[0], server, paths[2])


async def test_curl_shows_its_certificate(cluster: Cluster) -> None:
    ours = ["--cacert", str(cluster.authority)]
    async with serving(tls=cluster.server) as url:
        got = await curl(*ours, "--cert", str(cluster.client), url)
        assert got.status == 0, got.errors
        assert json.loads(got.body)["peer"] == "client"
        none = await curl(*ours, url)
        assert none.status != 0
        assert "certificate required" in none.errors
        older = await curl(*ours, "--tls-max", "1.1", "--cert", str(cluster.client), url)
        assert older.status != 0


async def test_openssl_finds_nothing_to_complain_about(cluster: Cluster) -> None:
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", str(cluster.authority)]
    for purpose in ("sslserver", "sslclient"):
        command = [*verify, "-purpose", purpose, str(cluster.client)]
        await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT)


async def test_httpx_with_mutual_tls(cluster: Cluster) -> None:
    context = ssl.create_default_context(cafile=str(cluster.authority))
    context.load_cert_chain(cluster.client)
    async with (
        serving(tls=cluster.server) as url,
        httpx.AsyncClient(verify=context, base_url=url) as client,
    ):
        for _ in range(3):
            assert (await client.get("/x")).json()["peer"] == "client"


# --- httpx ---------------------------------------------------------------------------------------


async def test_httpx_in_all_ways() -> None:
    async def upload() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 1000

    async with serving() as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.post("/p", content=upload())).json()["length"] == 10_000
        assert (await client.put("/p", content=b"x" * 100_000)).json()["length"] == 100_000
        assert (await client.head("/large")).headers["content-length"] == "3000000"
        assert len((await client.get("/large")).content) == 3_000_000
        async with client.stream("GET", "/stream") as streamed:
            assert "".join([text async for text in streamed.aiter_text()]) == STREAMED
        assert (await client.get("/fail")).status_code == 500
        assert (await client.get("/x", params={"q": "ü /"})).json()["query"] == [["q", "ü /"]]


async def test_many_httpx_clients_at_once() -> None:
    async with serving() as url, httpx.AsyncClient(base_url=url) as client:

        async def ask(number: int) -> None:
            reply = await client.get(f"/{number}")
            assert reply.json()["path"] == f"/{number}"

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(ask, number)
