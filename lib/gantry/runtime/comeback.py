"""Waiting for a daemon of this node to come back: its socket appears when it listens again.

That is heard of at once; what is not heard of, such as a socket that is there and refuses, is
tried later and later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from attrs import define, field

from gantry.runtime.environment import FileChanges, Files

RETRY_SECONDS_FIRST: Final = 0.02
RETRY_SECONDS_MAX: Final = 1.0


@define
class Comeback:
    """Says when to try again to connect. Made by :meth:`of`."""

    _changes: FileChanges
    _delay: float = field(default=RETRY_SECONDS_FIRST, init=False)

    @classmethod
    @asynccontextmanager
    async def of(cls, files: Files, socket: Path) -> AsyncIterator[Comeback]:
        """Watch a socket's path, to be done before the first attempt to connect."""
        async with files.watch(socket) as changes:
            yield cls(changes)

    def connected(self) -> None:
        """Begin with the shortest delay the next time."""
        self._delay = RETRY_SECONDS_FIRST

    async def wait(self) -> None:
        """Wait until the socket has appeared, or for the delay."""
        with trio.move_on_after(self._delay) as waiting:
            await self._changes.wait()
        heard = not waiting.cancelled_caught
        # One that appeared a moment ago may not listen yet.
        self._delay = RETRY_SECONDS_FIRST if heard else min(2 * self._delay, RETRY_SECONDS_MAX)
