"""Gates open for everybody who waits, however often they were closed meanwhile."""

from __future__ import annotations

import trio
import trio.testing

from gantry.runtime.gate import Gate


async def test_who_waits_passes_though_it_was_closed_again_and_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = Gate()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.passed)
        await trio.testing.wait_all_tasks_blocked()
        gate.close()
        gate.close()
        gate.open()
        gate.close()
    assert not gate.is_open
    with trio.move_on_after(1) as patience:
        await gate.passed()
    assert patience.cancelled_caught


async def test_an_open_gate_lets_pass_at_once() -> None:
    gate = Gate()
    gate.open()
    gate.open()
    assert gate.is_open
    await gate.passed()
