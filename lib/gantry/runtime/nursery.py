"""Nurseries: their lone exceptions come out as they are, and an event may end them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


def only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Unwrap what nurseries wrapped, where one exception is all there is."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner


@asynccontextmanager
async def open_plain_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery for code whose callers expect plain exceptions.

    What goes wrong in the body or in one task comes out unwrapped; several failures at once
    still come out as a group.
    """
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        raise only(group) from None


async def cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    """Cancel a scope as soon as an event is set; a task of the nursery that is to end then."""
    await event.wait()
    scope.cancel()
