"""Our client against servers that we did not write: the standard library's and openssl's."""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trio
from typing_extensions import override

from gantry.protocols.errors import ConnectionLost, Unreachable
from gantry.protocols.identity import ClusterUuid, NodeUuid
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.exchange import is_quiet
from gantry.runtime.network import RealNetwork
from gantry.security.authority import NodeSubject, issue_node_credential, new_authority
from gantry.security.certificates import expect_node
from gantry.security.contexts import client_context

SECONDS = 20.0
NETWORK = RealNetwork(Path("/nowhere/hosts"), "no-node")


class Answers(BaseHTTPRequestHandler):
    """Answers in several ways, by path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\none\r\n4\r\n,two\r\n0\r\n\r\n")
        elif self.path == "/until-close":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"to the end")
        elif self.path == "/hang-up":
            self.close_connection = True
        else:
            self._answer(f"GET {self.path}".encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer(b"%d bytes" % len(body))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def standard_server(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run the standard library's server in a thread; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def get(client: HttpClient, path: str) -> bytes:
    return (await client.request("GET", path, deadline_seconds=SECONDS)).body


async def test_the_standard_librarys_server() -> None:
    with standard_server() as port:
        async with HttpClient(NETWORK, "127.0.0.1", port) as client:
            assert await get(client, "/x?y=z") == b"GET /x?y=z"
            assert await get(client, "/chunked") == b"one,two"
            assert await get(client, "/until-close") == b"to the end"
            for size in (0, 100, 5_000_000):
                reply = await client.request(
                    "POST", "/", body=b"x" * size, deadline_seconds=SECONDS
                )
                assert reply.body == b"%d bytes" % size
            with pytest.raises(ConnectionLost):
                await get(client, "/hang-up")
            assert await get(client, "/again") == b"GET /again"


async def test_a_connection_that_the_server_closed_is_noticed_before_it_is_used() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    served = 0

    async def once(stream: trio.SocketStream) -> None:
        nonlocal served
        served += 1
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, once, [listener])
            async with HttpClient(NETWORK, "127.0.0.1", port) as client:
                for _ in range(3):
                    reply = await client.request("POST", "/", deadline_seconds=SECONDS)
                    assert reply.body == b"ok"
                    (_, wire) = client._idle[-1]
                    while is_quiet(wire.stream):  # until the server's FIN is here
                        await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert served == 3


async def test_nobody_listens_there() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with HttpClient(NETWORK, "127.0.0.1", port) as client:
        with pytest.raises(Unreachable, match="does not answer"):
            await get(client, "/")


async def test_mutual_tls_with_the_standard_librarys_server(tmp_path: Path) -> None:
    source, now = random.Random(1).randbytes, time.time()
    authority = new_authority(ClusterUuid("c"), now, source)
    for name in ("server", "client"):
        subject = NodeSubject(NodeUuid(name), "node.example", "127.0.0.1")
        credential = issue_node_credential(authority, subject, now, source)
        (tmp_path / name).write_bytes(credential.combined())
    (tmp_path / "ca").write_bytes(authority.certificate_pem)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca"))
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(tmp_path / "server")
    ours = client_context(authority.certificate_pem, tmp_path / "client")
    with standard_server(server) as port:
        known = expect_node(NodeUuid("server"))
        async with HttpClient(NETWORK, "127.0.0.1", port, ours, known) as client:
            assert await get(client, "/x") == b"GET /x"
            assert await get(client, "/chunked") == b"one,two"
        other = expect_node(NodeUuid("other"))
        async with HttpClient(NETWORK, "127.0.0.1", port, ours, other) as client:
            with pytest.raises(Unreachable, match="is not who it should be"):
                await get(client, "/x")
