"""What all commands have in common that act on this machine themselves.

Each of them is a function that takes the parsed options by name, prints what a person needs to
know next, and returns the exit status. Errors are :class:`ValueError` and :class:`OSError` with
one sentence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from gantry.runtime.nursery import only

T = TypeVar("T")

SUCCESS: Final = 0


def run_to_end(act: Callable[[], Awaitable[T]]) -> T:
    """Run something to its end; an error comes out as it is, not in a group."""
    try:
        return trio.run(act)
    except BaseExceptionGroup as group:
        raise only(group) from None


def say(text: str) -> None:
    """Tell the person who gave the command."""
    print(text, flush=True)  # noqa: T201 - this is a command's own answer
