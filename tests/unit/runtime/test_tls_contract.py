"""The contract of Tls, kept by OpenSSL's contexts and those in memory: who gets in, as whom."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from gantry.protocols.identity import ClusterUuid, NodeUuid
from gantry.runtime.environment import Tls
from gantry.runtime.http.server import peer_certificate
from gantry.runtime.real import RealClock, RealRandomness
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.testing.tls import MemoryTls
from gantry.runtime.tls import RealTls
from gantry.security.authority import (
    Credential,
    NodeSubject,
    issue_node_credential,
    new_authority,
)

YEARS_SECONDS = 6 * 365 * 86400.0
"""Longer than a node's certificate is valid."""


@frozen
class Place:
    """Somewhere to keep credentials, and what makes contexts of them."""

    tls: Tls
    folder: Path
    files: MemoryFiles | None
    authority: Credential

    def put(self, name: str, *parts: bytes) -> Path:
        path = self.folder / name
        if self.files is None:
            path.write_bytes(b"".join(parts))
        else:
            self.files.put(path, b"".join(parts))
        return path

    def node(self, name: str, signer: Credential | None = None, age_seconds: float = 0.0) -> Path:
        subject = NodeSubject(NodeUuid(name), f"{name}.gnt.test", "192.0.2.1")
        made = RealClock().now() - age_seconds
        random = RealRandomness().bytes
        credential = issue_node_credential(signer or self.authority, subject, made, random)
        return self.put(name, credential.combined())


def new_authority_now() -> Credential:
    clock = RealClock()
    made = clock.now() - 2 * YEARS_SECONDS / 3
    return new_authority(ClusterUuid("cluster"), made, RealRandomness().bytes)


@pytest.fixture(params=["real", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Both kinds of contexts."""
    if request.param == "real":
        return Place(RealTls(), tmp_path, None, new_authority_now())
    files = MemoryFiles()
    return Place(MemoryTls(files, RealClock()), tmp_path, files, new_authority_now())


async def meet(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str | None, str | None]:
    """Let two ends talk; return whom the client met, and whom the server.

    Raises:
        trio.BrokenResourceError: one did not want the other.
    """
    near, far = trio.testing.memory_stream_pair()
    inside = trio.SSLStream(far, server, server_side=True, https_compatible=True)
    outside = trio.SSLStream(near, client, server_hostname="h", https_compatible=True)
    failures: list[trio.BrokenResourceError] = []
    answered = b""

    async def answer() -> None:
        try:
            await inside.send_all(b"<" + await inside.receive_some(100) + b">")
        except trio.BrokenResourceError as error:
            failures.append(error)
            with contextlib.suppress(trio.BrokenResourceError):  # the client may know already
                await far.send_all(inside._outgoing.read())
            await far.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        try:
            await outside.send_all(b"hello")
            answered = bytes(await outside.receive_some(100))
        except trio.BrokenResourceError as error:
            failures.append(error)
            await near.aclose()
    if failures:
        raise failures[0]
    assert answered == b"<hello>"
    met, visitor = peer_certificate(outside), peer_certificate(inside)
    return met.common_name if met else None, visitor.common_name if visitor else None


async def test_each_end_learns_who_the_other_is(place: Place) -> None:
    pem = place.authority.certificate_pem
    server = await place.tls.server(place.node("one"), "required", pem)
    client = await place.tls.client(pem, place.node("two"))
    assert await meet(server, client) == ("one", "two")


async def test_a_certificate_that_is_wanted_or_not(place: Place) -> None:
    pem = place.authority.certificate_pem
    nobody = await place.tls.client(pem)
    optional = await place.tls.server(place.node("one"), "optional", pem)
    assert await meet(optional, nobody) == ("one", None)
    with pytest.raises(trio.BrokenResourceError):
        await meet(await place.tls.server(place.node("one"), "required", pem), nobody)
    somebody = await place.tls.client(pem, place.node("two"))
    assert await meet(await place.tls.server(place.node("one"), "none"), somebody) == ("one", None)


async def test_strangers_are_refused_at_both_ends(place: Place) -> None:
    pem, stranger = place.authority.certificate_pem, new_authority_now()
    server = await place.tls.server(place.node("one"), "optional", pem)
    with pytest.raises(trio.BrokenResourceError):
        await meet(server, await place.tls.client(pem, place.node("two", stranger)))
    with pytest.raises(trio.BrokenResourceError):
        await meet(server, await place.tls.client(stranger.certificate_pem))


async def test_who_only_introduces_itself_trusts_everybody(place: Place) -> None:
    server = await place.tls.server(place.node("one"), "optional", place.authority.certificate_pem)
    assert await meet(server, await place.tls.introduction()) == ("one", None)


async def test_a_certificate_that_is_over_is_refused(place: Place) -> None:
    pem = place.authority.certificate_pem
    server = await place.tls.server(place.node("one"), "required", pem)
    old = await place.tls.client(pem, place.node("two", age_seconds=YEARS_SECONDS))
    with pytest.raises(trio.BrokenResourceError):
        await meet(server, old)


async def test_a_certificate_needs_its_key(place: Place) -> None:
    pem = place.authority.certificate_pem
    other = new_authority_now()
    with pytest.raises(ssl.SSLError):
        await place.tls.client(pem, place.put("mixed", other.key_pem, pem))
    with pytest.raises(ssl.SSLError):
        await place.tls.client(pem, place.put("half", pem))
    with pytest.raises(FileNotFoundError):
        await place.tls.client(pem, place.folder / "nothing")
    with pytest.raises(ValueError, match="authority"):
        await place.tls.server(place.node("one"), "required")
