"""Life and sudden death of a simulated process.

``SIGKILL`` is not cancellation: no ``finally`` block runs in a process that was killed. Here
every one does run, since a process is only tasks; so its life ends first. From then on nothing
that its code does has an effect: every port of its Environment raises :class:`Killed`.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field


class Killed(BaseException):
    """The process is dead; its code runs on only to find that out.

    No :class:`Exception`, so that no handler takes it for a failure that can be dealt with.
    """


@define(eq=False)
class Life:
    """Whether a process lives, and what the kernel does for it when it ends."""

    is_over: bool = field(default=False, init=False)
    _closing: dict[int, Callable[[], None]] = field(factory=dict, init=False)
    _count: int = field(default=0, init=False)

    def check(self) -> None:
        """Return if the process lives.

        Raises:
            Killed: it does not.
        """
        if self.is_over:
            raise Killed

    def at_end(self, close: Callable[[], None]) -> Callable[[], None]:
        """Have something closed when the process ends; returns what takes that back."""
        self._count += 1
        number = self._count
        self._closing[number] = close

        def take_back() -> None:
            self._closing.pop(number, None)

        return take_back

    def end(self) -> None:
        """End the process: whatever it has open is closed by the kernel."""
        self.is_over = True
        while self._closing:
            self._closing.popitem()[1]()
