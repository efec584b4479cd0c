"""A query in three phases: understood, its objects chosen, its rows rendered.

:class:`Plan` is a query that was understood. Choosing looks at what is in memory and finds out
what has to be asked of others. Matching takes the answers into account and leaves nothing that
could fail, so that rows can be rendered, and sent, piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import Final, Generic, TypeVar

from attrs import frozen

from gantry.core.query.fields import Field, Source, Table
from gantry.core.query.filters import Test, compile_filter, compile_possible
from gantry.core.query.live import NO_LIVE_DATA, NOTHING, LiveData, Needs
from gantry.core.query.slices import CELLS_MAX, ROWS_MAX, Slices, at_once, parts
from gantry.protocols.codec import Json, rendered
from gantry.protocols.query import EVERYTHING, Cell, FieldDefinition, Filter, fields_of
from gantry.protocols.values import shown_number

T = TypeVar("T")
Obj = TypeVar("Obj")
Row = TypeVar("Row")


@frozen
class Plan:
    """A query that was understood; no object was looked at yet."""

    columns: Sequence[FieldDefinition]
    choose: Callable[[], Slices[Chosen]]
    """Find the objects that may belong to the answer.

    Raises:
        ParameterError: the filter compares different types.
    """

    def chosen(self) -> Chosen:
        """Choose without a pause."""
        return at_once(self.choose())


@frozen
class Chosen:
    """A query of which the objects are known, as far as memory tells.

    With empty :attr:`needs` it can be answered at once.
    """

    needs: Needs
    match: Callable[[LiveData], Slices[Rows]]
    """Find the rows of the answer, from the live data that was found.

    Raises:
        ParameterError: the filter compares different types.
    """

    def cells(self, live: LiveData = NO_LIVE_DATA) -> list[list[Cell]]:
        """Return the rows without a pause."""
        return at_once(self.match(live)).cells()

    def answer(self, live: LiveData = NO_LIVE_DATA) -> dict[str, Json]:
        """Return the result of LUXI's Query, ready to be rendered as JSON."""
        found = at_once(self.match(live))
        return {"fields": list(map(described, found.columns)), "data": found.cells()}

    def plain(self, live: LiveData = NO_LIVE_DATA) -> list[list[Json]]:
        """Return rows of bare values, as LUXI's older calls do; what is not there is ``None``."""
        return [[value for _, value in row] for row in self.cells(live)]


@frozen
class Rows:
    """An answer that only has to be rendered; each piece takes a short time."""

    columns: Sequence[FieldDefinition]
    count: int
    cells_of: Callable[[int, int], list[list[Cell]]]
    """The cells of the rows from one number to before another."""

    def cells(self) -> list[list[Cell]]:
        """Return all cells."""
        return self.cells_of(0, self.count)

    def rendered(self, form: Form) -> Iterator[bytes]:
        """Yield the rows as JSON without what stands around them, some rows at a time."""
        size = max(1, min(ROWS_MAX, CELLS_MAX // (len(self.columns) + 1)))
        for start in range(0, self.count, size):
            yield rendered(form.of(self.cells_of(start, start + size)))[1:-1]


@frozen
class Form:
    """How an answer is written: what stands around the rows, and what becomes of them."""

    head: bytes
    tail: bytes
    of: Callable[[list[list[Cell]]], Json]


PLAIN: Final = Form(b"[", b"]", lambda rows: [[value for _, value in row] for row in rows])
"""Rows of bare values, as LUXI's older calls return them."""


def typed(columns: Sequence[FieldDefinition]) -> Form:
    """Return the form of LUXI's Query."""
    fields = rendered(list(map(described, columns)))
    return Form(b'{"fields":' + fields + b',"data":[', b"]}", lambda rows: rows)


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
    """What is needed to show fields of these sources, of some of these objects."""
    rows: Callable[[Sequence[Obj], LiveData], Sequence[Row]] | None = None
    """For resources that have other rows than one for each object."""
    always: Needs = NOTHING
    """What is needed whatever the objects are."""

    def plan(self, names: Sequence[str], expression: Filter) -> Plan:
        """Prepare the query for some fields of the objects that pass a filter.

        Raises:
            ParameterError: the filter names a field that does not exist.
        """
        compiled = _Compiled.of(self, self.table.select(names), expression)
        return Plan([each.definition for each in compiled.columns], compiled.choose)


@frozen
class _Compiled(Generic[Obj, Row]):
    """A query with its filter and its columns turned into functions."""

    selection: Selection[Obj, Row]
    columns: list[Field[Row]]
    possible: Test[Row] | None
    """Whether a row may pass once live data is there; ``None``: every row."""
    passes: Test[Row] | None
    """Whether a row passes; ``None``: whatever is possible."""
    sources: AbstractSet[Source]

    @classmethod
    def of(
        cls, selection: Selection[Obj, Row], columns: list[Field[Row]], expression: Filter
    ) -> _Compiled[Obj, Row]:
        fields = selection.table.fields
        passes = compile_filter(expression, fields)
        filtered = {fields[name].source for name in fields_of(expression)}
        if expression == EVERYTHING:
            return cls(selection, columns, None, None, {each.source for each in columns})
        memory_tells = selection.rows is None and filtered <= {"configuration"}
        return cls(
            selection,
            columns,
            compile_possible(expression, fields),
            None if memory_tells else passes,
            filtered | {each.source for each in columns},
        )

    def choose(self) -> Slices[Chosen]:
        objects, row = self.selection.objects, self.selection.row
        if self.possible is not None:
            kept: list[Obj] = []
            for part in parts(objects, ROWS_MAX):
                kept += [each for each in part if self.possible(row(each, NO_LIVE_DATA))]
                yield
            objects = kept
        needs = self.selection.always
        for part in parts(objects, ROWS_MAX):
            needs |= self.selection.needs(self.sources, part)
            yield
        return Chosen(needs, lambda live: self.match(objects, live))

    def match(self, objects: Sequence[Obj], live: LiveData) -> Slices[Rows]:
        make, special = self.selection.row, self.selection.rows
        if special is None:
            passing = yield from self._passing(objects, lambda each: make(each, live))
            return self._rows(passing, lambda each: make(each, live))
        rows = yield from self._passing(special(objects, live), lambda each: each)
        return self._rows(rows, lambda each: each)

    def _passing(self, items: Sequence[T], row: Callable[[T], Row]) -> Slices[Sequence[T]]:
        passes = self.passes
        if passes is None:
            return items
        passing: list[T] = []
        for part in parts(items, ROWS_MAX):
            passing += [each for each in part if passes(row(each))]
            yield
        return passing

    def _rows(self, items: Sequence[T], row: Callable[[T], Row]) -> Rows:
        columns = _Columns.of(self.columns)

        def cells_of(start: int, stop: int) -> list[list[Cell]]:
            return columns.cells(map(row, items[start:stop]))

        return Rows([each.definition for each in self.columns], len(items), cells_of)


@frozen
class _Columns(Generic[Row]):
    """Columns as runs of functions; each run reads neighbours that depend on the same object."""

    runs: list[tuple[Callable[[Row], object] | None, list[Callable[[Row], Cell]]]]

    @classmethod
    def of(cls, columns: Sequence[Field[Row]]) -> _Columns[Row]:
        runs = groupby(columns, lambda each: each.of)
        return cls([(shared, list(map(_reader, run))) for shared, run in runs])

    def cells(self, rows: Iterable[Row]) -> list[list[Cell]]:
        """Read rows; what several of them have in common is read once."""
        if len(self.runs) == 1 and self.runs[0][0] is None:
            readers = self.runs[0][1]
            return [[read(row) for read in readers] for row in rows]
        known: dict[tuple[int, int], tuple[object, list[Cell]]] = {}
        return [self._row(row, known) for row in rows]

    def _row(self, row: Row, known: dict[tuple[int, int], tuple[object, list[Cell]]]) -> list[Cell]:
        cells: list[Cell] = []
        for number, (shared, readers) in enumerate(self.runs):
            if shared is None:
                cells += [read(row) for read in readers]
                continue
            common = shared(row)
            place = (number, id(common))
            if place not in known:  # the object is kept, so that its id stays its own
                known[place] = common, [read(row) for read in readers]
            cells += known[place][1]
        return cells


def _reader(field: Field[Row]) -> Callable[[Row], Cell]:
    """Return what reads a column; whole numbers are shown without a fraction, as in Ganeti."""
    if field.kind not in ("timestamp", "float"):
        return field.read

    def read(row: Row) -> Cell:
        status, value = field.read(row)
        return status, shown_number(value) if isinstance(value, float) else value

    return read
