"""LUXI on the wire: connections, framing, and the two forms of errors.

A request that can not be read is answered with a plain sentence and costs the connection; one
that was read and failed is answered with ``[class name, [arguments]]``, and the next may follow.
Clients that talk too much, listen too slowly or come in crowds cost nobody but themselves.
"""

from __future__ import annotations

import socket
import struct
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

import trio
from attrs import define, field, frozen

from gantry.protocols.codec import CLIENT_NESTING_MAX, Malformed, from_bytes, rendered
from gantry.protocols.errors import BadCall, GanetiError, GenericError, ServiceError
from gantry.protocols.framing import ETX, FrameDecoder, FramingError
from gantry.protocols.luxi import LUXI, Luxi, OpcodeJson
from gantry.protocols.opcodes.dialects import Dialect, dialect_of, in_normal_form
from gantry.protocols.service import Method
from gantry.runtime.logs import Log
from gantry.runtime.rpc import written_at_once

CONNECTIONS_MAX: Final = 512
"""When more come, the one that has been idle for longest is closed; clients connect again."""

REQUEST_BYTES_MAX: Final = 32 * 1024 * 1024
"""Several thousand instance creations in one request; an answer may be larger."""

CHUNK_BYTES: Final = 65536

SEND_SECONDS_MAX: Final = 60.0
"""A client that does not take its answer in this time is not waited for any longer."""

REQUEST_SECONDS_MAX: Final = 60.0
"""A request that was begun is complete in this time."""

LOG: Final = Log("luxid.luxi")


@frozen
class Caller:
    """Who is at the other end of a connection."""

    user: int
    """The user id; -1 if the kernel does not tell."""
    connection: str
    """Different for every connection, also over restarts."""


Pieces = AsyncGenerator[bytes, None]
"""Bytes that are made while the ones before are sent; whoever takes them closes it."""


@frozen
class Rendered:
    """A result that is JSON already; all but its first piece are made while it is sent."""

    first: bytes
    rest: Pieces

    @classmethod
    async def of(cls, pieces: Pieces) -> Rendered:
        """Begin to render: what goes wrong with the first rows is an error's answer."""
        return cls(await anext(pieces), pieces)


@frozen
class _Reply:
    success: bool
    result: object
    closes: bool = False

    @property
    def is_one_piece(self) -> bool:
        """Whether nothing of the answer is made while it is sent."""
        return not isinstance(self.result, Rendered)

    async def pieces(self, warnings: Sequence[str]) -> Pieces:
        """Yield the answer as it goes over the wire."""
        # Ganeti's clients ignore what they do not know.
        end = (b',"warnings":' + rendered(warnings) if warnings else b"") + b"}" + ETX
        if not isinstance(self.result, Rendered):
            yield rendered({"success": self.success, "result": self.result})[:-1] + end
            return
        held = b'{"success":true,"result":' + self.result.first
        async with aclosing(self.result.rest) as rest:
            async for piece in rest:
                yield held
                held = piece
        yield held + end


def _refusal(reason: object) -> _Reply:
    return _Reply(success=False, result=f"Failed to parse request: {reason}", closes=True)


def _failure(error: GanetiError) -> _Reply:
    return _Reply(success=False, result=error.encoded)


@define
class LuxiServer:
    """Serves LUXI; each connection has a :class:`Luxi` of its own, made by ``front``."""

    front: Callable[[Caller], Luxi]
    start: str
    """A unique name of this run of the daemon."""
    warnings: Callable[[], tuple[str, ...]] = tuple
    """Gives what every answer says beside its result."""
    _idle: OrderedDict[int, trio.CancelScope] = field(factory=OrderedDict, init=False)
    """The connections that wait for a request, the longest idle first."""
    _open: int = field(default=0, init=False)
    _count: int = field(default=0, init=False)

    async def serve(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        """Serve the connections of a listener until cancelled; closes it."""
        async with listener:
            await trio.serve_listeners(self.serve_connection, [listener])

    async def serve_connection(self, stream: trio.abc.Stream) -> None:
        """Answer the requests of one connection, one after the other; closes it."""
        self._count += 1
        self._open += 1
        try:
            if self._open > CONNECTIONS_MAX and not self._close_idle():
                LOG.warning("too many busy connections", connections=self._open)
                return
            caller = Caller(_user_of(stream), f"{self.start}/{self._count}")
            await self._converse(_Peer(stream, self.warnings), self._count, self.front(caller))
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as error:
            LOG.debug("a client left", reason=str(error))
        finally:
            self._open -= 1
            await trio.aclose_forcefully(stream)

    def _close_idle(self) -> bool:
        if not self._idle:
            return False
        _, scope = self._idle.popitem(last=False)
        scope.cancel()
        return True

    async def _converse(self, peer: _Peer, number: int, front: Luxi) -> None:
        while True:
            try:
                with trio.CancelScope() as scope:
                    self._idle[number] = scope
                    try:
                        await peer.wait_for_request()
                    finally:
                        self._idle.pop(number, None)
                if scope.cancelled_caught:
                    return
                request = await peer.receive()
            except FramingError as error:
                await peer.send(_refusal(error))
                return
            if request is None:
                return
            reply = await answer(front, request)
            await peer.send(reply)
            if reply.closes:
                return


@define
class _Peer:
    """Frames over a stream, each within a deadline."""

    stream: trio.abc.Stream
    warnings: Callable[[], tuple[str, ...]]
    _decoder: FrameDecoder = field(factory=lambda: FrameDecoder(REQUEST_BYTES_MAX), init=False)
    _frame: bytes | None = field(default=None, init=False)
    _over: bool = field(default=False, init=False)

    async def wait_for_request(self) -> None:
        """Wait until a request has begun, or the client has left."""
        self._frame = self._decoder.next_frame()
        if self._frame is None:
            await self._feed()
        else:  # who asks without waiting for answers does not keep others from theirs
            await trio.lowlevel.checkpoint()

    async def receive(self) -> bytes | None:
        """Return the request; ``None`` if the client has left.

        Raises:
            FramingError: the request is too large, or was cut off.
            trio.TooSlowError: it does not come to its end.
        """
        with trio.fail_after(REQUEST_SECONDS_MAX):
            while self._frame is None and not self._over:
                self._frame = self._decoder.next_frame()
                if self._frame is None:
                    await self._feed()
        frame, self._frame = self._frame, None
        return frame

    async def _feed(self) -> None:
        chunk = await self.stream.receive_some(CHUNK_BYTES)
        self._decoder.feed(bytes(chunk))
        self._over = not chunk

    async def send(self, reply: _Reply) -> None:
        """Send an answer; others get a turn after each piece but the last.

        Raises:
            trio.TooSlowError: the client does not take it.
            trio.BrokenResourceError: it can not be rendered to its end; the client sees that it
                was cut off.
        """
        async with aclosing(reply.pieces(self.warnings())) as pieces:
            while (piece := await _next(pieces)) is not None:
                if reply.is_one_piece and not (piece := written_at_once(self.stream, piece)):
                    continue
                with trio.fail_after(SEND_SECONDS_MAX):
                    await self.stream.send_all(piece)


async def _next(pieces: Pieces) -> bytes | None:
    try:
        return await anext(pieces, None)
    except Exception as error:
        LOG.exception("an answer could not be rendered to its end")
        raise trio.BrokenResourceError("half an answer was sent") from error


def _user_of(stream: trio.abc.Stream) -> int:
    if not isinstance(stream, trio.SocketStream):
        return -1
    layout = "3i"  # struct ucred of unix(7): pid, uid, gid
    size = struct.calcsize(layout)
    peer = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack(layout, peer)[1])


# --- one request ---------------------------------------------------------------------------------


async def answer(front: Luxi, request: bytes) -> _Reply:
    """Carry out a request and return the answer."""
    try:
        method, args = parse_request(from_bytes(request, CLIENT_NESTING_MAX))
        return _Reply(success=True, result=await _call(front, method, args))
    except (Malformed, BadCall) as error:
        return _refusal(error)
    except GanetiError as error:
        return _failure(error)
    except ServiceError as error:
        return _failure(GenericError(str(error)))
    except Exception as error:
        LOG.exception("a request failed")
        return _failure(GenericError(f"LuxiD failed: {error!r}; see its log"))


def parse_request(value: object) -> tuple[Method, dict[str, object]]:
    """Read a request.

    Raises:
        BadCall: it is none; the text says what is wrong.
        Malformed: an opcode has parameters that its dialect does not have.
        OpPrereqError: an opcode is one that only other versions have.
    """
    if not isinstance(value, dict):
        raise BadCall("request", "it must be an object")
    request = cast("dict[str, object]", value)
    for key in ("method", "args"):
        if key not in request:
            raise BadCall("request", f"key {key!r} not found, there are {sorted(request)}")
    method, args = LUXI.method(request["method"]), request["args"]
    if not method.params:  # as in the reference, what is sent in vain is ignored
        return method, {}
    if not isinstance(args, list):
        raise BadCall(method.name, "args must be a list")
    loaded = method.load_positional(args)
    dialect = dialect_of(request.get("version"))
    return method, loaded if dialect == "3.0" else _translated(loaded, dialect)


def _translated(args: dict[str, object], dialect: Dialect) -> dict[str, object]:
    """Bring the opcodes among the arguments into normal form."""
    translated = dict(args)
    if "ops" in args:
        ops = cast("tuple[OpcodeJson, ...]", args["ops"])
        translated["ops"] = tuple(in_normal_form(op, dialect) for op in ops)
    if "jobs" in args:
        jobs = cast("tuple[tuple[OpcodeJson, ...], ...]", args["jobs"])
        translated["jobs"] = tuple(tuple(in_normal_form(op, dialect) for op in j) for j in jobs)
    return translated


async def _call(front: Luxi, method: Method, args: dict[str, object]) -> object:
    function: Any = getattr(front, method.name)
    return cast(object, await function(**args))
