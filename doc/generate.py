"""Write the generated tables of ``doc/design``: ``python -m doc.generate``, or ``make docs``.

A page marks the place of a table with a pair of comments; what is between them is generated::

    <!-- generated: luxi -->
    <!-- end -->
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from doc.tables import TABLES

PAGES: Final = Path(__file__).parent / "design"
_PLACE: Final = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[a-z -]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


class UnknownTable(Exception):
    """A page wants a table that nobody makes."""


def with_tables(page: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """Return a page's text with all its tables made anew.

    Raises:
        UnknownTable: it marks a place for a table that is not in ``tables``.
    """

    def fill(place: re.Match[str]) -> str:
        if place["name"] not in tables:
            raise UnknownTable(f"no such table: {place['name']}; there are {sorted(tables)}")
        return f"{place['begin']}\n{tables[place['name']]()}\n\n{place['end']}"

    return _PLACE.sub(fill, page)


def tables_in(page: str) -> list[str]:
    """Return the names of a page's tables."""
    return [place["name"] for place in _PLACE.finditer(page)]


def main() -> int:
    """Bring all pages up to date and say which have changed."""
    for path in sorted(PAGES.glob("*.md")):
        before = path.read_text()
        after = with_tables(before)
        if after != before:
            path.write_text(after)
            print(f"rewritten: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
