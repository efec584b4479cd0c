"""What a field is: its definition, and the function that reads it from a row.

A row is a small immutable view of one object (an instance with its cluster and what is known of
it live); a table is all fields of one resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, Literal, TypeVar

from attrs import field, frozen

from gantry.core.query.sorting import nice_key
from gantry.protocols.codec import Json
from gantry.protocols.query import (
    NO_DATA,
    NORMAL,
    OFFLINE,
    UNAVAILABLE,
    UNKNOWN_FIELD,
    AnyResource,
    Cell,
    FieldDefinition,
    Kind,
)

Row = TypeVar("Row")

NOT_A_FIELD: Final[Cell] = (UNKNOWN_FIELD, None)
NODATA: Final[Cell] = (NO_DATA, None)
UNAVAIL: Final[Cell] = (UNAVAILABLE, None)
NODE_OFFLINE: Final[Cell] = (OFFLINE, None)

Comparing = Literal["plain", "hostname", "timestamp"]
"""How a filter compares a field. ``hostname``: equal to a leading part up to a dot, too.
``timestamp``: of ``[seconds, microseconds]`` only the seconds count."""

Source = Literal[
    "configuration", "node", "instance", "console", "export", "job", "course", "lock", "os"
]
"""Where a field's value comes from: what is in memory, or who has to be asked for it."""


@frozen
class Field(Generic[Row]):
    """One field of a resource."""

    name: str
    title: str
    kind: Kind
    doc: str
    read: Callable[[Row], Cell]
    source: Source = "configuration"
    comparing: Comparing = "plain"
    of: Callable[[Row], object] | None = None
    """All that the value depends on: rows with the very same object show the same."""

    @property
    def definition(self) -> FieldDefinition:
        """What a client is told of the field."""
        return FieldDefinition(self.name, self.title, self.kind, self.doc)


@frozen
class Table(Generic[Row]):
    """All fields of a resource.

    ``key`` is the field by which single objects are asked for. Fields in ``unlisted`` are ours,
    not Ganeti's: they are returned when named, and not listed among all.
    """

    resource: AnyResource
    key: str
    fields: Mapping[str, Field[Row]]
    unlisted: frozenset[str] = field(default=frozenset())

    def select(self, names: Iterable[str]) -> list[Field[Row]]:
        """Return the named fields in order; unknown ones yield a column that says so."""
        return [self.fields.get(name) or _unknown(name) for name in names]

    def all_fields(self) -> list[Field[Row]]:
        """Return every listed field, by name."""
        names = sorted(self.fields.keys() - self.unlisted, key=nice_key)
        return [self.fields[name] for name in names]

    def definitions(self, names: Sequence[str] | None) -> list[FieldDefinition]:
        """Return the definitions of the named fields, or of all."""
        chosen = self.all_fields() if names is None else self.select(names)
        return [each.definition for each in chosen]


def _unknown(name: str) -> Field[Row]:
    return Field(name, name, "unknown", f"There is no field {name}", lambda _: NOT_A_FIELD)


def table(
    resource: AnyResource,
    key: str,
    *groups: Sequence[Field[Row]],
    unlisted: Sequence[Field[Row]] = (),
) -> Table[Row]:
    """Make a table of groups of fields; a name must not occur twice."""
    groups = (*groups, unlisted)
    fields = {each.name: each for group in groups for each in group}
    if len(fields) != sum(map(len, groups)):
        raise ValueError(f"a field of {resource} is defined twice")
    return Table(resource, key, fields, frozenset(each.name for each in unlisted))


def normal(value: Json) -> Cell:
    """Return the cell of a value, whatever it is."""
    return (NORMAL, value)


def present(value: Json) -> Cell:
    """Return the cell of a value that may be unset: ``None`` is unavailable."""
    return UNAVAIL if value is None else (NORMAL, value)
