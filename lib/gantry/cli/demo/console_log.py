"""What a guest wrote on its serial console, and whether nothing of it is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

TICK: Final = re.compile(rb"tick (\d+)\r?\n")
"""The busybox guest counts on its console."""

UP: Final = b"GUEST-UP"


def ticks(log: bytes) -> list[int]:
    """Return the numbers that a guest counted, in the order in which they arrived."""
    return [int(number) for number in TICK.findall(log)]


def gap(numbers: Sequence[int]) -> str | None:
    """Say where consecutive numbers are not consecutive; ``None`` if they all are."""
    for before, after in pairwise(numbers):
        if after != before + 1:
            return f"{before} is followed by {after}"
    return None
