"""Typed services over unix sockets: many calls at once on one connection.

After the hellos (:func:`gantry.protocols.service.agree`) these frames travel:

=====================================  ======================================================
``{"id", "call", "args"}``             a call; ids are chosen by the caller
``{"id", "cancel": true}``             the caller no longer wants the answer; the server
                                       cancels the call if it still runs
``{"id", "ok"}`` / ``{"id", "error"}`` the answer, in any order
=====================================  ======================================================

A lost connection cancels all calls that it carried: whoever waited for a lock no longer does.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import trio
from attrs import define, field, frozen

from gantry.protocols.codec import Malformed, dump, load
from gantry.protocols.errors import BadCall, ConnectionLost, Fault, ServiceError
from gantry.protocols.framing import FrameDecoder, FramingError, encode_frame
from gantry.protocols.service import Hello, Method, Service, agree, hello, stub
from gantry.runtime.environment import Network
from gantry.runtime.logs import Log
from gantry.runtime.nursery import open_plain_nursery

S = TypeVar("S")

CALLS_MAX: Final = 256
"""Calls in flight on one connection; a server reads no further call beyond it."""

CHUNK_BYTES: Final = 65536
HELLO_SECONDS_MAX: Final = 10.0
"""A peer on the same machine that takes longer to greet is stuck."""

LOG: Final = Log("rpc")

CONNECTION_ERRORS: Final = (trio.BrokenResourceError, trio.ClosedResourceError, FramingError)


@define
class _Connection:
    """Frames in, frames out; sends are whole even if the sender is cancelled."""

    stream: trio.abc.Stream
    decoder: FrameDecoder = field(factory=FrameDecoder, init=False)
    _outgoing: trio.MemorySendChannel[bytes] = field(init=False)
    _queued: trio.MemoryReceiveChannel[bytes] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._outgoing, self._queued = trio.open_memory_channel[bytes](CALLS_MAX)

    async def receive(self) -> dict[str, object] | None:
        """Return the next frame's object, or ``None`` at a clean end."""
        while (value := self.decoder.next_value()) is None:
            chunk = await self.stream.receive_some(CHUNK_BYTES)
            if not chunk:
                self.decoder.end()
                return None
            self.decoder.feed(bytes(chunk))
        if not isinstance(value[0], dict):
            raise FramingError("a frame is not an object")
        return cast("dict[str, object]", value[0])

    async def send(self, frame: Mapping[str, object]) -> None:
        """Queue a frame; waits while the peer reads too slowly, and else not for a moment."""
        encoded = encode_frame(frame)
        try:
            self._outgoing.send_nowait(encoded)
        except trio.WouldBlock:
            await self._outgoing.send(encoded)

    def send_soon(self, frame: Mapping[str, object]) -> bool:
        """Queue a frame now, or say that there is no room."""
        try:
            self._outgoing.send_nowait(encode_frame(frame))
        except (trio.WouldBlock, *CONNECTION_ERRORS):
            return False
        return True

    async def write_queued(self) -> None:
        """Write what is queued, as long as the connection lives. One task of each connection."""
        async for frame in self._queued:
            frames = [frame, *self._more()]
            try:
                await self.stream.send_all(b"".join(frames))
            except CONNECTION_ERRORS:
                self._queued.close()
                return

    def _more(self) -> Iterator[bytes]:
        """Take what else is queued: one write serves many."""
        while True:
            try:
                yield self._queued.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                return

    async def greet(self, ours: Hello) -> Hello:
        """Exchange hellos.

        Raises:
            BadCall: the peer speaks another protocol or no common version.
        """
        with trio.fail_after(HELLO_SECONDS_MAX):
            await self.stream.send_all(encode_frame({"hello": dump(ours)}))
            frame = await self.receive()
        theirs = load(Hello, (frame or {}).get("hello"))
        if agree(ours, theirs) is None:
            raise BadCall(
                "hello",
                f"{ours.protocol} {ours.lowest}-{ours.highest} met "
                f"{theirs.protocol} {theirs.lowest}-{theirs.highest}: upgrade the older daemon",
            )
        return theirs


# --- the server ----------------------------------------------------------------------------------


async def serve(
    service: Service[S],
    implementation: S,
    listener: trio.abc.Listener[trio.abc.Stream],
) -> None:
    """Serve connections of a listener until cancelled; closes it."""

    async def one(stream: trio.abc.Stream) -> None:
        await serve_connection(service, implementation, stream)

    async with listener:
        await trio.serve_listeners(one, [listener])


async def serve_connection(service: Service[S], implementation: S, stream: trio.abc.Stream) -> None:
    """Answer the calls of one connection until the peer leaves or breaks the protocol."""
    connection = _Connection(stream)
    try:
        await connection.greet(hello(service))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.write_queued)
            await _Server(service, implementation, connection).answer_calls()
            nursery.cancel_scope.cancel()
    except (*CONNECTION_ERRORS, Malformed, BadCall, trio.TooSlowError) as error:
        LOG.warning("connection dropped", service=service.name, reason=str(error))
    except BaseExceptionGroup as group:
        _, rest = group.split(CONNECTION_ERRORS)
        if rest is not None:
            raise
    finally:
        await trio.aclose_forcefully(stream)


@define
class _Server:
    service: Service[Any]
    implementation: object
    connection: _Connection
    _running: dict[int, trio.CancelScope] = field(factory=dict, init=False)
    _room: trio.Semaphore = field(factory=lambda: trio.Semaphore(CALLS_MAX), init=False)

    async def answer_calls(self) -> None:
        """Start a task for each call; leave when the peer does."""
        try:
            async with trio.open_nursery() as nursery:
                while (frame := await self.connection.receive()) is not None:
                    number = frame.get("id")
                    if not isinstance(number, int):
                        raise FramingError("a call needs an integer id")
                    if frame.get("cancel"):
                        self._cancel(number)
                    else:
                        await self._start(number, frame, nursery)
                nursery.cancel_scope.cancel()
        except (Malformed, *CONNECTION_ERRORS) as error:
            LOG.warning("connection dropped", service=self.service.name, reason=str(error))

    def _cancel(self, number: int) -> None:
        if number in self._running:
            self._running[number].cancel()

    async def _start(self, number: int, frame: dict[str, object], nursery: trio.Nursery) -> None:
        if number in self._running:
            raise FramingError("a call needs a fresh id")
        try:
            self._room.acquire_nowait()
        except trio.WouldBlock:
            await self._room.acquire()
        scope = self._running[number] = trio.CancelScope()
        nursery.start_soon(self._answer, number, frame, scope)

    async def _answer(
        self,
        number: int,
        frame: dict[str, object],
        scope: trio.CancelScope,
    ) -> None:
        try:
            with scope:
                reply = await self._execute(frame)
                await self.connection.send({"id": number, **reply})
        except CONNECTION_ERRORS:
            return  # nobody is left to hear the answer
        finally:
            del self._running[number]
            self._room.release()

    async def _execute(self, frame: dict[str, object]) -> dict[str, object]:
        method: Method | None = None
        try:
            method = self.service.method(frame.get("call"))
            args = method.load_args(frame.get("args"))
            result = await getattr(self.implementation, method.name)(**args)
            return {"ok": method.dump_result(result)}
        except ServiceError as error:
            if method is None:
                return {"error": {"kind": type(error).__name__, **_body(error)}}
            return {"error": method.dump_error(error)}
        except Exception as error:
            LOG.exception("call failed", service=self.service.name, method=frame.get("call"))
            fault = Fault(f"{self.service.name} failed: {error!r}; see its log")
            return {"error": {"kind": "Fault", **_body(fault)}}


def _body(error: ServiceError) -> dict[str, object]:
    return cast("dict[str, object]", dump(error))


# --- the client ----------------------------------------------------------------------------------


@frozen
class _Answer:
    ready: trio.Event
    frame: list[dict[str, object]]


@define
class _Client:
    connection: _Connection
    service_name: str
    _ids: Iterator[int] = field(factory=lambda: itertools.count(1), init=False)
    _waiting: dict[int, _Answer] = field(factory=dict, init=False)
    lost: trio.Event = field(factory=trio.Event, init=False)

    async def read_answers(self) -> None:
        """Hand answers to their callers until the peer leaves."""
        try:
            while (frame := await self.connection.receive()) is not None:
                answer = self._waiting.pop(cast(int, frame.get("id")), None)
                if answer is not None:  # None: its caller was cancelled meanwhile
                    answer.frame.append(frame)
                    answer.ready.set()
        except (Malformed, *CONNECTION_ERRORS) as error:
            LOG.debug("connection lost", service=self.service_name, reason=str(error))
        finally:
            self.lost.set()
            for answer in self._waiting.values():
                answer.ready.set()

    async def call(self, wire_name: str, method: Method, args: Mapping[str, object]) -> object:
        if self.lost.is_set():
            raise ConnectionLost(f"{self.service_name} is gone")
        number = next(self._ids)
        answer = self._waiting[number] = _Answer(trio.Event(), [])
        try:
            await self.connection.send({"id": number, "call": wire_name, "args": args})
            await answer.ready.wait()
        except CONNECTION_ERRORS:
            raise ConnectionLost(f"{self.service_name} is gone") from None
        except trio.Cancelled:
            if not self.connection.send_soon({"id": number, "cancel": True}):
                await trio.aclose_forcefully(self.connection.stream)
            raise
        finally:
            self._waiting.pop(number, None)
        if not answer.frame:
            raise ConnectionLost(f"{self.service_name} went away during {wire_name}")
        frame = answer.frame[0]
        if "ok" in frame:
            return frame["ok"]
        raise method.load_error(frame.get("error"))


@asynccontextmanager
async def client(service: Service[S], stream: trio.abc.Stream) -> AsyncIterator[S]:
    """Speak with the server at the other end of ``stream``; closes it.

    Calls raise :class:`ConnectionLost` once the server is gone.
    """
    connection = _Connection(stream)
    try:
        await _greet_server(service, connection)
        caller = _Client(connection, service.name)
        async with open_plain_nursery() as nursery:
            nursery.start_soon(connection.write_queued)
            nursery.start_soon(caller.read_answers)
            yield stub(service, caller.call)
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


async def _greet_server(service: Service[Any], connection: _Connection) -> None:
    try:
        await connection.greet(hello(service))
    except (*CONNECTION_ERRORS, Malformed, BadCall, trio.TooSlowError) as error:
        raise ConnectionLost(f"{service.name} did not greet: {error}") from error


@asynccontextmanager
async def connect(service: Service[S], network: Network, path: Path) -> AsyncIterator[S]:
    """Connect to the daemon that serves ``service`` on a unix socket.

    Raises:
        ConnectionLost: nobody serves there, or the greeting failed. (From the body, exceptions
            come out unwrapped.)
    """
    try:
        stream = await network.connect_unix(path)
    except OSError as error:
        raise ConnectionLost(f"{service.name} does not answer on {path}: {error}") from error
    async with client(service, stream) as connected:
        yield connected
