"""Values of query fields as text, by the field's kind; the forms are Ganeti's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

Units = Literal["h", "m", "g", "t"]

STATUS_SHORT = {1: "??", 2: "?", 3: "-", 4: "*"}
STATUS_WORDS = {1: "(unknown)", 2: "(nodata)", 3: "(unavail)", 4: "(offline)"}
NORMAL = 0

MIB_PER_GIB = 1024
MIB_PER_TIB = 1024 * 1024


def size_text(mib: float, units: str) -> str:
    """Return a size in MiB in the given unit; ``h`` chooses one and writes it behind."""
    suffix = units == "h"
    if units == "m" or (suffix and mib < MIB_PER_GIB):
        return f"{round(mib)}{'M' if suffix else ''}"
    if units == "g" or (suffix and mib < MIB_PER_TIB):
        return f"{mib / MIB_PER_GIB:.1f}{'G' if suffix else ''}"
    return f"{mib / MIB_PER_TIB:.1f}{'T' if suffix else ''}"


def time_text(seconds: object) -> str:
    """Return a time stamp in seconds as local time."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return "N/A"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def precise_time_text(timestamp: object) -> str:
    """Return a time stamp of ``[seconds, microseconds]`` as local time."""
    match timestamp:
        case [int() as seconds, int() as microseconds]:
            return f"{time_text(seconds)}.{microseconds:06d}"
        case _:
            return "?"


def comma_joined(content: object) -> str:
    """Return a list's items with commas between them."""
    return ",".join(map(str, content)) if isinstance(content, list) else str(content)


def content_text(kind: str, content: object, units: str) -> str:
    """Return a normal value as text."""
    match kind, content:
        case "bool", bool():
            return "Y" if content else "N"
        case "unit", int() | float():
            return size_text(content, units)
        case "timestamp", _:
            return time_text(content)
        case _:
            return str(content)


RIGHT_ALIGNED = ("number", "float", "unit")

Formatter = Callable[[object], str]


def cell_text(
    kind: str,
    cell: tuple[int, object],
    units: str,
    *,
    formatter: Formatter | None = None,
    verbose: bool = False,
) -> str:
    """Return a cell as text; ``formatter`` replaces the form of the field's kind."""
    status, content = cell
    if status != NORMAL:
        return (STATUS_WORDS if verbose else STATUS_SHORT).get(status, f"(status {status})")
    if formatter is not None:
        return formatter(content)
    return content_text(kind, content, units)
