"""JSON values, and what a value must be beyond its type.

A :class:`Constraint` stands in an ``Annotated`` type; :mod:`gantry.protocols.codec` checks it
when a value is parsed. This module is light: the command line imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from attrs import field, frozen

Json = object
"""Any JSON value: ``None``, bool, int, float, str, list or dict with str keys."""


@frozen
class RenderedJson:
    """A large JSON value that was rendered beforehand, in pieces; only writers meet it."""

    pieces: tuple[bytes, ...] = field(repr=False)


WHOLE_MAX: Final = 2.0**53
"""Below, every whole number is a float of its own."""


def shown_number(value: float) -> float:
    """Return a number as Ganeti renders it in JSON: whole ones without a fraction."""
    return int(value) if abs(value) < WHOLE_MAX and value == int(value) else value


@frozen
class Constraint:
    """What a value must be beyond its type."""

    text: str
    """What is expected, to be read after "expected"."""
    holds: Callable[[Any], bool]


def _between(lowest: int, highest: int) -> Constraint:
    return Constraint(
        f"a whole number from {lowest} to {highest}", lambda value: lowest <= value <= highest
    )


DISKS_MAX: Final = 16
"""The most disks that an instance may have."""

NonEmpty = Annotated[str, Constraint("a non-empty string", bool)]
NonNegative = Annotated[int, Constraint("a whole number from 0 up", lambda value: value >= 0)]
Positive = Annotated[int, Constraint("a whole number from 1 up", lambda value: value > 0)]
Mebibytes = Annotated[int, Constraint("a size in MiB from 0 up", lambda value: value >= 0)]
Port = Annotated[int, _between(1, 65535)]
DiskIndex = Annotated[int, _between(0, DISKS_MAX - 1)]
"""The place of a disk in its instance."""
AbsolutePath = Annotated[str, Constraint("an absolute path", lambda value: value.startswith("/"))]
PathOrNothing = Annotated[
    str, Constraint("an absolute path or nothing", lambda value: value[:1] in {"", "/"})
]
