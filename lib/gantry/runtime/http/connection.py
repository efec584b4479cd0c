"""One connection of the server: requests in, responses out, until one side has had enough.

The protocol's state machine is h11's (RFC 9112); here are the deadlines, the limits and what
happens when something goes wrong. Two exceptions steer: :class:`Rejected` ends in an answer,
:class:`_Gone` ends without one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Final, TypeVar

import h11
import trio
from attrs import define, evolve, field, frozen

from gantry.runtime.environment import Clock, Randomness
from gantry.runtime.http.answers import BODILESS, headers_of, plain_answer
from gantry.runtime.http.heads import Rejected, parsed_head
from gantry.runtime.http.limits import RECEIVE_BYTES, WRITE_BYTES, Limits
from gantry.runtime.http.messages import (
    Handler,
    HeadCheck,
    Request,
    Response,
    error_response,
    phrase_of,
)
from gantry.runtime.http.plain import PlainHead, plain_request
from gantry.runtime.logs import Log
from gantry.security.certificates import Certificate

T = TypeVar("T")

LOG: Final = Log("http")

STREAM_ERRORS: Final = (trio.BrokenResourceError, trio.ClosedResourceError)

READ_AHEAD_BYTES_MAX: Final = 256 * 1024
"""What a peer may send ahead (pipelining) while we watch whether it is still there."""

LINGER_SECONDS_MAX: Final = 2.0
LINGER_BYTES_MAX: Final = 1024 * 1024
"""Closing with unread input resets the connection, which may destroy our last answer on its
way; so that much is read and thrown away first (RFC 9112 section 9.6)."""

ERROR_ID_BYTES: Final = 6

_UNREAD: Final = frozenset({h11.IDLE, h11.SEND_BODY, h11.ERROR})
"""The peer's states in which it may still be sending what we shall not read."""


class _Gone(Exception):
    """The peer left, or is treated as if it had."""


@frozen
class ServerOptions:
    """What distinguishes one server from another."""

    limits: Limits = field(factory=Limits)
    name: str = "Gantry"
    """The ``Server`` header."""
    keep_alive: bool = True
    """Whether a connection carries more than one request."""
    cancel_on_disconnect: bool = False
    """Whether a peer that leaves (or closes its sending half) cancels the handler.

    Pieces of a streamed body are never awaited for a peer that left.
    """
    check_head: HeadCheck | None = None
    """May answer a request before its body is read, for example to refuse its sender."""


@define
class Bodies:
    """How much of requests' bodies a server has in hand, of all its connections together."""

    bytes_max: int
    bytes_held: int = 0

    def take(self, count: int) -> None:
        """Make room.

        Raises:
            Rejected: there is none; the peer may try again (503).
        """
        if self.bytes_held + count > self.bytes_max:
            raise Rejected(503, "the server has too many large requests in hand; try again later")
        self.bytes_held += count

    def give_back(self, count: int) -> None:
        """Say that so much is not needed any more."""
        self.bytes_held -= count


@define(eq=False)
class Connection:
    """Serves one stream; the stream's owner closes it after :meth:`serve`."""

    stream: trio.abc.Stream
    handler: Handler
    options: ServerOptions
    clock: Clock
    random: Randomness
    is_draining: Callable[[], bool]
    bodies: Bodies
    peer: Certificate | None = None
    peer_address: str = ""
    idle: trio.CancelScope | None = field(default=None, init=False)
    """Cancel it to end the connection; set only between requests."""
    _h11: h11.Connection = field(init=False)
    _held: int = field(default=0, init=False)
    """Of :attr:`bodies`, for the request in hand."""
    _plain: tuple[PlainHead, bytes] | None = field(default=None, init=False)
    """The request in hand, if it came in its plain form."""
    _first: bytes = field(default=b"", init=False, repr=False)
    """The bytes with which it began."""

    def __attrs_post_init__(self) -> None:
        self._h11 = h11.Connection(h11.SERVER, self.options.limits.header_bytes)

    async def serve(self) -> None:
        """Answer requests until the peer closes, errs or stays silent too long."""
        silence = self.options.limits.header_seconds
        try:
            while await self._begins(silence) and await self._whole_exchange():
                silence = self.options.limits.keep_alive_idle_seconds
        except (_Gone, *STREAM_ERRORS) as error:
            LOG.debug("connection lost", peer=self.peer_address, reason=str(error))

    # --- reading -----------------------------------------------------------------------------

    async def _begins(self, silence_seconds: float) -> bool:
        """Wait for the first byte of a request; false if there will be none."""
        if self._h11.trailing_data[0]:
            return True
        with trio.move_on_after(silence_seconds) as self.idle:
            while not self.is_draining():
                data = bytes(await self.stream.receive_some(RECEIVE_BYTES))
                if not data:
                    break
                if data := data.lstrip(b"\r\n"):  # RFC 9112 section 2.2
                    self._arrived(data)
                    self.idle = None
                    return True
        self.idle = None
        return False

    def _arrived(self, data: bytes) -> None:
        """Take the first bytes of a request: mostly it is whole, and h11 never hears of it.

        Where a connection carries one request only, h11 has to end it anyway, and heads, which
        may hold a password there, are not remembered.
        """
        may_be_plain = self.options.keep_alive and not self.options.cancel_on_disconnect
        self._plain = plain_request(data) if may_be_plain else None
        if self._plain is None:
            self._h11.receive_data(data)
        self._first = data

    async def _event(self) -> object:
        try:
            while (event := self._h11.next_event()) is h11.NEED_DATA:
                data = bytes(await self.stream.receive_some(RECEIVE_BYTES))
                if not data:
                    raise _Gone("left in the middle of a request")
                self._h11.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise Rejected(error.error_status_hint, str(error)) from error
        return event

    async def _within(self, seconds: float, what: str, read: Callable[[], Awaitable[T]]) -> T:
        """Read something in time.

        Raises:
            Rejected: it took too long (408), or what ``read`` raises.
        """
        with trio.move_on_after(seconds):
            return await read()
        raise Rejected(408, f"the {what} took longer than {seconds:g} seconds")

    async def _head(self) -> h11.Request:
        event = await self._event()
        if not isinstance(event, h11.Request):
            raise _Gone("closed")
        return event

    async def _body(self) -> bytes:
        limit, body = self.options.limits.body_bytes, bytearray()
        if self._h11.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            await self._write(self._h11.send(go_on))
        while isinstance(event := await self._event(), h11.Data):
            if len(body) + len(event.data) > limit:
                raise Rejected(413, f"the body is larger than {limit} bytes")
            self._hold(len(event.data))
            body += event.data
        return bytes(body)

    # --- one exchange ------------------------------------------------------------------------

    async def _whole_exchange(self) -> bool:
        plain, self._plain = self._plain, None
        try:
            request = None if plain is None else self._plain_request(*plain)
            if request is not None:
                return await self._plain_exchange(request)
            if plain is not None:  # h11 says what is wrong with it, and what follows from that
                self._h11.receive_data(self._first)
            return await self._exchange()
        finally:
            self.bodies.give_back(self._held)
            self._held = 0

    def _plain_request(self, head: PlainHead, body: bytes) -> Request | None:
        """Return a request that came in its plain form; ``None``: it may be refused."""
        try:
            request = parsed_head(head, self.options.limits, self.peer, self.peer_address)
            if self._early_answer(request) is not None:
                return None
            self._hold(len(body))
        except Rejected:
            return None
        return evolve(request, body=body)

    async def _plain_exchange(self, request: Request) -> bool:
        """Answer a request that came in its plain form; false if it was the last."""
        response = await self._handled(request)
        if not self.is_draining():
            data = plain_answer(response, self.options.name, self.clock.now())
            if data is not None:
                await self._write(data)
                return True
        self._h11.receive_data(self._first)
        while not isinstance(self._h11.next_event(), h11.EndOfMessage):
            pass
        return await self._answered(request, response, is_head=False)

    def _hold(self, count: int) -> None:
        self.bodies.take(count)
        self._held += count

    async def _exchange(self) -> bool:
        """Answer one request; false if it was the connection's last."""
        limits, is_head = self.options.limits, False
        try:
            head = await self._within(limits.header_seconds, "head", self._head)
            is_head = head.method == b"HEAD"
            request = parsed_head(head, limits, self.peer, self.peer_address)
            response = self._early_answer(request)
            if response is None:
                body = await self._within(limits.body_seconds, "body", self._body)
                request = evolve(request, body=body)
        except Rejected as rejection:
            response, request = rejection.response, None
        return await self._answered(request, response, is_head=is_head)

    async def _answered(
        self, request: Request | None, response: Response | None, *, is_head: bool
    ) -> bool:
        """Answer a request that h11 has read; false if it was the connection's last."""
        await self._answer(request, response, is_head=is_head)
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return True
        if self._h11.their_state in _UNREAD or self._h11.trailing_data[0]:
            await self._linger()
        return False

    def _early_answer(self, request: Request) -> Response | None:
        if self.options.check_head is None:
            return None
        try:
            return self.options.check_head(request)
        except Exception:  # noqa: BLE001 - the door's defect is logged; the door stays shut
            return self._failed(request)

    async def _answer(
        self, request: Request | None, response: Response | None, *, is_head: bool
    ) -> None:
        """Send ``response``; if there is none yet, ask the handler for it."""

        async def respond() -> None:
            if response is not None:
                await self._send(response, is_head=is_head)
            elif request is not None:
                await self._send(await self._handled(request), is_head=is_head)

        if self.options.cancel_on_disconnect and request is not None:
            await self._while_connected(respond)
        else:
            await respond()

    async def _handled(self, request: Request) -> Response:
        try:
            return await self.handler(request)
        except Exception:  # noqa: BLE001 - logged with its traceback; the peer gets the log's id
            return self._failed(request)

    def _failed(self, request: Request) -> Response:
        """Log the exception being handled; tell the peer nothing but where to look."""
        number = self.random.bytes(ERROR_ID_BYTES).hex()
        LOG.exception("request failed", id=number, method=request.method, path=request.path)
        return _failure(number)

    async def _while_connected(self, respond: Callable[[], Awaitable[None]]) -> None:
        """Run ``respond``, and cancel it when the peer leaves.

        Raises:
            _Gone: the peer left.
        """
        left = False

        async def watch() -> None:
            nonlocal left
            ahead = 0
            while ahead < READ_AHEAD_BYTES_MAX:
                try:
                    data = bytes(await self.stream.receive_some(RECEIVE_BYTES))
                except STREAM_ERRORS:
                    data = b""
                if not data:
                    left = True
                    nursery.cancel_scope.cancel()
                    return
                self._h11.receive_data(data)
                ahead += len(data)

        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            try:
                await respond()
            except (_Gone, *STREAM_ERRORS) as error:  # raised below, not wrapped into a group
                failure = error
            nursery.cancel_scope.cancel()
        if left or failure is not None:
            raise _Gone("left before it had its answer") from failure

    # --- writing -----------------------------------------------------------------------------

    async def _send(self, response: Response, *, is_head: bool) -> None:
        try:
            rendered = self._rendered(response)
        except (h11.LocalProtocolError, ValueError):  # for example a line break in a header
            number = self.random.bytes(ERROR_ID_BYTES).hex()
            LOG.exception("response refused", id=number, status=response.status)
            response = _failure(number)
            rendered = self._rendered(response)
        head = self._h11.send(rendered) or b""
        if isinstance(response.body, bytes):
            body = b"" if is_head or response.status in BODILESS else response.body
            data = (self._h11.send(h11.Data(data=body)) or b"") if body else b""
            await self._write(head + data + (self._h11.send(h11.EndOfMessage()) or b""))
        elif is_head:
            await self._write(head + (self._h11.send(h11.EndOfMessage()) or b""))
            await _close_body(response.body)
        else:
            await self._write(head)
            await self._send_pieces(response.body)

    async def _send_pieces(self, body: AsyncIterable[bytes]) -> None:
        """Send a streamed body; a failing stream cuts the connection, so that it is noticed."""

        async def pieces() -> None:
            async for piece in body:
                if piece:
                    await self._write(self._h11.send(h11.Data(data=piece)))
            await self._write(self._h11.send(h11.EndOfMessage()))

        try:
            if self.options.cancel_on_disconnect:  # somebody watches already
                await pieces()
            else:
                await self._while_connected(pieces)
        except (_Gone, *STREAM_ERRORS):
            raise
        except Exception as error:
            number = self.random.bytes(ERROR_ID_BYTES).hex()
            LOG.exception("streamed response failed", id=number)
            raise _Gone("the stream failed") from error
        finally:
            await _close_body(body)

    def _rendered(self, response: Response) -> h11.Response:
        headers = headers_of(response, self.options.name, self.clock.now())
        last = self.is_draining() or not self.options.keep_alive
        if last or self._h11.their_state is not h11.DONE:
            headers.append(("connection", "close"))
        encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        reason = phrase_of(response.status).encode()
        return h11.Response(status_code=response.status, headers=encoded, reason=reason)

    async def _write(self, data: bytes | None) -> None:
        """Write all of it, a piece per deadline.

        Raises:
            _Gone: the peer reads too slowly.
        """
        view = memoryview(data or b"")
        for start in range(0, len(view), WRITE_BYTES):
            with trio.move_on_after(self.options.limits.write_seconds) as scope:
                await self.stream.send_all(view[start : start + WRITE_BYTES])
            if scope.cancelled_caught:
                raise _Gone("reads too slowly")

    async def _linger(self) -> None:
        """Let the peer read our last answer although we do not read what it still sends."""
        if isinstance(self.stream, trio.abc.HalfCloseableStream):
            await self.stream.send_eof()
        await linger(self.stream)


def _failure(number: str) -> Response:
    return error_response(500, f"the server failed; its log has the reason under {number}")


async def linger(stream: trio.abc.Stream) -> None:
    """Read and throw away what a peer still sends, within bounds, before a close."""
    thrown = 0
    with trio.move_on_after(LINGER_SECONDS_MAX):
        while thrown < LINGER_BYTES_MAX:
            data = await stream.receive_some(RECEIVE_BYTES)
            if not data:
                return
            thrown += len(data)


async def _close_body(body: AsyncIterable[bytes]) -> None:
    """Let an async generator run its clean-up now rather than whenever it is collected."""
    if isinstance(body, AsyncGenerator):
        await body.aclose()
