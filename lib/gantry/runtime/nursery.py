"""Nurseries whose lone exceptions come out as they are."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType

import trio
from typing_extensions import override


def only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Unwrap what nurseries wrapped, where one exception is all there is."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner


class _PlainNursery(AbstractAsyncContextManager[trio.Nursery]):
    """See :func:`open_plain_nursery`; no generator, since jobs pay for each."""

    __slots__ = ("_manager",)

    def __init__(self) -> None:
        self._manager = trio.open_nursery()

    @override
    async def __aenter__(self) -> trio.Nursery:
        return await self._manager.__aenter__()

    @override
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            return await self._manager.__aexit__(kind, raised, traceback)
        except BaseExceptionGroup as group:
            raise only(group) from None


def open_plain_nursery() -> AbstractAsyncContextManager[trio.Nursery]:
    """Open a nursery for code whose callers expect plain exceptions.

    What goes wrong in the body or in one task comes out unwrapped; several failures at once
    still come out as a group.
    """
    return _PlainNursery()
