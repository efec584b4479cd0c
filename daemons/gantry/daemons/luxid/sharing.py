"""Long work of one client, done so that the others do not notice."""

from __future__ import annotations

from typing import TypeVar

import trio

from gantry.core.query.slices import Slices

T = TypeVar("T")


async def in_slices(work: Slices[T]) -> T:
    """Do a piece of work; whoever else is ready gets a turn after each slice."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        await trio.lowlevel.checkpoint()
