"""Typed services over unix sockets: many calls at once on one connection.

After the hellos (:func:`gantry.protocols.service.agree`) these frames travel:

=====================================  ======================================================
``{"id", "call", "args"}``             a call; ids are chosen by the caller; with
                                       ``"deadline_seconds"`` the server cancels it after so long,
                                       and nothing is answered
``{"id", "cancel": true}``             the caller no longer wants the answer; the server
                                       cancels the call if it still runs
``{"id", "ok"}`` / ``{"id", "error"}`` the answer, in any order
=====================================  ======================================================

Nobody waits for the other's hello before calling: a call that comes with a hello is read after it,
so that one who speaks another version is turned away before anything is carried out.

A lost connection cancels all calls that it carried: whoever waited for a lock no longer does.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import trio
from attrs import define, field, frozen

from gantry.protocols.codec import TAG, Malformed, dump, load
from gantry.protocols.errors import BadCall, ConnectionLost, Fault, Forbidden, ServiceError
from gantry.protocols.framing import (
    FrameDecoder,
    FramingError,
    encode_frame,
    encode_frame_in_pieces,
)
from gantry.protocols.service import Hello, Method, Service, agree, hello, stub
from gantry.runtime.environment import Network, PromptStream
from gantry.runtime.logs import Log
from gantry.runtime.nursery import open_plain_nursery

S = TypeVar("S")

CALLS_MAX: Final = 256
"""Calls in flight on one connection; a server reads no further call beyond it."""

CHUNK_BYTES: Final = 65536
WRITE_BYTES: Final = 256 * 1024
"""Written in one go, unless a single piece is larger: about what a socket takes."""

HELLO_SECONDS_MAX: Final = 10.0
"""A peer on the same machine that takes longer to greet is stuck."""

LOG: Final = Log("rpc")

CONNECTION_ERRORS: Final = (trio.BrokenResourceError, trio.ClosedResourceError, FramingError)


def written_at_once(stream: trio.abc.Stream, data: bytes) -> bytes:
    """Write what a stream takes without waiting; return what is left.

    That costs no turn of the event loop, and leaves it no turn for others.

    Raises:
        trio.BrokenResourceError, trio.ClosedResourceError: nobody reads any more.
    """
    if isinstance(stream, PromptStream):
        return data[stream.write_at_once(data) :]
    if not isinstance(stream, trio.SocketStream):
        return data
    try:
        return data[os.write(stream.socket.fileno(), data) :]
    except BlockingIOError:
        return data
    except OSError as error:
        raise trio.BrokenResourceError(str(error)) from error


async def _close(stream: trio.abc.Stream) -> None:
    """Close a stream; a socket is closed without waiting for a turn of the event loop."""
    if isinstance(stream, trio.SocketStream):
        stream.socket.close()
    else:
        await trio.aclose_forcefully(stream)


@define
class _Connection:
    """Frames in, frames out; sends are whole even if the sender is cancelled.

    What the kernel takes at once is written at once, which is nearly everything between processes
    of one machine. If it does not take something, a task writes that and all that follows in the
    meantime.
    """

    stream: trio.abc.Stream
    nursery: trio.Nursery
    """Where that task runs."""
    decoder: FrameDecoder = field(factory=FrameDecoder, init=False)
    _queue: trio.MemorySendChannel[list[bytes]] | None = field(default=None, init=False)
    """Of frames, in pieces."""

    async def receive(self) -> dict[str, object] | None:
        """Return the next frame's object, or ``None`` at a clean end.

        Raises:
            FramingError, Malformed: the peer sent something else than objects.
        """
        while (value := self.decoder.next_value()) is None:
            chunk = await self.stream.receive_some(CHUNK_BYTES)
            if not chunk:
                self.decoder.end()
                return None
            self.decoder.feed(bytes(chunk))
        if not isinstance(value[0], dict):
            raise FramingError("a frame is not an object")
        return cast("dict[str, object]", value[0])

    async def send(self, frame: list[bytes]) -> None:
        """Send a frame; waits while the peer reads too slowly, and else not for a moment.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: nobody reads any more.
        """
        if rest := self._written(frame):
            await self._queued().send(rest)

    def send_soon(self, frame: Mapping[str, object]) -> bool:
        """Send a frame without waiting, or say that there is no room, or nobody who reads."""
        try:
            if rest := self._written(encode_frame_in_pieces(frame)):
                self._queued().send_nowait(rest)
        except (trio.WouldBlock, *CONNECTION_ERRORS):
            return False
        return True

    def _written(self, pieces: list[bytes]) -> list[bytes]:
        """Write of the first piece what is taken at once, unless others are in line.

        Returns what is left: of most frames nothing, since they are one piece.
        """
        if self._queue is not None:
            return pieces
        first, *others = pieces
        rest = written_at_once(self.stream, first)
        return [rest, *others] if rest else others

    def _queued(self) -> trio.MemorySendChannel[list[bytes]]:
        """Return the line in which frames wait for the task that writes them."""
        if self._queue is None:
            self._queue, line = trio.open_memory_channel[list[bytes]](CALLS_MAX)
            self.nursery.start_soon(self._write, line)
        return self._queue

    async def _write(self, line: trio.MemoryReceiveChannel[list[bytes]]) -> None:
        """Write what is in line until nothing is: one write serves many."""
        async for frame in line:
            pieces = [*frame, *itertools.chain.from_iterable(_more(line))]
            try:
                for part in _parts(pieces):
                    await self.stream.send_all(part)
            except CONNECTION_ERRORS:
                line.close()
                return
            if not line.statistics().current_buffer_used:
                self._queue = None  # what comes next is written at once again
                return

    async def greet(self, service: Service[Any]) -> None:
        """Say hello.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: nobody reads any more.
        """
        if rest := self._written([encode_frame({"hello": service.greeting})]):
            # Nothing else is in line: not even a refusal cuts it.
            await self.stream.send_all(b"".join(rest))

    async def meet(self, service: Service[Any]) -> None:
        """Read the peer's hello.

        Raises:
            BadCall: the peer speaks another protocol or no common version.
            Malformed: it says something else.
            trio.TooSlowError: it says nothing.
        """
        with trio.fail_after(HELLO_SECONDS_MAX):
            frame = await self.receive()
        said = (frame or {}).get("hello")
        if said == service.greeting:
            return
        ours, theirs = hello(service), load(Hello, said)
        if agree(ours, theirs) is None:
            raise BadCall(
                "hello",
                f"{ours.protocol} {ours.lowest}-{ours.highest} met "
                f"{theirs.protocol} {theirs.lowest}-{theirs.highest}: upgrade the older daemon",
            )


def _more(line: trio.MemoryReceiveChannel[list[bytes]]) -> Iterator[list[bytes]]:
    """Take what else is in line."""
    while True:
        try:
            yield line.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return


def _parts(pieces: list[bytes]) -> Iterator[bytes]:
    """Put pieces together, but not so many that others would have to wait for it."""
    part: list[bytes] = []
    size = 0
    for piece in pieces:
        part.append(piece)
        size += len(piece)
        if size >= WRITE_BYTES:
            yield b"".join(part)
            part, size = [], 0
    if part:
        yield b"".join(part)


# --- the server ----------------------------------------------------------------------------------


Authorize = Callable[[Method], Awaitable[Forbidden | None]]
"""Says whether a method may be called here: ``None``, or why not."""


async def serve(
    service: Service[S],
    implementation: S,
    listener: trio.abc.Listener[trio.abc.Stream],
    authorize: Authorize | None = None,
) -> None:
    """Serve connections of a listener until cancelled; closes it."""

    async def one(stream: trio.abc.Stream) -> None:
        await _converse(service, implementation, stream, authorize)

    async with listener:
        await trio.serve_listeners(one, [listener])  # which closes the stream


async def serve_connection(
    service: Service[S],
    implementation: S,
    stream: trio.abc.Stream,
    authorize: Authorize | None = None,
) -> None:
    """Answer the calls of one connection until the peer leaves or breaks the protocol; close it."""
    try:
        await _converse(service, implementation, stream, authorize)
    finally:
        await trio.aclose_forcefully(stream)


async def _converse(
    service: Service[S],
    implementation: S,
    stream: trio.abc.Stream,
    authorize: Authorize | None,
) -> None:
    async with trio.open_nursery() as nursery:
        connection = _Connection(stream, nursery)
        try:
            await connection.greet(service)
            await connection.meet(service)
            await _Server(service, implementation, connection, authorize).answer_calls()
        except (*CONNECTION_ERRORS, Malformed, BadCall, trio.TooSlowError) as error:
            LOG.warning("connection dropped", service=service.name, reason=str(error))
        nursery.cancel_scope.cancel()


@define
class _Server:
    service: Service[Any]
    implementation: object
    connection: _Connection
    authorize: Authorize | None
    """``None``: who can open the socket may do all that it offers."""
    _running: dict[int, trio.CancelScope] = field(factory=dict, init=False)
    _room: trio.Semaphore = field(factory=lambda: trio.Semaphore(CALLS_MAX), init=False)

    async def answer_calls(self) -> None:
        """Start a task for each call; return when the peer leaves.

        Raises:
            Malformed, FramingError: it breaks the protocol.
            trio.BrokenResourceError, trio.ClosedResourceError: the connection is lost.
        """
        while (frame := await self.connection.receive()) is not None:
            number = frame.get("id")
            if not isinstance(number, int):
                raise FramingError("a call needs an integer id")
            if frame.get("cancel"):
                self._cancel(number)
            else:
                await self._start(number, frame)

    def _cancel(self, number: int) -> None:
        if number in self._running:
            self._running[number].cancel()

    async def _start(self, number: int, frame: dict[str, object]) -> None:
        if number in self._running:
            raise FramingError("a call needs a fresh id")
        try:
            self._room.acquire_nowait()
        except trio.WouldBlock:
            await self._room.acquire()
        scope = self._running[number] = trio.CancelScope(deadline=_deadline(frame))
        self.connection.nursery.start_soon(self._answer, number, frame, scope)

    async def _answer(
        self,
        number: int,
        frame: dict[str, object],
        scope: trio.CancelScope,
    ) -> None:
        try:
            with scope:
                await self.connection.send(await self._reply(number, frame))
        except CONNECTION_ERRORS:
            return  # nobody is left to hear the answer
        finally:
            del self._running[number]
            self._room.release()

    async def _reply(self, number: int, frame: dict[str, object]) -> list[bytes]:
        """Return the answer's frame; whatever goes wrong on the way to it is a :class:`Fault`."""
        try:
            return encode_frame_in_pieces({"id": number, **await self._execute(frame)})
        except Exception as error:
            LOG.exception("call failed", service=self.service.name, method=frame.get("call"))
            fault = Fault(f"{self.service.name} failed: {error!r:.500}; see its log")
            return encode_frame_in_pieces({"id": number, "error": _tagged(fault)})

    async def _execute(self, frame: dict[str, object]) -> dict[str, object]:
        try:
            method = self.service.method(frame.get("call"))
        except BadCall as error:
            return {"error": _tagged(error)}
        try:
            refusal = await self.authorize(method) if self.authorize else None
            if refusal is not None:
                raise refusal
            args = method.load_args(frame.get("args"))
            result = await getattr(self.implementation, method.name)(**args)
            return {"ok": method.dump_result(result)}
        except ServiceError as error:
            return {"error": method.dump_error(error)}


def _deadline(frame: Mapping[str, object]) -> float:
    """Return when a call ends at the latest, by trio's clock."""
    seconds = frame.get("deadline_seconds")
    return trio.current_time() + seconds if isinstance(seconds, int | float) else math.inf


def _tagged(error: BadCall | Fault) -> dict[str, object]:
    return {TAG: type(error).__name__, **cast("dict[str, object]", dump(error))}


# --- the client ----------------------------------------------------------------------------------


@frozen
class _Answer:
    ready: trio.Event
    frame: list[dict[str, object]]


@define
class _Client:
    connection: _Connection
    service: Service[Any]
    _ids: Iterator[int] = field(factory=lambda: itertools.count(1), init=False)
    _waiting: dict[int, _Answer] = field(factory=dict, init=False)
    _lost: str | None = field(default=None, init=False)
    """Why there will be no more answers."""

    async def read_answers(self) -> None:
        """Hand answers to their callers until the peer leaves."""
        lost = f"{self.service.name} is gone"
        try:
            await self._meet()
            while (frame := await self.connection.receive()) is not None:
                number = frame.get("id")
                if not isinstance(number, int):
                    raise FramingError("an answer needs an integer id")
                answer = self._waiting.pop(number, None)
                if answer is not None:  # None: its caller was cancelled meanwhile
                    answer.frame.append(frame)
                    answer.ready.set()
        except ConnectionLost as error:
            lost = str(error)
        except (Malformed, *CONNECTION_ERRORS) as error:
            LOG.debug("connection lost", service=self.service.name, reason=str(error))
        finally:
            self._lost = lost
            for answer in self._waiting.values():
                answer.ready.set()

    async def _meet(self) -> None:
        try:
            await self.connection.meet(self.service)
        except (*CONNECTION_ERRORS, Malformed, BadCall, trio.TooSlowError) as error:
            raise ConnectionLost(f"{self.service.name} did not greet: {error}") from error

    async def call(self, wire_name: str, method: Method, args: Mapping[str, object]) -> object:
        if self._lost is not None:
            raise ConnectionLost(self._lost)
        number = next(self._ids)
        answer = self._waiting[number] = _Answer(trio.Event(), [])
        try:
            call = {"id": number, "call": wire_name, "args": args}
            await self.connection.send(encode_frame_in_pieces(call))
            await answer.ready.wait()
        except CONNECTION_ERRORS:
            raise ConnectionLost(f"{self.service.name} is gone") from None
        except trio.Cancelled:
            if not self.connection.send_soon({"id": number, "cancel": True}):
                await trio.aclose_forcefully(self.connection.stream)
            raise
        finally:
            self._waiting.pop(number, None)
        if not answer.frame:
            raise ConnectionLost(f"{self._lost}; it was asked to {wire_name}")
        said = answer.frame[0]
        if "ok" in said:
            return said["ok"]
        raise method.load_error(said.get("error"))


@asynccontextmanager
async def client(service: Service[S], stream: trio.abc.Stream) -> AsyncIterator[S]:
    """Speak with the server at the other end of ``stream``; closes it.

    Calls raise :class:`ConnectionLost` once the server is gone, or if it speaks something else.
    """
    try:
        async with open_plain_nursery() as nursery:
            caller = _Client(_Connection(stream, nursery), service)
            with suppress(*CONNECTION_ERRORS):  # calls find out
                await caller.connection.greet(service)
            nursery.start_soon(caller.read_answers)
            yield stub(service, caller.call)
            nursery.cancel_scope.cancel()
    finally:
        await _close(stream)


@asynccontextmanager
async def connect(service: Service[S], network: Network, path: Path) -> AsyncIterator[S]:
    """Connect to the daemon that serves ``service`` on a unix socket.

    Raises:
        ConnectionLost: nobody listens there. (From the body, exceptions come out unwrapped.)
    """
    try:
        stream = await network.connect_unix(path)
    except OSError as error:
        raise ConnectionLost(f"{service.name} does not answer on {path}: {error}") from error
    async with client(service, stream) as connected:
        yield connected
