"""A client of QEMU's monitor protocol (QMP, qemu.org ``docs/interop/qmp-spec``) on trio.

One task reads; replies find their caller by id, events go to every subscriber. A monitor socket
serves one client at a time: keep a connection as long as an action takes, and no longer.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import trio
from attrs import define, field, frozen

from gantry.protocols import codec
from gantry.protocols.codec import Json
from gantry.runtime.environment import Network

LINE_BYTES_MAX: Final = 1024 * 1024
"""QEMU's longest replies (its schema) take a quarter of this."""

EVENTS_WAITING_MAX: Final = 1000
"""A subscriber that is this far behind loses its subscription."""

CONNECT_DEADLINE_SECONDS: Final = 10.0
"""For connection, greeting and negotiation; another client may hold the monitor for a moment."""

COMMAND_DEADLINE_SECONDS: Final = 30.0
"""QEMU answers within milliseconds, unless its storage or its machine stalls."""


class QmpError(Exception):
    """Something went wrong between us and a QEMU process."""


class QmpGone(QmpError):
    """The connection ended: QEMU quit, died or broke the protocol. Commands may have acted."""


class QmpRefused(QmpError):
    """QEMU refused a command."""

    def __init__(self, command: str, error_class: str, description: str) -> None:
        super().__init__(f"{command}: {description}")
        self.command, self.error_class, self.description = command, error_class, description


class QmpTimeout(QmpError):
    """QEMU did not answer in time; the command may still act."""


@frozen
class Event:
    """Something that QEMU reports unasked, such as ``SHUTDOWN``."""

    name: str
    data: Mapping[str, Json]
    seconds: float
    """When, by QEMU's wall clock, since the epoch."""


@define(eq=False)
class _Call:
    done: trio.Event = field(factory=trio.Event)
    reply: Mapping[str, Json] | None = None


def _object(value: Json, what: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise QmpGone(f"{what} is not an object")
    return cast("Mapping[str, Json]", value)


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


class _Lines:
    """Bounded lines out of a byte stream."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream, self._buffer = stream, bytearray()

    async def next(self) -> bytes | None:
        """Return the next line, or ``None`` at the end of the stream."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > LINE_BYTES_MAX:
                raise QmpGone(f"a line is longer than {LINE_BYTES_MAX} bytes")
            try:
                chunk = await self._stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not chunk:
                return None
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line


class Qmp:
    """A negotiated connection to one monitor; made by :func:`open_qmp`."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream, self._lines = stream, _Lines(stream)
        self._ids = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._subscribers: set[trio.MemorySendChannel[Event]] = set()
        self._sending = trio.Lock()
        self._gone: str | None = None
        self.version: tuple[int, int, int] = (0, 0, 0)

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, Json] | None = None,
        *,
        deadline_seconds: float = COMMAND_DEADLINE_SECONDS,
    ) -> Json:
        """Run a command and return its result.

        Cancelled while waiting, the reply is dropped when it comes; cancelled while sending, the
        connection is closed, since half a command can not be taken back.

        Raises:
            QmpRefused: QEMU answered with an error.
            QmpGone: the connection ended before the answer.
            QmpTimeout: there was no answer in time.
        """
        number, call = next(self._ids), _Call()
        body: dict[str, Json] = {"execute": command, "id": number}
        if arguments is not None:
            body["arguments"] = dict(arguments)
        self._calls[number] = call
        try:
            with trio.fail_after(deadline_seconds):
                await self._send(codec.to_bytes(body) + b"\n")
                await call.done.wait()
        except trio.TooSlowError:
            raise QmpTimeout(f"{command}: no answer within {deadline_seconds:g} s") from None
        finally:
            self._calls.pop(number, None)
        if call.reply is None:
            raise QmpGone(f"{command}: {self._gone}")
        if "error" in call.reply:
            error = _object(call.reply["error"], "an error")
            raise QmpRefused(command, str(error.get("class")), str(error.get("desc")))
        return call.reply.get("return")

    async def _send(self, line: bytes) -> None:
        async with self._sending:
            if self._gone is not None:
                raise QmpGone(self._gone)
            whole = False
            try:
                await self._stream.send_all(line)
                whole = True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise QmpGone("QEMU closed the connection") from None
            finally:
                if not whole:
                    self._close("a command was cut off")

    @asynccontextmanager
    async def events(self) -> AsyncIterator[trio.MemoryReceiveChannel[Event]]:
        """Subscribe to the events from now on; the channel ends with the connection."""
        send, receive = trio.open_memory_channel[Event](EVENTS_WAITING_MAX)
        if self._gone is not None:
            send.close()
        self._subscribers.add(send)
        try:
            yield receive
        finally:
            self._subscribers.discard(send)
            send.close()
            receive.close()

    async def greet(self) -> None:
        """Read the peer's greeting: :func:`negotiated` does so once, first of all."""
        greeting = await self._message()
        if greeting is None or "QMP" not in greeting:
            raise QmpGone("the peer did not greet as a QEMU monitor")
        version = _object(_object(greeting["QMP"], "the greeting").get("version"), "the version")
        numbers = _object(version.get("qemu"), "the version")
        major, minor, micro = (int(_number(numbers.get(k))) for k in ("major", "minor", "micro"))
        self.version = major, minor, micro

    async def _message(self) -> Mapping[str, Json] | None:
        line = await self._lines.next()
        if line is None:
            return None
        try:
            return _object(codec.from_bytes(line), "a message")
        except codec.Malformed as error:
            raise QmpGone(str(error)) from None

    async def read(self) -> None:
        """Deliver replies and events until the connection ends; never raises."""
        reason = "QEMU closed the connection"
        try:
            while (message := await self._message()) is not None:
                self._deliver(message)
        except QmpGone as error:
            reason = str(error)
        self._close(reason)

    def _deliver(self, message: Mapping[str, Json]) -> None:
        if "event" in message:
            self._publish(message)
            return
        number = message.get("id")
        call = self._calls.pop(number, None) if isinstance(number, int) else None
        if call is not None:  # else its caller was cancelled, or it is not for us
            call.reply = message
            call.done.set()

    def _publish(self, message: Mapping[str, Json]) -> None:
        stamp = _object(message.get("timestamp", {}), "a time stamp")
        seconds = _number(stamp.get("seconds")) + _number(stamp.get("microseconds")) / 1e6
        data = _object(message.get("data", {}), "an event's data")
        event = Event(str(message["event"]), data, seconds)
        for subscriber in tuple(self._subscribers):
            try:
                subscriber.send_nowait(event)
            except (trio.WouldBlock, trio.BrokenResourceError):
                self._subscribers.discard(subscriber)
                subscriber.close()

    def _close(self, reason: str) -> None:
        self._gone = self._gone or reason
        for call in self._calls.values():
            call.done.set()
        for subscriber in self._subscribers:
            subscriber.close()


async def _negotiate(qmp: Qmp, nursery: trio.Nursery, deadline_seconds: float) -> None:
    try:
        with trio.fail_after(deadline_seconds):
            await qmp.greet()
    except trio.TooSlowError:
        raise QmpTimeout(f"no greeting within {deadline_seconds:g} s") from None
    nursery.start_soon(qmp.read)
    await qmp.execute("qmp_capabilities", deadline_seconds=deadline_seconds)


@asynccontextmanager
async def negotiated(
    stream: trio.abc.Stream, *, deadline_seconds: float = CONNECT_DEADLINE_SECONDS
) -> AsyncIterator[Qmp]:
    """Greet over a connected stream and serve a :class:`Qmp` on it; closes the stream.

    Raises:
        QmpGone: the peer is no QEMU monitor, or left.
        QmpTimeout: it did not greet in time; another client may hold the monitor.
    """
    qmp = Qmp(stream)
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                await _negotiate(qmp, nursery, deadline_seconds)
                yield qmp
            except Exception as error:  # noqa: BLE001 - raised again below, outside of the nursery,
                failure = error  # which would wrap it into a group
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)
    if failure is not None:
        raise failure


@asynccontextmanager
async def open_qmp(
    network: Network, path: Path, *, deadline_seconds: float = CONNECT_DEADLINE_SECONDS
) -> AsyncIterator[Qmp]:
    """Connect to the monitor behind a unix socket.

    Raises:
        QmpGone: nobody listens there.
        QmpTimeout: the monitor did not greet in time.
    """
    try:
        stream = await network.connect_unix(path)
    except OSError as error:
        raise QmpGone(f"{path}: {error.strerror or error}") from None
    async with negotiated(stream, deadline_seconds=deadline_seconds) as qmp:
        yield qmp
