"""Typed services over streams: answers, errors, cancellation, broken peers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from gantry.protocols.errors import BadCall, ConnectionLost, Fault, ServiceError
from gantry.protocols.framing import FrameDecoder, FramingError, encode_frame
from gantry.protocols.service import Service, raises
from gantry.runtime import rpc


@frozen
class Broke(ServiceError):
    what: str


class Kitchen(Protocol):
    """Cooks."""

    async def double(self, number: int) -> int:
        """Return twice the number."""

    @raises(Broke)
    async def drop(self, what: str) -> None:
        """Always fails as declared."""

    async def explode(self) -> None:
        """Always fails by a defect."""

    async def simmer(self) -> str:
        """Wait until told."""


KITCHEN: Final = Service(Kitchen)


class Cook:
    def __init__(self) -> None:
        self.began = trio.Event()
        self.cancelled = trio.Event()
        self.done = trio.Event()

    async def double(self, number: int) -> int:
        return number * 2

    async def drop(self, what: str) -> None:
        raise Broke(what)

    async def explode(self) -> None:
        raise RuntimeError("boom")

    async def simmer(self) -> str:
        self.began.set()
        try:
            await self.done.wait()
        except trio.Cancelled:
            self.cancelled.set()
            raise
        return "soup"


@asynccontextmanager
async def kitchen() -> AsyncIterator[tuple[Kitchen, Cook, trio.abc.Stream]]:
    ours, theirs = trio.testing.memory_stream_pair()
    cook = Cook()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rpc.serve_connection, KITCHEN, cook, theirs)
        async with rpc.client(KITCHEN, ours) as remote:
            yield remote, cook, theirs
        nursery.cancel_scope.cancel()


async def test_answers_and_declared_errors() -> None:
    async with kitchen() as (remote, _, _):
        assert await remote.double(21) == 42
        with pytest.raises(Broke) as caught:
            await remote.drop("a plate")
        assert caught.value.what == "a plate"


async def test_a_defect_is_a_fault_and_the_connection_lives() -> None:
    async with kitchen() as (remote, _, _):
        with pytest.raises(Fault, match="boom"):
            await remote.explode()
        assert await remote.double(1) == 2


async def test_wrong_arguments_are_refused_by_the_server() -> None:
    async with kitchen() as (remote, _, _):
        with pytest.raises(BadCall, match="expected int"):
            await remote.double("3")  # type: ignore[arg-type] # the point of the test


async def test_a_slow_call_does_not_hold_others() -> None:
    async with kitchen() as (remote, cook, _), trio.open_nursery() as nursery:
        answers: list[str] = []

        async def slow() -> None:
            answers.append(await remote.simmer())

        nursery.start_soon(slow)
        await cook.began.wait()
        assert await remote.double(2) == 4
        assert answers == []
        cook.done.set()
    assert answers == ["soup"]


async def test_cancelling_a_call_cancels_it_at_the_server_only() -> None:
    async with kitchen() as (remote, cook, _), trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def slow() -> None:
            with scope:
                await remote.simmer()

        nursery.start_soon(slow)
        await cook.began.wait()
        scope.cancel()
        await cook.cancelled.wait()
        assert await remote.double(5) == 10


async def test_a_lost_connection_cancels_its_calls_and_fails_the_next() -> None:
    async with kitchen() as (remote, cook, theirs), trio.open_nursery() as nursery:

        async def slow() -> None:
            with pytest.raises(ConnectionLost):
                await remote.simmer()

        nursery.start_soon(slow)
        await cook.began.wait()
        await trio.aclose_forcefully(theirs)
        with pytest.raises(ConnectionLost):
            await remote.double(1)


async def test_the_server_survives_garbage() -> None:
    for garbage in (b"\x03", b"{}\x03", b"[1]\x03", b'{"hello": 3}\x03', b"\xff" * 100 + b"\x03"):
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rpc.serve_connection, KITCHEN, Cook(), theirs)
            await ours.send_all(garbage)
            while await ours.receive_some():
                pass  # the hello, then the end
            await ours.aclose()


async def test_another_protocol_is_refused() -> None:
    other: Service[Kitchen] = Service(Kitchen, versions=(2, 3))
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rpc.serve_connection, other, Cook(), theirs)
        async with rpc.client(KITCHEN, ours) as remote:
            with pytest.raises(ConnectionLost, match="1-1 met Kitchen 2-3"):
                await remote.double(1)


async def test_what_comes_with_another_hello_is_not_carried_out() -> None:
    newer: Service[Kitchen] = Service(Kitchen, versions=(2, 3))
    ours, theirs = trio.testing.memory_stream_pair()
    cook = Cook()
    call = {"id": 1, "call": "simmer", "args": {}}
    await ours.send_all(encode_frame({"hello": newer.greeting}) + encode_frame(call))
    await rpc.serve_connection(KITCHEN, cook, theirs)
    assert not cook.began.is_set()


async def test_a_server_that_says_nothing_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, _theirs = trio.testing.memory_stream_pair()
    async with rpc.client(KITCHEN, ours) as remote:
        with pytest.raises(ConnectionLost, match="did not greet"):
            await remote.double(1)


async def test_what_a_socket_does_not_take_at_once_follows_in_order() -> None:
    ours, theirs = (trio.SocketStream(each) for each in trio.socket.socketpair())
    broke: list[str] = []
    async with trio.open_nursery() as serving:
        serving.start_soon(rpc.serve_connection, KITCHEN, Cook(), theirs)
        async with rpc.client(KITCHEN, ours) as remote:

            async def drop(what: str) -> None:
                with pytest.raises(Broke) as caught:
                    await remote.drop(what)
                broke.append(caught.value.what)

            wanted = [str(number) * 50_000 for number in range(40)]
            for _ in range(3):  # in between all is written at once again
                broke.clear()
                async with trio.open_nursery() as nursery:
                    for what in wanted:
                        nursery.start_soon(drop, what)
                assert sorted(broke) == sorted(wanted)
                assert await remote.double(2) == 4


async def test_a_socket_whose_peer_is_gone() -> None:
    ours, theirs = (trio.SocketStream(each) for each in trio.socket.socketpair())
    await theirs.aclose()
    async with rpc.client(KITCHEN, ours) as remote:
        with pytest.raises(ConnectionLost, match=r"gone|did not greet"):
            await remote.double(1)


def test_an_oversized_frame_is_refused_before_it_is_whole() -> None:
    decoder = FrameDecoder(bytes_max=10)
    decoder.feed(b"x" * 11)
    with pytest.raises(FramingError, match="larger than 10"):
        decoder.next_frame()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(JSON), st.lists(st.integers(1, 7)))
def test_any_json_survives_any_chopping(values: list[object], cuts: list[int]) -> None:
    stream = b"".join(map(encode_frame, values))
    decoder, received = FrameDecoder(), []
    sizes = iter(cuts)
    while stream:
        size = next(sizes, 50)
        decoder.feed(stream[:size])
        stream = stream[size:]
        while (value := decoder.next_value()) is not None:
            received.append(value[0])
    decoder.end()
    assert received == values
