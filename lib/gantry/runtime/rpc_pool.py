"""Calls of a daemon on this node that need no tasks: each connection carries one at a time.

It speaks with what :func:`gantry.runtime.rpc.serve` serves. A connection is made when all others
are in use, and kept for the next call. The greetings wait for nothing: ours travels with the first
call, and a server that does not take it drops the connection before it looks at the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import trio
from attrs import define, field

from gantry.protocols.codec import Malformed, load
from gantry.protocols.errors import ConnectionLost, Unreachable, VersionMismatch
from gantry.protocols.framing import FrameDecoder, FramingError, encode_frame
from gantry.protocols.service import Call, Hello, Method, Service, agree, hello
from gantry.runtime.environment import Network
from gantry.runtime.http.exchange import is_quiet
from gantry.runtime.rpc import CHUNK_BYTES, CONNECTION_ERRORS

IDLE_MAX: Final = 8
"""Connections that are kept; who has more calls at a time makes new ones again."""


@define(eq=False)
class RpcPool:
    """Connections to one daemon; :meth:`aclose` closes them."""

    service: Service[Any]
    network: Network
    path: Path
    _idle: list[_Connection] = field(factory=list, init=False)
    _closed: bool = field(default=False, init=False)

    def call(self, deadline_seconds: float) -> Call:
        """Return the way to the service for :func:`gantry.protocols.service.stub`.

        A call's deadline is this or that of the enclosing cancel scope, whichever is earlier; the
        server is told, and cancels the call when it has passed. A call that is cancelled here
        closes its connection, and so does one that fails otherwise than by an answer.

        A call raises what the method declares, and:

        - :class:`Unreachable`: nobody listens there; nothing was done;
        - :class:`ConnectionLost`: no answer in time, or the daemon went away; what was done is
          unknown;
        - :class:`VersionMismatch`, :class:`Forbidden`, :class:`BadCall`: refused, nothing was done.
        """

        async def call(wire_name: str, method: Method, args: Mapping[str, object]) -> object:
            left = trio.current_effective_deadline() - trio.current_time()
            seconds = max(0.001, min(deadline_seconds, left))
            with trio.move_on_after(seconds):
                return await self._call(wire_name, method, args, seconds)
            text = f"{self.service.name} did not answer within {seconds:g} seconds"
            raise ConnectionLost(text)

        return call

    async def _call(
        self, wire_name: str, method: Method, args: Mapping[str, object], seconds: float
    ) -> object:
        connection = await self._quiet() or await self._connected()
        try:
            answer = await connection.exchange(wire_name, args, seconds)
        except BaseException:
            await trio.aclose_forcefully(connection.stream)
            raise
        if self._closed or len(self._idle) >= IDLE_MAX:
            await trio.aclose_forcefully(connection.stream)
        else:
            self._idle.append(connection)
        if "ok" in answer:
            return answer["ok"]
        raise method.load_error(answer.get("error"))

    async def _quiet(self) -> _Connection | None:
        """Take the connection that was used last, if the daemon has not closed it meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if is_quiet(connection.stream):
                return connection
            await trio.aclose_forcefully(connection.stream)
        return None

    async def _connected(self) -> _Connection:
        if self._closed:
            raise Unreachable(f"the connections to {self.service.name} were closed")
        try:
            stream = await self.network.connect_unix(self.path)
        except OSError as error:
            text = f"{self.service.name} does not answer on {self.path}: {error}"
            raise Unreachable(text) from error
        return _Connection(self.service, stream)

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed after their call."""
        self._closed = True
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop().stream)


@define(eq=False)
class _Connection:
    """One connection; its owner closes the stream."""

    service: Service[Any]
    stream: trio.abc.Stream
    _decoder: FrameDecoder = field(factory=FrameDecoder, init=False)
    _calls: int = field(default=0, init=False)

    async def exchange(
        self, wire_name: str, args: Mapping[str, object], seconds: float
    ) -> Mapping[str, object]:
        """Make a call and return the answer's frame.

        Raises:
            ConnectionLost: there is none.
            VersionMismatch: the daemon speaks no version that we speak.
        """
        self._calls += 1
        frame = {"id": self._calls, "call": wire_name, "args": args, "deadline_seconds": seconds}
        try:
            greeting = encode_frame({"hello": self.service.greeting}) if self._is_new else b""
            await self.stream.send_all(greeting + encode_frame(frame))
            if self._is_new:
                self._check((await self._received()).get("hello"))
            return await self._received()
        except (*CONNECTION_ERRORS, Malformed) as error:
            reason = str(error) or "it broke"
            text = f"{self.service.name} went away during {wire_name}: {reason}"
            raise ConnectionLost(text) from error

    @property
    def _is_new(self) -> bool:
        return self._calls == 1

    def _check(self, greeting: object) -> None:
        if greeting == self.service.greeting:
            return
        ours, theirs = hello(self.service), load(Hello, greeting)
        if agree(ours, theirs) is None:
            range_ = (theirs.lowest, theirs.highest)
            raise VersionMismatch(self.service.name, self.service.versions, range_)

    async def _received(self) -> Mapping[str, object]:
        while (value := self._decoder.next_value()) is None:
            chunk = await self.stream.receive_some(CHUNK_BYTES)
            if not chunk:
                raise FramingError("it closed the connection")
            self._decoder.feed(bytes(chunk))
        if not isinstance(value[0], dict):
            raise FramingError("a frame is not an object")
        return cast("dict[str, object]", value[0])
