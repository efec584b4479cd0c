"""What the ``info`` commands of several programs have in common."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.cli.cell_text import NORMAL
from gantry.cli.luxi import QueryAnswer
from gantry.cli.options import flag

ROMAN = flag("--roman", "roman_integers", "accepted for Ganeti's sake; numbers stay arabic")


class Record:
    """One row of a query by field name; what is not there or not available is ``None``."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> object:
        """Return a field's value."""
        return self._values.get(name)

    def items(self, name: str) -> list[object]:
        """Return a field's list; empty if it has none."""
        content = self._values.get(name)
        return content if isinstance(content, list) else []

    def mapping(self, name: str) -> dict[str, object]:
        """Return a field's object; empty if it has none."""
        content = self._values.get(name)
        return content if isinstance(content, dict) else {}

    def at(self, name: str, index: int) -> object:
        """Return one item of a field's list."""
        items = self.items(name)
        return items[index] if index < len(items) else None

    def values(self) -> dict[str, object]:
        """Return all values, for programs."""
        return dict(self._values)


def records(answer: QueryAnswer) -> list[Record]:
    """Return the rows of a query."""
    names = [field.name for field in answer.fields]
    return [
        Record(
            {
                name: content if status == NORMAL else None
                for name, (status, content) in zip(names, row, strict=True)
            }
        )
        for row in answer.rows
    ]


def inherited(own: Mapping[str, object], actual: Mapping[str, object]) -> dict[str, object]:
    """Describe parameters; those that an object does not set itself are marked as defaults."""
    return {
        key: content if key in own else f"default ({content})" for key, content in actual.items()
    }
