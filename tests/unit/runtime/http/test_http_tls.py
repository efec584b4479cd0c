"""TLS and mutual TLS: who gets in, and what the others are told."""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen
from tests.unit.runtime.http.serving import MemoryListener, MemoryNetwork, RawPeer, new_server

from gantry.protocols.errors import Unreachable
from gantry.protocols.identity import ClusterUuid, NodeUuid
from gantry.runtime.http.client import HttpClient, PeerCheck
from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.messages import Reply, Request, Response, json_response
from gantry.security.authority import (
    Credential,
    NodeSubject,
    issue_node_credential,
    new_authority,
    new_rapi_credential,
)
from gantry.security.certificates import Certificate, expect_node
from gantry.security.contexts import (
    ClientCertificates,
    client_context,
    introduction_context,
    server_context,
)

SERVER, CLIENT = NodeUuid("server-uuid"), NodeUuid("client-uuid")
NOW = time.time()  # certificates are judged by OpenSSL's clock
LONG_AGO = NOW - 10 * 365 * 86400.0
TLS_VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@frozen
class Keys:
    """A cluster's authority and a folder for the keys that it signs."""

    folder: Path
    seed: random.Random
    authority: Credential

    @classmethod
    def made(cls, folder: Path, seed: int = 1) -> Keys:
        source = random.Random(seed)
        return cls(folder, source, new_authority(ClusterUuid("c"), NOW, source.randbytes))

    def node(self, uuid: NodeUuid, now: float = NOW) -> Path:
        subject = NodeSubject(uuid, "node.example", "127.0.0.1")
        credential = issue_node_credential(self.authority, subject, now, self.seed.randbytes)
        return self.file(credential)

    def file(self, credential: Credential) -> Path:
        path = self.folder / f"{self.seed.getrandbits(64):x}.pem"
        path.write_bytes(credential.combined())
        return path

    def server(self, clients: ClientCertificates = "required") -> ssl.SSLContext:
        return server_context(self.node(SERVER), clients, self.authority.certificate_pem)

    def client(self, uuid: NodeUuid | None = CLIENT) -> ssl.SSLContext:
        own = None if uuid is None else self.node(uuid)
        return client_context(self.authority.certificate_pem, own)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.made(tmp_path)


async def who(request: Request) -> Response:
    """Say who asks."""
    peer = request.peer
    return json_response(None if peer is None else [peer.common_name, peer.sha1, peer.sha256])


async def ask(
    server: ssl.SSLContext, client: ssl.SSLContext, check_peer: PeerCheck | None = None
) -> Reply:
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(new_server(who, tls=server), nursery)
        async with HttpClient(network, "127.0.0.1", 1811, client, check_peer) as http:
            first = await http.request("GET", "/", deadline_seconds=10)
            reply = await http.request("GET", "/", deadline_seconds=10)
            assert (reply.body, network.connects) == (first.body, 1)
        nursery.cancel_scope.cancel()
    return reply


async def refusal(
    server: ssl.SSLContext, client: ssl.SSLContext, check_peer: PeerCheck | None = None
) -> str:
    """Ask, and return why nothing was done."""
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(new_server(who, tls=server), nursery)
        async with HttpClient(network, "127.0.0.1", 1811, client, check_peer) as http:
            with pytest.raises(Unreachable) as refused:
                await http.request("POST", "/", deadline_seconds=10)
        nursery.cancel_scope.cancel()
    return str(refused.value)


@pytest.mark.parametrize("version", TLS_VERSIONS)
async def test_both_ends_know_each_other(keys: Keys, version: ssl.TLSVersion) -> None:
    client = keys.client()
    client.maximum_version = version
    reply = await ask(keys.server(), client, expect_node(SERVER))
    shown = json.loads(reply.body)
    own = [Certificate.of_pem(path.read_bytes()) for path in keys.folder.iterdir()]
    (certificate,) = [each for each in own if each.common_name == CLIENT]
    assert shown == [CLIENT, certificate.sha1, certificate.sha256]


async def test_a_server_that_is_another_node(keys: Keys) -> None:
    text = await refusal(keys.server(), keys.client(), expect_node(NodeUuid("somebody-else")))
    assert "is not who it should be: it is node 'server-uuid'" in text


async def test_a_server_of_another_cluster(keys: Keys, tmp_path: Path) -> None:
    other = Keys.made(tmp_path, seed=2)
    assert "certificate verify failed" in (await refusal(other.server(), keys.client())).lower()


@pytest.mark.parametrize("version", TLS_VERSIONS)
@pytest.mark.parametrize(
    ("showing", "reason"),
    [
        (lambda keys: None, "certificate required|handshake failure"),
        (lambda keys: Keys.made(keys.folder, seed=3).node(CLIENT), "unknown ca"),
        (lambda keys: keys.node(CLIENT, LONG_AGO), "certificate expired"),
        (lambda keys: keys.file(rapi_of(keys)), "unknown ca|unsupported certificate"),
    ],
    ids=["none", "another cluster's", "expired", "self-signed"],
)
async def test_clients_that_are_turned_down_are_told_why(
    keys: Keys,
    showing: Callable[[Keys], Path | None],
    reason: str,
    version: ssl.TLSVersion,
    autojump_clock: trio.abc.Clock,
) -> None:
    client = client_context(keys.authority.certificate_pem, showing(keys))
    client.maximum_version = version
    text = (await refusal(keys.server(), client)).lower()
    assert any(each in text for each in reason.split("|")), text


def rapi_of(keys: Keys) -> Credential:
    return new_rapi_credential(("c",), ("127.0.0.1",), NOW, keys.seed.randbytes)


async def test_a_certificate_may_be_optional(keys: Keys, autojump_clock: trio.abc.Clock) -> None:
    assert (await ask(keys.server("optional"), keys.client(None))).body == b"null"
    assert json.loads((await ask(keys.server("optional"), keys.client())).body)[0] == CLIENT
    stranger = Keys.made(keys.folder, seed=4).node(CLIENT)
    client = client_context(keys.authority.certificate_pem, stranger)
    assert "unknown ca" in (await refusal(keys.server("optional"), client)).lower()


async def test_rapid_asks_for_no_certificate(keys: Keys) -> None:
    rapi = rapi_of(keys)
    server = server_context(keys.file(rapi), "none")
    assert (await ask(server, client_context(rapi.certificate_pem))).body == b"null"


async def test_an_introduction_shows_the_authority_to_be_compared(keys: Keys) -> None:
    assert (await ask(keys.server("optional"), introduction_context())).body == b"null"


def test_contexts_need_an_authority_to_verify_with(keys: Keys) -> None:
    with pytest.raises(ValueError, match="without an authority"):
        server_context(keys.node(SERVER), "required")


async def test_old_tls_is_refused(keys: Keys, autojump_clock: trio.abc.Clock) -> None:
    assert keys.server().minimum_version == ssl.TLSVersion.TLSv1_2
    assert keys.client().minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("version", TLS_VERSIONS)
async def test_a_client_that_gives_up_is_noticed(keys: Keys, version: ssl.TLSVersion) -> None:
    asked, cancelled = trio.Event(), trio.Event()

    async def handler(request: Request) -> Response:
        if request.path == "/fast":
            return json_response("done")
        asked.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()
        raise AssertionError

    client = keys.client()
    client.maximum_version = version
    async with trio.open_nursery() as nursery:
        options = ServerOptions(cancel_on_disconnect=True)
        network = MemoryNetwork(new_server(handler, options, keys.server()), nursery)
        async with HttpClient(network, "127.0.0.1", 1811, client) as http:
            for _ in range(3):
                reply = await http.request("GET", "/fast", deadline_seconds=10)
                assert reply.body == b'"done"'
            assert network.connects == 1
            async with trio.open_nursery() as asking:
                asking.start_soon(lambda: http.request("GET", "/slow", deadline_seconds=10))
                await asked.wait()
                asking.cancel_scope.cancel()
            with trio.fail_after(5):
                await cancelled.wait()
        nursery.cancel_scope.cancel()


# --- the server's patience -----------------------------------------------------------------------


async def test_a_handshake_that_does_not_come(keys: Keys, autojump_clock: trio.abc.Clock) -> None:
    server = new_server(who, ServerOptions(limits=Limits(handshake_seconds=10)), tls=keys.server())
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        assert await RawPeer(ours).rest() == b""
    assert trio.current_time() == pytest.approx(10)
    assert server.connections == 0


async def test_plain_http_to_a_tls_port(keys: Keys, autojump_clock: trio.abc.Clock) -> None:
    server = new_server(who, tls=keys.server())
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        await ours.send_all(b"GET / HTTP/1.1\r\nHost: n\r\n\r\n")
        answer = await RawPeer(ours).rest()
    assert b"HTTP" not in answer  # a TLS alert at most
    assert server.connections == 0


async def test_a_connection_too_many_is_closed_before_the_handshake(
    keys: Keys, autojump_clock: trio.abc.Clock
) -> None:
    options = ServerOptions(limits=Limits(connections=0))
    server = new_server(who, options, tls=keys.server())
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        assert await RawPeer(ours).rest() == b""
    assert trio.current_time() < 1


async def test_a_drain_ends_handshakes(keys: Keys, autojump_clock: trio.abc.Clock) -> None:
    server = new_server(who, tls=keys.server())
    listener = MemoryListener()
    ours = listener.connect()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [listener])
        await trio.testing.wait_all_tasks_blocked()
        await server.drain(30)
    assert await ours.rest() == b""
    assert trio.current_time() < 1
