"""A query in two halves: what has to be found out, and the answer once that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

from attrs import frozen

from gantry.core.query.fields import Source, Table
from gantry.core.query.filters import compile_filter, compile_possible
from gantry.core.query.live import NO_LIVE_DATA, LiveData, Needs
from gantry.protocols.codec import Json
from gantry.protocols.query import Cell, FieldDefinition, Filter, fields_of

Obj = TypeVar("Obj")
Row = TypeVar("Row")


@frozen
class Plan:
    """A query that was understood; nothing was asked of anybody yet.

    With empty :attr:`needs` it can be answered at once.
    """

    columns: tuple[FieldDefinition, ...]
    needs: Needs
    cells: Callable[[LiveData], list[list[Cell]]]
    """The rows, from the live data that was found.

    Raises:
        ParameterError: the filter compares different types.
    """

    def answer(self, live: LiveData = NO_LIVE_DATA) -> dict[str, Json]:
        """Return the result of LUXI's Query, ready to be rendered as JSON.

        Raises:
            ParameterError: the filter compares different types.
        """
        return {"fields": [described(each) for each in self.columns], "data": self.cells(live)}

    def plain(self, live: LiveData = NO_LIVE_DATA) -> list[list[Json]]:
        """Return rows of bare values, as LUXI's older calls do; what is not there is ``None``."""
        return [[value for _, value in row] for row in self.cells(live)]


def described(definition: FieldDefinition) -> dict[str, Json]:
    """Return a field's definition as JSON."""
    return {
        "name": definition.name,
        "title": definition.title,
        "kind": definition.kind,
        "doc": definition.doc,
    }


@frozen
class Selection(Generic[Obj, Row]):
    """The objects that were asked for, and how they become rows."""

    table: Table[Row]
    objects: Sequence[Obj]
    row: Callable[[Obj, LiveData], Row]
    needs: Callable[[AbstractSet[Source], Sequence[Obj]], Needs]
    """What is needed to show fields of these sources, of these objects."""
    rows: Callable[[Sequence[Obj], LiveData], Iterable[Row]] | None = None
    """For resources that have other rows than one for each object."""

    def plan(self, names: Sequence[str], expression: Filter) -> Plan:
        """Prepare the query for some fields of the objects that pass a filter.

        Raises:
            ParameterError: the filter names a field that does not exist, or compares different
                types.
        """
        columns = self.table.select(names)
        filtered = {self.table.fields[name].source for name in self._known(expression)}
        sources = filtered | {each.source for each in columns}
        chosen, static_rows = self._possible(expression)
        passes = compile_filter(expression, self.table.fields)

        def rows(live: LiveData) -> Iterable[Row]:
            if self.rows is not None:
                return filter(passes, self.rows(chosen, live))
            if sources <= {"configuration"}:
                return static_rows
            found = (self.row(each, live) for each in chosen)
            return found if filtered <= {"configuration"} else filter(passes, found)

        readers = [each.read for each in columns]
        return Plan(
            tuple(each.definition for each in columns),
            self.needs(sources, chosen),
            lambda live: [[read(row) for read in readers] for row in rows(live)],
        )

    def _known(self, expression: Filter) -> list[str]:
        """Return the fields that a filter looks at; unknown ones are found when it is compiled."""
        return [name for name in fields_of(expression) if name in self.table.fields]

    def _possible(self, expression: Filter) -> tuple[list[Obj], list[Row]]:
        """Leave out the objects of which the configuration alone says that they do not pass."""
        possible = compile_possible(expression, self.table.fields)
        rows = [self.row(each, NO_LIVE_DATA) for each in self.objects]
        kept = [(each, row) for each, row in zip(self.objects, rows, strict=True) if possible(row)]
        return [each for each, _ in kept], [row for _, row in kept]
