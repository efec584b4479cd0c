"""What is to end when a stop is set ends, whenever that is."""

from __future__ import annotations

import trio
import trio.testing

from gantry.runtime.stop import Stop


async def test_it_breaks_off_what_is_under_way_and_what_comes_later() -> None:
    stop, broken = Stop(), list[bool]()

    async def work() -> None:
        with stop.ends() as scope:
            await trio.sleep_forever()
        broken.append(scope.cancelled_caught)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(work)
        await trio.testing.wait_all_tasks_blocked()
        assert not stop.is_set()
        stop.set()
        await stop.wait()
    await work()
    assert broken == [True, True, True]


async def test_what_has_ended_before_is_left_alone() -> None:
    stop = Stop()
    with stop.ends() as scope:
        await trio.lowlevel.checkpoint()
    stop.set()
    assert not scope.cancel_called


def test_what_is_to_be_done_is_done_once() -> None:
    stop, done = Stop(), list[str]()
    with stop.does(lambda: done.append("at once")):
        stop.set()
        stop.set()
    with stop.does(lambda: done.append("after")):
        pass
    assert done == ["at once", "after"]
