"""A LuxiD that speaks real LUXI over streams in memory and answers what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import trio
import trio.testing
from attrs import define, field
from typing_extensions import override

from gantry.protocols.framing import FrameDecoder, encode_frame
from gantry.runtime.network import RealNetwork

Answer = object | Callable[..., object]


class Failure(Exception):
    """The call fails; ``args[0]`` is the error's wire form. A text costs the connection."""


class HangUp(Exception):
    """No answer: the connection is closed."""


@define(eq=False)
class CannedLuxid:
    """Answers a method with a value, or with what a function of its arguments returns."""

    nursery: trio.Nursery
    answers: Mapping[str, Answer]
    requests: list[tuple[str, list[object]]] = field(factory=list)
    connections: int = 0
    streams: list[trio.abc.Stream] = field(factory=list)

    def calls(self, method: str) -> list[list[object]]:
        return [args for name, args in self.requests if name == method]

    def connect(self) -> trio.abc.Stream:
        self.connections += 1
        theirs, ours = trio.testing.memory_stream_pair()
        self.streams.append(ours)
        self.nursery.start_soon(self._serve, ours)
        return theirs

    async def _serve(self, stream: trio.abc.Stream) -> None:
        decoder = FrameDecoder()
        try:
            async for chunk in stream:
                decoder.feed(bytes(chunk))
                while (value := decoder.next_value()) is not None:
                    await stream.send_all(await self._reply(value[0]))
        except (HangUp, trio.ClosedResourceError, trio.BrokenResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _reply(self, request: object) -> bytes:
        assert isinstance(request, dict)
        method, args = request["method"], request["args"]
        self.requests.append((method, args))
        try:
            answer = self.answers[method]
            result = answer(*args) if callable(answer) else answer
        except Failure as failure:
            return encode_frame({"success": False, "result": failure.args[0]})
        return encode_frame({"success": True, "result": result})


class CannedNetwork(RealNetwork):
    """A network on which nothing but LuxiD's socket is made up; without one nobody listens."""

    def __init__(self, luxid: CannedLuxid | None = None) -> None:
        super().__init__(Path("/nonexistent"), "localhost")
        self.__dict__["luxid"] = luxid

    @override
    async def connect_unix(self, path: Path) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        luxid = self.__dict__["luxid"]
        if luxid is None:
            raise FileNotFoundError(2, "no such file", str(path))
        assert isinstance(luxid, CannedLuxid)
        return luxid.connect()

    def install(self, luxid: CannedLuxid | None) -> None:
        self.__dict__["luxid"] = luxid
