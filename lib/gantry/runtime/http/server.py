"""The HTTP/1.1 server of all daemons: listeners, TLS, the connection limit, and the drain."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from typing import Final

import trio
from attrs import define, field

from gantry.protocols.codec import to_bytes
from gantry.runtime.environment import Clock, Randomness
from gantry.runtime.http.connection import (
    STREAM_ERRORS,
    Bodies,
    Connection,
    ServerOptions,
    linger,
)
from gantry.runtime.http.messages import Handler
from gantry.runtime.logs import Log
from gantry.security.certificates import Certificate

LOG: Final = Log("http")

Listener = trio.abc.Listener[trio.abc.Stream]

FULL_LOG_INTERVAL_SECONDS: Final = 60.0
"""A server under attack says so once a minute instead of filling its log."""

REFUSALS_MAX: Final = 16
"""Peers being told that there is no room; more are cut off without a word."""

REFUSAL_SECONDS_MAX: Final = 1.0
CLOSE_SECONDS_MAX: Final = 1.0
"""For TLS's closing message; nobody waits for an answer to it."""

_FULL_BODY: Final = to_bytes(
    {"code": 503, "message": "Service Unavailable", "explain": "too many connections"}
)
FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nretry-after: 1\r\nconnection: close\r\n\r\n%b"
) % (len(_FULL_BODY), _FULL_BODY)


@define(eq=False)
class HttpServer:
    """Serves one handler on any number of listeners.

    With ``tls`` every connection begins with a handshake; a client certificate that the context
    asked for is handed to the handler as :attr:`Request.peer`.
    """

    handler: Handler
    clock: Clock
    random: Randomness
    options: ServerOptions = field(factory=ServerOptions)
    tls: ssl.SSLContext | None = None
    _bodies: Bodies = field(init=False)
    _streams: int = field(default=0, init=False)
    _refusals: int = field(default=0, init=False)
    _connections: set[Connection] = field(factory=set, init=False)
    _handshakes: set[trio.CancelScope] = field(factory=set, init=False)
    _accepting: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _serving: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _draining: bool = field(default=False, init=False)
    _ended: trio.Event = field(factory=trio.Event, init=False)
    _full_logged_at: float = field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        self._bodies = Bodies(self.options.limits.bodies_bytes)

    @property
    def connections(self) -> int:
        """How many connections are open, handshakes included."""
        return self._streams

    async def serve(
        self,
        listeners: Sequence[Listener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until drained or cancelled; closes the listeners. Once per object.

        Cancellation closes every connection at once; :meth:`drain` is the polite way.
        """
        try:
            with self._serving:
                async with trio.open_nursery() as nursery:
                    await self._accept(list(listeners), nursery, task_status)
        finally:
            self._ended.set()

    async def _accept(
        self,
        listeners: list[Listener],
        nursery: trio.Nursery,
        task_status: trio.TaskStatus[None],
    ) -> None:
        with self._accepting:
            async with trio.open_nursery() as accepting:
                for listener in listeners:
                    accepting.start_soon(self._accept_from, listener, nursery)
                task_status.started()

    async def _accept_from(self, listener: Listener, nursery: trio.Nursery) -> None:
        """Accept as trio does: it waits and tries again while descriptors are short."""
        await trio.serve_listeners(self._admit, [listener], handler_nursery=nursery)

    async def drain(self, deadline_seconds: float) -> None:
        """End a running :meth:`serve` politely, and wait until it has ended.

        Accepts no more, closes idle connections, lets requests in flight finish; what is not
        done at the deadline is cancelled.
        """
        self._draining = True
        self._accepting.cancel()
        for scope in self._handshakes:
            scope.cancel()
        for connection in self._connections:
            if connection.idle is not None:
                connection.idle.cancel()
        with trio.move_on_after(deadline_seconds):
            await self._ended.wait()
        self._serving.cancel()
        await self._ended.wait()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one accepted stream that is not behind a listener of ours; closes it."""
        try:
            await self._admit(stream)
        finally:
            await trio.aclose_forcefully(stream)

    # --- one stream --------------------------------------------------------------------------

    async def _admit(self, stream: trio.abc.Stream) -> None:
        if self._streams >= self.options.limits.connections:
            await self._turn_away(stream)
            return
        self._streams += 1
        try:
            await self._serve_admitted(stream)
        except Exception:  # one connection's defect must not end the others
            LOG.exception("connection failed", peer=address_of(stream))
        finally:
            self._streams -= 1

    async def _turn_away(self, stream: trio.abc.Stream) -> None:
        """Answer 503 without TLS; under TLS the handshake would cost too much: just close."""
        now = trio.current_time()
        if now - self._full_logged_at >= FULL_LOG_INTERVAL_SECONDS:
            self._full_logged_at = now
            LOG.warning("too many connections", limit=self.options.limits.connections)
        if self.tls is not None or self._refusals >= REFUSALS_MAX:
            return
        self._refusals += 1
        try:
            with trio.move_on_after(REFUSAL_SECONDS_MAX):
                await stream.send_all(FULL)
                if isinstance(stream, trio.abc.HalfCloseableStream):
                    await stream.send_eof()
                await linger(stream)
        except STREAM_ERRORS:
            return  # it did not wait for the answer
        finally:
            self._refusals -= 1

    async def _serve_admitted(self, stream: trio.abc.Stream) -> None:
        address = address_of(stream)
        secured = await self._handshake(stream, address)
        if secured is None:
            return
        connection = Connection(
            secured,
            self.handler,
            self.options,
            self.clock,
            self.random,
            is_draining=lambda: self._draining,
            bodies=self._bodies,
            peer=peer_certificate(secured),
            peer_address=address,
        )
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            with trio.move_on_after(CLOSE_SECONDS_MAX):
                await secured.aclose()

    async def _handshake(self, stream: trio.abc.Stream, address: str) -> trio.abc.Stream | None:
        """Return the stream to talk over; ``None`` if no handshake came about."""
        if self.tls is None:
            return stream
        secured = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        with trio.move_on_after(self.options.limits.handshake_seconds) as scope:
            self._handshakes.add(scope)
            try:
                await secured.do_handshake()
            except STREAM_ERRORS as error:
                reason = error.__cause__ or error
                LOG.info("TLS handshake failed", peer=address, reason=str(reason))
                await _send_alert(secured, stream)
                return None
            finally:
                self._handshakes.discard(scope)
            return secured
        return None


async def _send_alert(secured: trio.SSLStream[trio.abc.Stream], stream: trio.abc.Stream) -> None:
    """Tell the peer why the handshake failed; trio leaves OpenSSL's alert in its buffer."""
    alert = secured._outgoing.read()  # noqa: SLF001 - the only way to it
    with trio.move_on_after(REFUSAL_SECONDS_MAX), contextlib.suppress(*STREAM_ERRORS):
        await stream.send_all(alert)
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
        await linger(stream)


def peer_certificate(stream: trio.abc.Stream) -> Certificate | None:
    """Return the certificate that the other end of a stream showed, if it showed one.

    Raises:
        gantry.security.certificates.BadCertificate: OpenSSL took it, the parser does not.
    """
    if not isinstance(stream, trio.SSLStream):
        return None
    der = stream.getpeercert(binary_form=True)
    return Certificate.of_der(der) if isinstance(der, bytes) else None


def address_of(stream: trio.abc.Stream) -> str:
    """Return the IP address of a socket's other end; ``""`` if it has none any more."""
    if not isinstance(stream, trio.SocketStream):
        return ""
    try:
        name = stream.socket.getpeername()
    except OSError:
        return ""
    return str(name[0]) if isinstance(name, tuple) else ""
