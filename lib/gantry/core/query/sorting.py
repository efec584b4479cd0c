"""The order in which names are shown: runs of digits count as numbers."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_DIGITS: Final = re.compile(r"([0-9]+)")

_REMEMBERED: Final = 65_536
"""More names than a cluster has; sorting the same names again costs only look-ups."""


@lru_cache(maxsize=_REMEMBERED)
def nice_key(name: str) -> tuple[str | int, ...]:
    """Return a sort key by which ``node2`` comes before ``node10``.

    Text and numbers alternate in the key, text first, so two keys are always comparable.
    """
    parts: list[str | int] = list(_DIGITS.split(name))
    parts[1::2] = map(int, parts[1::2])
    return tuple(parts)
