"""One who waits for a moment is woken then, or earlier, or ends with the scope around it."""

from __future__ import annotations

import trio

from gantry.runtime.testing.alarms import Alarm


async def woken_at(alarm: Alarm, moment: float) -> float:
    """Return when it was."""
    await alarm.wait(moment)
    return trio.current_time()


async def test_the_moment_comes(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    assert await woken_at(Alarm(), began + 5.0) == began + 5.0


async def test_it_comes_earlier(autojump_clock: trio.testing.MockClock) -> None:
    began, alarm = trio.current_time(), Alarm()

    async def hurry() -> None:
        await trio.sleep(1.0)
        alarm.bring_forward(began + 9.0)
        alarm.bring_forward(began + 3.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hurry)
        assert await woken_at(alarm, began + 5.0) == began + 3.0


async def test_it_is_woken_and_can_wait_again(autojump_clock: trio.testing.MockClock) -> None:
    began, alarm = trio.current_time(), Alarm()
    alarm.wake()  # nobody waits

    async def wake() -> None:
        await trio.sleep(1.0)
        alarm.wake()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wake)
        assert await woken_at(alarm, float("inf")) == began + 1.0
    assert await woken_at(alarm, began + 2.0) == began + 2.0


async def test_a_scope_ends_it(autojump_clock: trio.testing.MockClock) -> None:
    began, alarm = trio.current_time(), Alarm()
    with trio.move_on_after(1.0) as scope:
        await alarm.wait(began + 5.0)
    assert scope.cancelled_caught
    assert await woken_at(alarm, began + 7.0) == began + 7.0
