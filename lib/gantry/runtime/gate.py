"""A gate: tasks pass while it is open and wait while it is closed."""

from __future__ import annotations

import trio
from attrs import define, field


@define(eq=False)
class Gate:
    """A condition that comes and goes.

    An event that is replaced whenever the condition ends is a trap: who waits for the old one
    never hears of the new one. A gate may be closed as often as one likes.
    """

    _opened: trio.Event = field(factory=trio.Event, init=False)

    @property
    def is_open(self) -> bool:
        """Whether tasks pass."""
        return self._opened.is_set()

    def open(self) -> None:
        """Let everybody through who waits, and whoever comes before the next :meth:`close`."""
        self._opened.set()

    def close(self) -> None:
        """Stop those who come from now on; those who wait go on waiting."""
        if self._opened.is_set():
            self._opened = trio.Event()

    async def passed(self) -> None:
        """Wait until the gate is open; it may be closed again when this returns."""
        await self._opened.wait()


def open_gate() -> Gate:
    """Return a gate that is open."""
    gate = Gate()
    gate.open()
    return gate
