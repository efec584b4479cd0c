"""Laying out a table: padded columns for people, separated ones for scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Column(NamedTuple):
    """A column's title and on which side its text stands."""

    title: str
    align_right: bool = False


Paint = Callable[[Column, str, str], str]
"""``(column, text, padded text) -> painted text``; it may not change the width."""


def render(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    separator: str | None = None,
    headers: bool = True,
    paint: Paint | None = None,
) -> list[str]:
    """Return the lines of a table.

    Without a separator columns are padded, and the last one only if it stands right.
    """
    titles = [[column.title for column in columns]] if headers else []
    if separator is not None:
        return [separator.join(line) for line in [*titles, *rows]]
    everything = [*titles, *rows]
    widths = [max((len(line[at]) for line in everything), default=0) for at in range(len(columns))]
    lines = [" ".join(_padded(columns, widths, line)) for line in titles]
    for row in rows:
        cells = _padded(columns, widths, row)
        if paint is not None:
            cells = [paint(*three) for three in zip(columns, row, cells, strict=True)]
        lines.append(" ".join(cells))
    return lines


def _padded(columns: Sequence[Column], widths: Sequence[int], texts: Sequence[str]) -> list[str]:
    last = len(columns) - 1
    cells = []
    for at, (column, width, text) in enumerate(zip(columns, widths, texts, strict=True)):
        if column.align_right:
            cells.append(text.rjust(width))
        else:
            cells.append(text if at == last else text.ljust(width))
    return cells
