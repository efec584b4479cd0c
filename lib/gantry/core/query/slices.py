"""Work on many rows in short slices, so that whoever drives it can serve others in between.

A slice is counted in rows and cells, not in time: the core knows no clock.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar

T = TypeVar("T")

Slices: TypeAlias = Generator[None, None, T]
"""Work that stops after each slice and returns its result at the end."""

ROWS_MAX: Final = 200
"""Rows that are looked at, or rendered, in one slice: a row alone costs some microseconds."""

CELLS_MAX: Final = 6_000
"""Cells that are rendered in one slice: about a millisecond, and 100 KB."""


def at_once(work: Slices[T]) -> T:
    """Do all of a piece of work, for callers that serve nobody else."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut a sequence into parts of at most this size."""
    return (items[start : start + size] for start in range(0, len(items), size))
