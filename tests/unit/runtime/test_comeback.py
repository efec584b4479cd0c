"""A daemon that comes back is noticed by its socket, and not only when a delay is over."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from gantry.runtime.comeback import RETRY_SECONDS_MAX, Comeback
from gantry.runtime.testing.files import MemoryFiles

SOCKET = Path("/run/gantry/daemon")


async def test_tries_come_later_and_later(autojump_clock: trio.testing.MockClock) -> None:
    files, waited = MemoryFiles(), list[float]()
    async with Comeback.of(files, SOCKET) as comeback:
        for _ in range(9):
            began = trio.current_time()
            await comeback.wait()
            waited.append(round(trio.current_time() - began, 6))
        assert waited == sorted(waited)
        assert waited[-1] == RETRY_SECONDS_MAX
        comeback.connected()
        began = trio.current_time()
        await comeback.wait()
        assert round(trio.current_time() - began, 6) == waited[0]


async def test_a_socket_that_appears_is_tried_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    files = MemoryFiles()
    await files.make_folder(SOCKET.parent)
    async with Comeback.of(files, SOCKET) as comeback:
        for _ in range(9):
            await comeback.wait()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(comeback.wait)
            await trio.testing.wait_all_tasks_blocked()
            await files.write(SOCKET, b"")
        assert trio.current_time() == began
        await files.write(SOCKET, b"")  # also one that appears while nobody waits
        await comeback.wait()
        assert trio.current_time() == began
