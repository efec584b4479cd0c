"""A LUXI client for daemons: typed calls over a few connections, across LuxiD's restarts.

LUXI has one request at a time on each connection, so there is a connection for each call in
flight. A request whose connection breaks is sent again: LuxiD knows a repeated submission by the
time stamps in its opcodes' reason trails, and all other calls may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, cast

import trio
from attrs import define, field

from gantry.protocols.codec import Malformed
from gantry.protocols.errors import (
    GANETI_ERRORS,
    ConnectionLost,
    GanetiError,
    GantryError,
    Unreachable,
)
from gantry.protocols.framing import FrameDecoder, FramingError, encode_frame
from gantry.protocols.luxi import LUXI, Luxi
from gantry.protocols.service import Method, stub
from gantry.runtime.environment import Network
from gantry.runtime.logs import Log

LOG: Final = Log("luxi-client")

VERSION: Final = 3_000_000
"""The dialect of the opcodes that we send."""

CONNECTIONS_MAX: Final = 64
"""More calls wait: each one in flight is a task of LuxiD's."""

ANSWER_SECONDS_MAX: Final = 180.0
"""Ganeti's bound for one answer; the longest wait for a job is half of it."""

PATIENCE_SECONDS: Final = 10.0
"""So long a LuxiD that is not there is waited for: a restart takes less."""

RETRY_SECONDS_FIRST: Final = 0.05
RETRY_SECONDS_MAX: Final = 1.0

CHUNK_BYTES: Final = 65536

_BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class LuxiRefused(GantryError):
    """LuxiD could not make sense of a request, or answered with an error of no known class."""


class LuxiMisuse(GantryError):
    """What came back is no LUXI, or no answer to what was asked."""


class _Broke(Exception):
    """A connection ended before the answer was complete."""


@define(eq=False)
class LuxiClient:
    """Calls LuxiD through :attr:`luxi`; use as a context manager, or call :meth:`aclose`.

    Calls raise

    - a :class:`GanetiError`: LuxiD did what was asked, and it failed;
    - :class:`LuxiRefused`, :class:`LuxiMisuse`: the two do not understand each other;
    - :class:`Unreachable`: LuxiD was not there, and did not come in time;
    - :class:`ConnectionLost`: it went before its answer, time and again;
    - :class:`PermissionError`: this user may not talk to it;
    - :class:`trio.TooSlowError`: it did not answer in time; what was asked may still be done.
    """

    network: Network
    path: Path
    """Where LuxiD's socket is."""
    answer_seconds: float = ANSWER_SECONDS_MAX
    patience_seconds: float = PATIENCE_SECONDS
    luxi: Luxi = field(init=False)
    _idle: list[trio.abc.Stream] = field(factory=list, init=False)
    _room: trio.Semaphore = field(factory=lambda: trio.Semaphore(CONNECTIONS_MAX), init=False)
    _closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.luxi = stub(LUXI, self._call)

    async def _call(self, wire_name: str, method: Method, args: Mapping[str, object]) -> object:
        sent = [args[name] for name in method.params]
        frame = encode_frame({"method": wire_name, "args": sent, "version": VERSION})
        async with self._room:
            with trio.fail_after(self.answer_seconds):
                return _result(await self._exchanged(frame))

    async def _exchanged(self, frame: bytes) -> object:
        """Send a request until it is answered."""
        began, delay = trio.current_time(), RETRY_SECONDS_FIRST
        while True:
            kept = bool(self._idle)
            try:
                stream = self._idle.pop() if kept else await self._connected()
                return await self._carried(stream, frame)
            except PermissionError:
                raise
            except (*_BROKEN, _Broke) as error:
                if trio.current_time() - began >= self.patience_seconds:
                    raise _given_up(error) from error
                reason = str(error)
            if not kept:  # an idle connection that was closed says nothing about now
                LOG.debug("LuxiD is not there", reason=reason)
                await trio.sleep(delay)
                delay = min(2 * delay, RETRY_SECONDS_MAX)

    async def _connected(self) -> trio.abc.Stream:
        if self._closed:
            raise ConnectionLost("the LUXI client was closed")
        return await self.network.connect_unix(self.path)

    async def _carried(self, stream: trio.abc.Stream, frame: bytes) -> object:
        try:
            await stream.send_all(frame)
            answer, is_clean = await _answer(stream)
        except BaseException:
            await trio.aclose_forcefully(stream)  # half an answer may be left in it
            raise
        if is_clean and not self._closed:
            self._idle.append(stream)
        else:
            await trio.aclose_forcefully(stream)
        return answer

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed after their answer."""
        self._closed = True
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop())

    async def __aenter__(self) -> LuxiClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _given_up(error: Exception) -> ConnectionLost:
    if isinstance(error, OSError):
        return Unreachable(f"LuxiD does not answer: {error}; is gantry-luxid running?")
    return ConnectionLost(f"the connection to LuxiD broke: {error}")


async def _answer(stream: trio.abc.Stream) -> tuple[object, bool]:
    """Read an answer; say also whether the connection can carry another request.

    After a request that it could not read LuxiD closes the connection.
    """
    decoder = FrameDecoder()
    try:
        while (value := decoder.next_value()) is None:
            chunk = await stream.receive_some(CHUNK_BYTES)
            if not chunk:
                raise _Broke("it hung up before it answered")
            decoder.feed(bytes(chunk))
        decoder.end()
    except (FramingError, Malformed) as error:
        raise LuxiMisuse(f"LuxiD's answer is no LUXI: {error}") from error
    (answer,) = value
    match answer:
        case {"success": False, "result": str()}:
            return answer, False
        case _:
            return answer, True


def _result(answer: object) -> object:
    match answer:
        case {"version": int(version)} if version != VERSION:
            raise LuxiMisuse(f"LuxiD's answer has version {version}, this is {VERSION}")
        case {"success": True, "result": result}:
            return result
        case {"success": False, "result": result}:
            raise error_of(result)
        case _:
            raise LuxiMisuse("LuxiD's answer has no success or no result")


def error_of(result: object) -> GanetiError | LuxiRefused:
    """Turn the result of a call that failed into the exception that it stands for."""
    match result:
        case str(text):
            return LuxiRefused(text)
        case [str(name), list(args)] if name in GANETI_ERRORS:
            error = GANETI_ERRORS[name].__new__(GANETI_ERRORS[name])
            error.args = tuple(cast("list[object]", args))  # whatever arguments it came with
            return error
        case [str(name), list(args)]:
            return LuxiRefused(f"{name}: {', '.join(map(str, args))}")
        case _:
            return LuxiRefused(f"{result!r:.200}")
