"""Long work of one client, done so that the others do not notice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TypeVar

import trio

from gantry.core.query.plan import Form
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


async def one_by_one(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield what takes no waiting where waiting would be possible."""
    for piece in pieces:
        yield piece


async def framed(form: Form, rows: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Put around rendered rows what stands around them; small answers stay in one piece."""
    held, separator = form.head, b""
    async with aclosing(rows):
        async for piece in rows:
            if separator:
                yield held
                held = b""
            held, separator = held + separator + piece, b","
    yield held + form.tail
