"""The client's end of one connection: a request goes out, a whole reply comes back."""

from __future__ import annotations

import contextlib
import ssl
from typing import Final

import h11
import trio
from attrs import define, field, frozen

from gantry.runtime.http.limits import RECEIVE_BYTES, WRITE_BYTES
from gantry.runtime.http.messages import Headers, Reply
from gantry.runtime.http.plain import (
    HEAD_BYTES_MAX,
    is_plain_field,
    plain_reply,
    request_head,
)

STREAM_ERRORS: Final = (trio.BrokenResourceError, trio.ClosedResourceError)

SEND_AT_ONCE_BYTES: Final = 64 * 1024
"""A larger request is sent while its answer is already awaited: a server that refuses it early
and reads no further must not block us."""


CERTIFICATE_ALERTS: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""OpenSSL's names of the alerts by which a server turns a client certificate down. Under TLS 1.3
they come after our handshake seemed done (RFC 8446 section 4.4.2.4)."""


class WireFailed(Exception):
    """A connection failed in the middle of an exchange."""

    def __init__(self, reason: str, *, answered: bool, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answered = answered
        """Whether any part of an answer came."""
        self.refused = refused
        """Whether the server ended the TLS handshake because of our certificate, so that it never
        read the request."""


@frozen
class Outgoing:
    """A request to be sent."""

    method: str
    target: str
    headers: Headers
    body: bytes = field(repr=False)


@define
class Exchange:
    """A request on its way."""

    outgoing: Outgoing
    sending: bool = False
    """Whether any byte of it may have left."""


def is_quiet(stream: trio.abc.Stream) -> bool:
    """Whether an idle connection seems to live: a server that is silent has not closed."""
    below = stream
    while isinstance(below, trio.SSLStream):
        below = below.transport_stream
    return not isinstance(below, trio.SocketStream) or not below.socket.is_readable()


@define(eq=False)
class Wire:
    """One connection; its owner closes the stream."""

    stream: trio.abc.Stream
    header_bytes_max: int
    _h11: h11.Connection = field(init=False)
    _answered: bool = field(default=False, init=False)
    _proven: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, self.header_bytes_max)

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another exchange."""
        return self._h11.our_state is h11.IDLE and self._h11.their_state is h11.IDLE

    async def carry(self, exchange: Exchange, body_bytes_max: int) -> Reply:
        """Send the request and read the whole reply.

        Raises:
            WireFailed: the connection broke, or the server broke the protocol.
        """
        self._answered = False
        plain = plain_form(exchange.outgoing)
        data = plain or self._encoded(exchange.outgoing)
        try:
            exchange.sending = True
            if plain is not None:
                await self._send(plain)
                reply = await self._plain_reply(exchange.outgoing, body_bytes_max)
            elif len(data) <= SEND_AT_ONCE_BYTES:
                await self._send(data)
                reply = await self._reply(body_bytes_max)
            else:
                reply = await self._send_and_listen(data, body_bytes_max)
        except h11.RemoteProtocolError as error:
            raise WireFailed(f"no proper HTTP: {error}", answered=self._answered) from error
        except STREAM_ERRORS as error:
            raise self._failure(error) from error
        self._proven = True
        return reply

    def _encoded(self, outgoing: Outgoing) -> bytes:
        """Render the request.

        Raises:
            ValueError: it can not be sent: the caller's defect.
            h11.LocalProtocolError: likewise.
        """
        headers = [
            (name.encode("ascii"), value.encode("latin-1")) for name, value in outgoing.headers
        ]
        if outgoing.body or outgoing.method not in ("GET", "HEAD"):
            headers.append((b"content-length", b"%d" % len(outgoing.body)))
        head = h11.Request(
            method=outgoing.method.encode("ascii"),
            target=outgoing.target.encode("ascii"),
            headers=headers,
        )
        data = self._h11.send(head) or b""
        if outgoing.body:
            data += self._h11.send(h11.Data(data=outgoing.body)) or b""
        return data + (self._h11.send(h11.EndOfMessage()) or b"")

    async def _plain_reply(self, outgoing: Outgoing, body_bytes_max: int) -> Reply:
        """Read the reply to a request of which h11 has not heard: mostly it never will."""
        data = bytes(await self.stream.receive_some(RECEIVE_BYTES))
        self._answered = bool(data)
        reply = plain_reply(data)
        if reply is not None and len(reply.body) <= body_bytes_max:
            return reply
        self._encoded(outgoing)
        self._h11.receive_data(data)
        return await self._reply(body_bytes_max)

    async def _send(self, data: bytes) -> None:
        """Send; a server that stopped reading may have answered why, so failing is no news."""
        with contextlib.suppress(trio.BrokenResourceError):
            for begin in range(0, len(data), WRITE_BYTES):  # TLS encrypts what it gets at once
                await self.stream.send_all(memoryview(data)[begin : begin + WRITE_BYTES])

    async def _send_and_listen(self, data: bytes, body_bytes_max: int) -> Reply:
        sent = False

        async def send() -> None:
            nonlocal sent
            await self._send(data)
            sent = True

        outcome: Reply | Exception
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            try:
                outcome = await self._reply(body_bytes_max)
            except (h11.RemoteProtocolError, *STREAM_ERRORS) as error:
                outcome = error  # raised below, not wrapped into a group
            nursery.cancel_scope.cancel()
        if isinstance(outcome, Exception):
            raise outcome
        if not sent and self.reusable:  # answered before it had it all: out of step from here on
            self._h11.send_failed()
        return outcome

    async def _reply(self, body_bytes_max: int) -> Reply:
        status, body = 0, bytearray()
        headers: Headers = ()
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = tuple((n.decode("ascii"), v.decode("latin-1")) for n, v in event.headers)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > body_bytes_max:
                    raise h11.RemoteProtocolError(
                        f"the reply is larger than {body_bytes_max} bytes"
                    )
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the server closed the connection")
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        return Reply(status, headers, bytes(body))

    async def _event(self) -> object:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            data = bytes(await self.stream.receive_some(RECEIVE_BYTES))
            self._answered = self._answered or bool(data)
            self._h11.receive_data(data)
        return event

    def _failure(self, error: Exception) -> WireFailed:
        cause = error.__cause__
        reason = getattr(cause, "reason", None) if isinstance(cause, ssl.SSLError) else None
        refused = not self._proven and not self._answered and reason in CERTIFICATE_ALERTS
        return WireFailed(
            str(cause or error) or "it broke", answered=self._answered, refused=refused
        )


def plain_form(outgoing: Outgoing) -> bytes | None:
    """Render a request in its plain form; ``None``: it has none, h11 shall look at it."""
    body, fields = outgoing.body, [*outgoing.headers]
    if body or outgoing.method != "GET":
        fields.append(("content-length", str(len(body))))
    # Each by itself: a line break in one must not make two of it.
    if len(body) > SEND_AT_ONCE_BYTES or not all(is_plain_field(*each) for each in fields):
        return None
    start = f"{outgoing.method} {outgoing.target}"
    if not start.isascii():
        return None
    lines = [f"{start} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    head = "\r\n".join(lines).encode("ascii")
    known = None if len(head) > HEAD_BYTES_MAX else request_head(head)
    if known is None or b"%s %s" % (known.method, known.target) != start.encode("ascii"):
        return None
    return head + body
