"""The latest deltas, kept for subscribers that were away for a moment."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final

import trio
from attrs import define, field

from gantry.protocols.records import Index
from gantry.protocols.wconfd import Delta

KEPT_MIN: Final = 1000
OBJECTS_FOR_EACH_KEPT: Final = 8
"""Of a large configuration more deltas are kept: whoever missed more of them gets a snapshot, and
that should be about as cheap then."""

ANSWER_MAX: Final = 200
"""Deltas in one answer; the subscriber asks at once for the rest."""


@define
class DeltaBuffer:
    """Committed deltas without gaps, up to the newest one."""

    newest: Index
    """The index of the last delta, or of the state that this began with."""
    _kept: deque[Delta]
    _news: trio.Event = field(factory=trio.Event, init=False)

    @classmethod
    def of(cls, newest: Index, objects: int) -> DeltaBuffer:
        """Begin after a record, beside a configuration of so many objects."""
        return cls(newest, deque(maxlen=max(KEPT_MIN, objects // OBJECTS_FOR_EACH_KEPT)))

    def add(self, delta: Delta) -> None:
        """Add the next delta and wake everybody who waits for it."""
        self._kept.append(delta)
        self.newest = delta.index
        self._news.set()
        self._news = trio.Event()

    def take_over(self, later: DeltaBuffer) -> None:
        """Add what another buffer of the same length has, which begins at this one's end."""
        for delta in later._kept:
            self.add(delta)

    async def after(self, since: Index) -> tuple[Delta, ...] | None:
        """Wait for deltas later than ``since``; ``None`` if they are not (all) there any more."""
        while since == self.newest:
            await self._news.wait()
        oldest = self._kept[0].index if self._kept else self.newest + 1
        if since > self.newest or since + 1 < oldest:
            return None
        first = since + 1 - oldest
        return tuple(islice(self._kept, first, first + ANSWER_MAX))
