"""A stop: an event that breaks off what is being done, without a task that waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from attrs import define, field


@define(eq=False)
class Stop:
    """Set once, for ever."""

    _event: trio.Event = field(factory=trio.Event, init=False)
    _then: list[Callable[[], object]] = field(factory=list, init=False)

    def set(self) -> None:
        """Break off whatever runs within :meth:`ends`, now and from now on."""
        if not self._event.is_set():
            self._event.set()
            for work in self._then:
                work()

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._event.wait()

    @contextmanager
    def ends(self) -> Iterator[trio.CancelScope]:
        """Run the body until it is set; the scope says whether that broke it off."""
        with trio.CancelScope() as scope, self.does(scope.cancel):
            yield scope

    @contextmanager
    def does(self, work: Callable[[], object]) -> Iterator[None]:
        """Run the body, and call ``work`` if it is set or was set before."""
        if self._event.is_set():
            work()
        self._then.append(work)
        try:
            yield
        finally:
            self._then.remove(work)
