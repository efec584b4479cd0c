"""A query in two halves: what has to be found out, and the answer once that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

from attrs import frozen

from gantry.core.query.fields import Field, Source, Table
from gantry.core.query.filters import Test, compile_filter, compile_possible
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
        chosen = self._possible(expression)
        filtered = {self.table.fields[name].source for name in fields_of(expression)}
        sources = filtered | {each.source for each in columns}
        passes = self._final_test(expression, filtered)
        return Plan(
            tuple(each.definition for each in columns),
            self.needs(sources, chosen),
            lambda live: self._cells(columns, chosen, passes, live),
        )

    def _possible(self, expression: Filter) -> list[Obj]:
        """Leave out the objects of which the configuration alone says that they do not pass."""
        possible, row = compile_possible(expression, self.table.fields), self.row
        return [each for each in self.objects if possible(row(each, NO_LIVE_DATA))]

    def _final_test(self, expression: Filter, filtered: AbstractSet[Source]) -> Test[Row] | None:
        if filtered <= {"configuration"} and self.rows is None:
            return None
        return compile_filter(expression, self.table.fields)

    def _cells(
        self,
        columns: Sequence[Field[Row]],
        chosen: Sequence[Obj],
        passes: Test[Row] | None,
        live: LiveData,
    ) -> list[list[Cell]]:
        readers = [each.read for each in columns]
        if self.rows is not None:
            rows = self.rows(chosen, live)
        else:
            rows = (self.row(each, live) for each in chosen)
        if passes is not None:
            rows = filter(passes, rows)
        return [[read(row) for read in readers] for row in rows]
