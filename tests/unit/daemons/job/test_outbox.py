"""Events are told together where that costs nobody anything, and never late for long."""

from __future__ import annotations

import trio

from gantry.daemons.job.outbox import LINGER_SECONDS, Outbox
from gantry.protocols.jobproc import BlockedBy, Ended, EventNumber, Numbered

FIRST = EventNumber(1)


async def test_an_event_that_lingers_is_told_with_the_next(autojump_clock: object) -> None:
    outbox, said = Outbox(), list[tuple[Numbered, ...]]()

    async def listen() -> None:
        said.append(await outbox.after(EventNumber(0)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        outbox.put(BlockedBy(()), lingers=True)
        await trio.sleep(LINGER_SECONDS / 2)
        assert said == []
        outbox.put(Ended())
    assert [each.event for each in said[0]] == [BlockedBy(()), Ended()]


async def test_an_event_lingers_for_a_bounded_time(autojump_clock: object) -> None:
    outbox = Outbox()
    outbox.put(BlockedBy(()), lingers=True)
    began = trio.current_time()
    assert await outbox.after(EventNumber(0)) == (Numbered(FIRST, BlockedBy(())),)
    assert trio.current_time() - began == LINGER_SECONDS


async def test_any_other_event_is_told_at_once(autojump_clock: object) -> None:
    outbox = Outbox()
    outbox.put(Ended())
    began = trio.current_time()
    assert await outbox.after(EventNumber(0)) == (Numbered(FIRST, Ended()),)
    assert trio.current_time() == began


async def test_what_is_durable_is_not_told_again(autojump_clock: object) -> None:
    outbox = Outbox()
    outbox.put(BlockedBy(()))
    outbox.commit(FIRST)
    with trio.move_on_after(1.0) as waited:  # asked by a LuxiD that does not know it yet
        await outbox.after(EventNumber(0))
    assert waited.cancelled_caught
    outbox.put(Ended())
    assert await outbox.after(EventNumber(0)) == (Numbered(EventNumber(2), Ended()),)
