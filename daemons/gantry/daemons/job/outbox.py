"""What a job process tells LuxiD: numbered events, kept until they are committed."""

from __future__ import annotations

from typing import Final

import trio
from attrs import define, field

from gantry.protocols.jobproc import Event, EventNumber, Numbered

LINGER_SECONDS: Final = 0.025
"""How long an event that is soon followed by another waits for it, so that LuxiD makes both
durable at once. Nobody notices; a job that is told in pieces costs LuxiD twice as much."""


@define
class Outbox:
    """The events of one attempt, in order. Nothing is ever dropped before it is committed."""

    _events: list[Numbered] = field(factory=list, init=False)
    _last: int = field(default=0, init=False)
    _urgent: int = field(default=0, init=False)
    """The last event that does not linger."""
    _committed: int = field(default=0, init=False)
    _changed: trio.Event = field(factory=trio.Event, init=False)

    def put(self, event: Event, *, lingers: bool = False) -> EventNumber:
        """Add an event and return its number; one that ``lingers`` may wait for the next."""
        self._last += 1
        if not lingers:
            self._urgent = self._last
        number = EventNumber(self._last)
        self._events.append(Numbered(number, event))
        self._wake()
        return number

    async def after(self, number: EventNumber) -> tuple[Numbered, ...]:
        """Wait for events later than ``number`` and return those that are not committed yet.

        A LuxiD that has just started may ask for less than an earlier one has made durable.
        """
        while self._last <= max(number, self._committed):
            await self._changed.wait()
        with trio.move_on_after(LINGER_SECONDS):
            while self._urgent <= max(number, self._committed):
                await self._changed.wait()
        return tuple(each for each in self._events if each.number > number)

    def commit(self, through: EventNumber) -> None:
        """Note that all events up to this number are durable at LuxiD."""
        self._committed = max(self._committed, through)
        self._events = [each for each in self._events if each.number > self._committed]
        self._wake()

    async def until_committed(self, number: EventNumber) -> None:
        """Wait until an event is durable at LuxiD, however long LuxiD is away."""
        while self._committed < number:
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
