"""Whoever holds the event loop is named; whoever only waits is not."""

from __future__ import annotations

import logging
import time

import pytest
import trio
from typing_extensions import override

from gantry.runtime.stall import STALL_SECONDS, StallWatch


class Time:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


def test_the_task_that_held_the_loop_is_named(
    clock: Time, caplog: pytest.LogCaptureFixture
) -> None:
    async def busy() -> None:
        await trio.lowlevel.checkpoint()
        clock.now += STALL_SECONDS * 2

    async def idle() -> None:
        await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for task in (idle, busy, idle):
                nursery.start_soon(task)

    with caplog.at_level(logging.WARNING):
        trio.run(main, instruments=[StallWatch()])
    [record] = caplog.records
    assert getattr(record, "fields")["task"].endswith("busy")  # noqa: B009 - it is an extra


def test_time_that_passes_while_all_wait_is_nobodys(
    clock: Time, caplog: pytest.LogCaptureFixture
) -> None:
    class Sleepy(trio.abc.Instrument):
        @override
        def before_io_wait(self, timeout: float) -> None:
            clock.now += STALL_SECONDS * 2

    async def main() -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()

    with caplog.at_level(logging.WARNING):
        trio.run(main, instruments=[Sleepy(), StallWatch()])
    assert caplog.records == []
