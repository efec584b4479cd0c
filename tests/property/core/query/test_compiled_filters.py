"""A compiled filter agrees with an interpreter that is too simple to be wrong."""

import re
from collections.abc import Mapping
from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.core.query.fields import NODATA, UNAVAIL, Comparing, Field
from gantry.core.query.filters import compile_filter, compile_possible
from gantry.protocols.codec import Json
from gantry.protocols.errors import ParameterError
from gantry.protocols.query import (
    And,
    Cell,
    Compare,
    Contains,
    Filter,
    IsTrue,
    Matches,
    Not,
    Or,
    Value,
    filter_to_json,
    parse_filter,
)

Row = Mapping[str, Cell]
COMPARING: Mapping[str, Comparing] = {
    "host": "hostname",
    "text": "plain",
    "number": "plain",
    "flag": "plain",
    "list": "plain",
    "time": "timestamp",
    "live": "plain",
}


def _field(name: str) -> Field[Row]:
    source = "node" if name == "live" else "configuration"
    if source == "node":
        return Field(name, name, "other", name, lambda row: row[name], "node")
    return Field(name, name, "other", name, lambda row: row[name], comparing=COMPARING[name])


FIELDS = {name: _field(name) for name in COMPARING}

words = st.sampled_from(["a", "b", "a.b", "a.b.c", "ab", ""])
numbers = st.integers(-2, 2)
values: st.SearchStrategy[Value] = words | numbers
names = st.sampled_from(sorted(COMPARING))


def cells(normal: st.SearchStrategy[Json]) -> st.SearchStrategy[Cell]:
    missing: st.SearchStrategy[Cell] = st.sampled_from([NODATA, UNAVAIL])
    return normal.map(lambda value: (0, value)) | missing


rows: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {
        "host": cells(words),
        "text": cells(words),
        "number": cells(numbers | st.sampled_from([0.5, -1.5])),
        "flag": cells(st.booleans()),
        "list": cells(st.lists(words, max_size=3) | st.lists(numbers, max_size=3)),
        "time": cells(st.tuples(numbers, numbers).map(list)),
        "live": cells(words),
    }
)

leaves: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Compare, st.sampled_from(["==", "<", "<=", ">", ">="]), names, values),
    st.builds(IsTrue, names),
    st.builds(Matches, names, st.sampled_from(["a", "^b", "b$", "a.*c", ""])),
    st.builds(Contains, names, values),
)

filters: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=5).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=12,
)


class Mistyped(Exception):
    """The interpreter had to compare different types."""


def interpret(expression: Filter, row: Row) -> bool:
    """Evaluate a filter straight from the words of the reference."""
    match expression:
        case And(parts):
            return all(interpret(part, row) for part in parts)
        case Or(parts):
            return any(interpret(part, row) for part in parts)
        case Not(part):
            return not interpret(part, row)
        case Compare() | IsTrue() | Matches() | Contains():
            status, value = row[expression.field]
            return status != 0 or judge(expression, value)
        case _:
            assert_never(expression)


def judge(leaf: Compare | IsTrue | Matches | Contains, value: Json) -> bool:
    match leaf:
        case IsTrue():
            return bool(of_type(bool, value))
        case Matches(_, pattern):
            return re.search(pattern, str(of_type(str, value))) is not None
        case Contains(_, given_value):
            if not isinstance(value, list):
                raise Mistyped
            return given_value in [same_type(item, given_value) for item in value]
        case Compare(operator, field, given_value):
            if COMPARING[field] == "timestamp" and isinstance(value, list):
                value = value[0]
            found = same_type(value, given_value)
            if operator == "==" and COMPARING[field] == "hostname":
                return found == given_value or str(found).startswith(f"{given_value}.")
            return compare(operator, found, given_value)


def compare(operator: str, found: Json, given_value: Value) -> bool:
    ordered = sorted([found, given_value]) == [found, given_value]  # type: ignore[type-var]  # same_type saw to it
    equal = found == given_value
    return {
        "==": equal,
        "<": ordered and not equal,
        "<=": ordered,
        ">": not ordered,
        ">=": not ordered or equal,
    }[operator]


def of_type(kind: type, value: Json) -> Json:
    if type(value) is not kind:
        raise Mistyped
    return value


def same_type(value: Json, given_value: Value) -> Json:
    if type(value) is float and type(given_value) is int:
        return value
    return of_type(type(given_value), value)


@given(filters, rows)
def test_a_compiled_filter_agrees_with_the_interpreter(expression: Filter, row: Row) -> None:
    test = compile_filter(expression, FIELDS)
    try:
        expected = interpret(expression, row)
    except Mistyped:
        with pytest.raises(ParameterError):
            test(row)
    else:
        assert test(row) is expected


@given(filters, rows)
def test_nothing_that_passes_is_left_out_beforehand(expression: Filter, row: Row) -> None:
    """The first pass, without live data, keeps every row that the second may let through."""
    try:
        passed = compile_filter(expression, FIELDS)(row)
        possible = compile_possible(expression, FIELDS)({**row, "live": NODATA})
    except ParameterError:
        return
    assert possible or not passed


@given(filters)
def test_a_filter_survives_its_json_form(expression: Filter) -> None:
    assert parse_filter(filter_to_json(expression)) == expression
