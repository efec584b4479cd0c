"""The QMP client against a scripted monitor on a memory stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gantry.drivers.hypervisor import qmp as qmp_module
from gantry.drivers.hypervisor.qmp import Qmp, QmpGone, QmpRefused, QmpTimeout, negotiated

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 9}}, "capabilities": []}}


class Monitor:
    """The other end of the stream: what a test says, QEMU says."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream, self._buffer = stream, b""

    async def send(self, *messages: object) -> None:
        await self.stream.send_all(b"".join(json.dumps(m).encode() + b"\r\n" for m in messages))

    async def receive(self) -> dict[str, object]:
        while b"\n" not in self._buffer:
            self._buffer += await self.stream.receive_some(65536)
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        assert isinstance(message, dict)
        return message

    async def answer(self, value: object = None) -> dict[str, object]:
        message = await self.receive()
        await self.send({"return": value if value is not None else {}, "id": message["id"]})
        return message


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Qmp, Monitor]]:
    ours, theirs = trio.testing.memory_stream_pair()
    monitor = Monitor(theirs)
    async with trio.open_nursery() as nursery:

        async def negotiate() -> None:
            await monitor.send(GREETING)
            assert (await monitor.answer())["execute"] == "qmp_capabilities"

        nursery.start_soon(negotiate)
        async with negotiated(ours) as qmp:
            yield qmp, monitor


async def test_the_greeting_tells_the_version() -> None:
    async with connected() as (qmp, _):
        assert qmp.version == (7, 2, 9)


async def test_replies_find_their_callers_in_any_order() -> None:
    results: dict[str, object] = {}

    async def ask(qmp: Qmp, name: str) -> None:
        results[name] = await qmp.execute(name)

    async with connected() as (qmp, monitor), trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(ask, qmp, name)
        asked = [await monitor.receive() for _ in range(3)]
        await monitor.send(
            *({"return": f"for {m['execute']}", "id": m["id"]} for m in reversed(asked))
        )
    assert results == {"a": "for a", "b": "for b", "c": "for c"}


async def test_arguments_travel_and_refusals_come_back() -> None:
    async with connected() as (qmp, monitor), trio.open_nursery() as nursery:
        seen: list[dict[str, object]] = []

        async def refuse() -> None:
            seen.append(await monitor.receive())
            error = {"class": "GenericError", "desc": "no such thing"}
            await monitor.send({"error": error, "id": seen[0]["id"]})

        nursery.start_soon(refuse)
        with pytest.raises(QmpRefused, match="device_del: no such thing") as caught:
            await qmp.execute("device_del", {"id": "x"})
    assert seen[0]["arguments"] == {"id": "x"}
    assert caught.value.error_class == "GenericError"


async def test_events_go_to_every_subscriber() -> None:
    event = {
        "event": "SHUTDOWN",
        "data": {"guest": True},
        "timestamp": {"seconds": 5, "microseconds": 250000},
    }
    async with (
        connected() as (qmp, monitor),
        qmp.events() as one,
        qmp.events() as two,
    ):
        await monitor.send(event)
        for channel in (one, two):
            got = await channel.receive()
            assert (got.name, got.data, got.seconds) == ("SHUTDOWN", {"guest": True}, 5.25)


async def test_a_subscriber_that_does_not_keep_up_loses_its_subscription(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(qmp_module, "EVENTS_WAITING_MAX", 2)
    async with connected() as (qmp, monitor), qmp.events() as slow:
        await monitor.send(*({"event": f"E{n}"} for n in range(4)))
        await trio.testing.wait_all_tasks_blocked()
        assert [event.name async for event in slow] == ["E0", "E1"]


async def test_no_answer_in_time(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as (qmp, monitor):
        with pytest.raises(QmpTimeout, match="query-status"):
            await qmp.execute("query-status", deadline_seconds=5)
        assert trio.current_time() == pytest.approx(5)
        stale = await monitor.receive()
        await monitor.send({"return": "too late", "id": stale["id"]})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(monitor.answer, "in time")
            assert await qmp.execute("query-status") == "in time"


async def test_a_cancelled_call_leaves_the_connection_usable() -> None:
    async with connected() as (qmp, monitor), trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_asked, monitor, scope)
            await qmp.execute("slow")
        assert scope.cancelled_caught
        nursery.start_soon(monitor.answer, 7)
        assert await qmp.execute("quick") == 7


async def _cancel_when_asked(monitor: Monitor, scope: trio.CancelScope) -> None:
    message = await monitor.receive()
    scope.cancel()
    await monitor.send({"return": "unwanted", "id": message["id"]})


async def test_qemu_going_away_ends_calls_and_subscriptions() -> None:
    async with connected() as (qmp, monitor), qmp.events() as events:
        async with trio.open_nursery() as nursery:

            async def leave() -> None:
                await monitor.receive()
                await monitor.stream.aclose()

            nursery.start_soon(leave)
            with pytest.raises(QmpGone, match="quit: QEMU closed the connection"):
                await qmp.execute("quit")
        assert [event async for event in events] == []
        with pytest.raises(QmpGone):
            await qmp.execute("query-status")


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH\r\n", b'{"hello": 1}\n', b"[]\n", b""])
async def test_a_peer_that_is_no_monitor(greeting: bytes) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    if greeting:
        await theirs.send_all(greeting)
    await theirs.aclose()
    with pytest.raises(QmpGone):
        async with negotiated(ours):
            pytest.fail("it must not get this far")


async def test_a_silent_peer(autojump_clock: trio.testing.MockClock) -> None:
    ours, _theirs = trio.testing.memory_stream_pair()
    with pytest.raises(QmpTimeout, match="no greeting within 3 s"):
        async with negotiated(ours, deadline_seconds=3):
            pytest.fail("it must not get this far")


async def test_a_line_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp_module, "LINE_BYTES_MAX", 1000)
    async with connected() as (qmp, monitor), trio.open_nursery() as nursery:
        nursery.start_soon(monitor.stream.send_all, b"x" * 5000)
        with pytest.raises(QmpGone, match="longer than 1000 bytes"):
            await qmp.execute("query-status")


async def test_what_goes_wrong_in_the_body_comes_out_as_it_is() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    monitor = Monitor(theirs)
    async with trio.open_nursery() as nursery:

        async def negotiate() -> None:
            await monitor.send(GREETING)
            await monitor.answer()

        nursery.start_soon(negotiate)
        with pytest.raises(KeyError, match="mine"):
            async with negotiated(ours):
                raise KeyError("mine")


@given(cuts=st.lists(st.integers(min_value=1, max_value=40), max_size=12))
def test_any_chopping_of_the_stream_gives_the_same_messages(cuts: list[int]) -> None:
    sent = b"".join(json.dumps({"return": n, "id": n + 2}).encode() + b"\r\n" for n in range(4))

    async def main() -> None:
        async with connected() as (qmp, monitor), trio.open_nursery() as nursery:
            got: list[object] = []

            async def ask() -> None:
                got.append(await qmp.execute("x"))

            for _ in range(4):
                nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
            rest = sent
            for cut in cuts:
                await monitor.stream.send_all(rest[:cut])
                rest = rest[cut:]
                await trio.testing.wait_all_tasks_blocked()
            await monitor.stream.send_all(rest or b"\n")
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(got, key=str) == [0, 1, 2, 3]

    trio.run(main)
