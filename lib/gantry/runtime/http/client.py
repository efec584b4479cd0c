"""The HTTP/1.1 client of one host: a small pool of kept-alive connections.

It says precisely what is known after a failure: :class:`Unreachable` if nothing was sent,
:class:`ConnectionLost` if the server may have acted.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Final

import trio
from attrs import define, field

from gantry.protocols.errors import ConnectionLost, Unreachable
from gantry.runtime.environment import Network
from gantry.runtime.http.exchange import Exchange, Outgoing, Wire, WireFailed, is_quiet
from gantry.runtime.http.limits import ClientLimits
from gantry.runtime.http.messages import Headers, Reply
from gantry.runtime.http.server import peer_certificate
from gantry.security.certificates import BadCertificate, Certificate

PeerCheck = Callable[[Certificate | None], str | None]
"""Looks at the server's certificate (``None`` without TLS); says what is wrong with it, if
anything."""

RETRIED_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Safe methods (RFC 9110 section 9.2.1): sending them twice does nothing twice."""


@define(eq=False)
class HttpClient:
    """Sends requests to one server; use it as an async context manager or call :meth:`aclose`."""

    network: Network
    address: str
    port: int
    tls: ssl.SSLContext | None = None
    check_peer: PeerCheck | None = None
    limits: ClientLimits = field(factory=ClientLimits)
    _idle: list[tuple[float, Wire]] = field(factory=list, init=False)
    _room: trio.Semaphore = field(init=False)
    _closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._room = trio.Semaphore(self.limits.connections)

    @property
    def name(self) -> str:
        """How errors call the server: its address and port."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    async def request(
        self,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        headers: Headers = (),
        deadline_seconds: float,
    ) -> Reply:
        """Send a request and return the whole reply, whatever its status.

        Only a request with a safe method that met a kept-alive connection just being closed is
        sent again. Cancellation closes the connection that carried the exchange.

        Args:
            method: in upper case.
            target: path and query, percent-encoded.
            body: sent with its length.
            headers: more of them; ``host`` and ``content-length`` are added.
            deadline_seconds: for everything, the wait for a free connection included.

        Raises:
            Unreachable: nothing was sent.
            ConnectionLost: no whole reply came within the deadline; what the server did is unknown.
        """
        exchange = Exchange(Outgoing(method, target, (("host", self.name), *headers), body))
        with trio.move_on_after(deadline_seconds):
            return await self._sent(exchange)
        text = f"{self.name} did not answer within {deadline_seconds:g} seconds"
        raise ConnectionLost(text) if exchange.sending else Unreachable(text)

    async def _sent(self, exchange: Exchange) -> Reply:
        async with self._room:
            wire = await self._idle_wire()
            if wire is not None:
                try:
                    return await self._carried(exchange, wire)
                except WireFailed as failure:
                    if failure.answered or exchange.outgoing.method not in RETRIED_METHODS:
                        raise self._lost(failure) from failure
            fresh = await self._connected()
            try:
                return await self._carried(exchange, fresh)
            except WireFailed as failure:
                raise self._lost(failure) from failure

    async def _carried(self, exchange: Exchange, wire: Wire) -> Reply:
        """Have one connection carry the exchange, and keep it if it can carry another."""
        try:
            reply = await wire.carry(exchange, self.limits.body_bytes)
        except BaseException:
            await trio.aclose_forcefully(wire.stream)
            raise
        if wire.reusable and not self._closed:
            self._idle.append((trio.current_time(), wire))
        else:
            await trio.aclose_forcefully(wire.stream)
        return reply

    async def _idle_wire(self) -> Wire | None:
        """Take the connection that was used last, if it seems to live."""
        oldest = trio.current_time() - self.limits.idle_seconds
        while self._idle:
            since, wire = self._idle.pop()
            if since >= oldest and is_quiet(wire.stream):
                return wire
            await trio.aclose_forcefully(wire.stream)
        return None

    async def _connected(self) -> Wire:
        if self._closed:
            raise Unreachable(f"the client of {self.name} was closed")
        try:
            with trio.fail_after(self.limits.connect_seconds):
                stream = await self.network.connect_tcp(self.address, self.port, self.tls)
        except trio.TooSlowError:
            text = f"{self.name} did not accept within {self.limits.connect_seconds:g} seconds"
            raise Unreachable(text) from None
        except OSError as error:
            raise Unreachable(f"{self.name} does not answer: {error}") from error
        except trio.BrokenResourceError as error:
            reason = error.__cause__ or error
            raise Unreachable(f"no TLS connection to {self.name}: {reason}") from error
        problem = self._problem_of(stream)
        if problem is not None:
            await trio.aclose_forcefully(stream)
            raise Unreachable(f"{self.name} is not who it should be: {problem}")
        return Wire(stream, self.limits.header_bytes)

    def _problem_of(self, stream: trio.abc.Stream) -> str | None:
        if self.check_peer is None:
            return None
        try:
            return self.check_peer(peer_certificate(stream))
        except BadCertificate as error:
            return str(error)

    def _lost(self, failure: WireFailed) -> ConnectionLost:
        if failure.refused:
            return Unreachable(f"{self.name} refused our certificate: {failure.reason}")
        return ConnectionLost(f"{self.name} was lost before its answer: {failure.reason}")

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed after their exchange."""
        self._closed = True
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop()[1].stream)

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
