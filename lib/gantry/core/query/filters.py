"""Filters as functions: compiled once per query, called once per row.

A leaf whose field has no value for a row (unknown, no data, unavailable, offline) holds, so that
what can't be judged is shown rather than hidden. A comparison of different types is the asker's
mistake and ends the query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final, Generic, TypeVar, assert_never

from attrs import frozen

from gantry.core.query.fields import Field
from gantry.protocols.codec import Json
from gantry.protocols.errors import ParameterError
from gantry.protocols.patterns import finder
from gantry.protocols.query import (
    NORMAL,
    And,
    Compare,
    Comparison,
    Contains,
    Filter,
    IsTrue,
    Matches,
    Not,
    Or,
    Value,
)

Row = TypeVar("Row")
Test = Callable[[Row], bool]

_ACCEPTED: Final[dict[Comparison, frozenset[int]]] = {
    "<": frozenset({-1}),
    "<=": frozenset({-1, 0}),
    "==": frozenset({0}),
    ">=": frozenset({0, 1}),
    ">": frozenset({1}),
}
"""Which outcomes of a three-way comparison satisfy an operator."""


def compile_filter(expression: Filter, fields: Mapping[str, Field[Row]]) -> Test[Row]:
    """Return the function that says whether a row passes.

    The function raises :class:`ParameterError` when it has to compare different types.

    Raises:
        ParameterError: the filter names a field that does not exist.
    """
    return _Compiler(fields, undecided=None).compile(expression)


def compile_possible(expression: Filter, fields: Mapping[str, Field[Row]]) -> Test[Row]:
    """Return a function that is true of every row that could pass once live data is there.

    It reads only fields that come from the configuration.

    Raises:
        ParameterError: the filter names a field that does not exist.
    """
    return _Compiler(fields, undecided=True).compile(expression)


@frozen
class _Compiler(Generic[Row]):
    """Turns expressions into closures; leaves with live fields yield ``undecided``."""

    fields: Mapping[str, Field[Row]]
    undecided: bool | None
    """``None``: there is live data, nothing is undecided."""

    def compile(self, expression: Filter) -> Test[Row]:
        match expression:
            case And(parts):
                return _all([self.compile(part) for part in parts])
            case Or(parts):
                return _any(self._alternatives(parts))
            case Not(part):
                flipped = None if self.undecided is None else not self.undecided
                test = _Compiler(self.fields, flipped).compile(part)
                return lambda row: not test(row)
            case Compare("==", name, value):
                return self._leaf(name, lambda field: _equals_one(field, (value,)))
            case Compare(operation, name, value):
                return self._leaf(name, lambda field: _ordered(field, operation, value))
            case IsTrue(name):
                return self._leaf(name, _is_true)
            case Matches(name, pattern):
                return self._leaf(name, lambda field: _matches(field, pattern))
            case Contains(name, value):
                return self._leaf(name, lambda field: _contains(field, value))
            case _:
                assert_never(expression)

    def _leaf(self, name: str, build: Callable[[Field[Row]], Test[Row]]) -> Test[Row]:
        field = self.fields.get(name)
        if field is None:
            raise ParameterError(f"there is no field {name!r} to filter by")
        if self.undecided is not None and field.source != "configuration":
            verdict = self.undecided
            return lambda _: verdict
        return build(field)

    def _alternatives(self, parts: Sequence[Filter]) -> list[Test[Row]]:
        """Compile the parts of an OR; a run of ``==`` on one field becomes one look-up."""
        tests: list[Test[Row]] = []
        for subject, run in groupby(parts, _subject):
            members = list(run)
            if subject is None:
                tests += map(self.compile, members)
            else:
                values = tuple(part.value for part in members if isinstance(part, Compare))
                name, _ = subject
                tests.append(self._leaf(name, partial(_equals_one, values=values)))
        return tests


def _subject(part: Filter) -> tuple[str, type] | None:
    """Return what an equality is about; of equal subjects the values can be looked up at once."""
    match part:
        case Compare("==", name, value):
            return name, type(value)
        case _:
            return None


def _all(tests: list[Test[Row]]) -> Test[Row]:
    if len(tests) == 1:
        return tests[0]

    def every(row: Row) -> bool:
        for test in tests:  # noqa: SIM110 - a generator for each row costs more than the tests
            if not test(row):
                return False
        return True

    return every


def _any(tests: list[Test[Row]]) -> Test[Row]:
    if len(tests) == 1:
        return tests[0]

    def some(row: Row) -> bool:
        for test in tests:  # noqa: SIM110 - a generator for each row costs more than the tests
            if test(row):
                return True
        return False

    return some


def _operand(field: Field[Row], value: Json, given: Value) -> str | float:
    """Return a field's value in the form in which it is compared.

    Raises:
        ParameterError: it can not be compared with what is given.
    """
    if field.comparing == "timestamp" and isinstance(value, list | tuple) and value:
        value = value[0]
    if isinstance(value, str) and isinstance(given, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and isinstance(given, int):
        return value
    raise ParameterError(f"{field.name} can not be compared: {value!r} with {given!r}")


def _order(value: str | float, given: Value) -> int:
    """Compare two values of one type: negative, 0 or positive, strings by code point."""
    if isinstance(value, str):
        return (value > str(given)) - (value < str(given))
    return (value > int(given)) - (value < int(given))


def _equals_one(field: Field[Row], values: tuple[Value, ...]) -> Test[Row]:
    read, wanted, sample = field.read, frozenset(values), values[0]
    hostname = field.comparing == "hostname"

    def test(row: Row) -> bool:
        status, found = read(row)
        if status != NORMAL:
            return True
        value = _operand(field, found, sample)
        return value in wanted or (hostname and _leading_part_in(str(value), wanted))

    return test


def _leading_part_in(name: str, wanted: frozenset[Value]) -> bool:
    end = name.find(".")
    while end > 0:
        if name[:end] in wanted:
            return True
        end = name.find(".", end + 1)
    return False


def _ordered(field: Field[Row], operation: Comparison, given: Value) -> Test[Row]:
    read, accepted = field.read, _ACCEPTED[operation]

    def test(row: Row) -> bool:
        status, found = read(row)
        return status != NORMAL or _order(_operand(field, found, given), given) in accepted

    return test


def _is_true(field: Field[Row]) -> Test[Row]:
    read = field.read

    def test(row: Row) -> bool:
        status, found = read(row)
        if status != NORMAL:
            return True
        if not isinstance(found, bool):
            raise ParameterError(f"{field.name} is not true or false but {found!r}")
        return found

    return test


def _matches(field: Field[Row], pattern: str) -> Test[Row]:
    read, is_found_in = field.read, finder(pattern)

    def test(row: Row) -> bool:
        status, found = read(row)
        if status != NORMAL:
            return True
        if not isinstance(found, str):
            raise ParameterError(f"{field.name} is not text but {found!r}")
        return is_found_in(found)

    return test


def _contains(field: Field[Row], given: Value) -> Test[Row]:
    read = field.read

    def test(row: Row) -> bool:
        status, found = read(row)
        if status != NORMAL:
            return True
        if not isinstance(found, list | tuple):
            raise ParameterError(f"{field.name} is not a list but {found!r}")
        return given in [_operand(field, item, given) for item in found]

    return test
