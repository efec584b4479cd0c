"""What a compiled filter makes of values, of missing ones and of wrong ones."""

from collections.abc import Mapping

import pytest

from gantry.core.query.fields import NODATA, NODE_OFFLINE, UNAVAIL, Comparing, Field, Source
from gantry.core.query.filters import compile_filter, compile_possible
from gantry.protocols.codec import Json
from gantry.protocols.errors import ParameterError
from gantry.protocols.query import Cell, parse_filter

Row = Mapping[str, Cell]


def field(
    name: str, comparing: Comparing = "plain", source: Source = "configuration"
) -> Field[Row]:
    return Field(name, name, "other", name, lambda row: row[name], source, comparing)


FIELDS = {
    each.name: each
    for each in (
        field("name", "hostname"),
        field("size"),
        field("tags"),
        field("offline"),
        field("end", "timestamp"),
        field("live", source="node"),
    )
}

ROW: Row = {
    "name": (0, "web10.example.com"),
    "size": (0, 2.5),
    "tags": (0, ["a", "b"]),
    "offline": (0, True),
    "end": (0, [100, 5]),
    "live": NODATA,
}


def passes(value: Json, row: Row = ROW) -> bool:
    return compile_filter(parse_filter(value), FIELDS)(row)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["=", "name", "web10.example.com"], True),
        (["=", "name", "web10"], True),
        (["=", "name", "web10.example"], True),
        (["=", "name", "web1"], False),
        (["=", "name", "web10.example.com.org"], False),
        (["=", "name", ""], False),
        (["!=", "name", "web10"], False),
        (["<", "name", "web9"], True),
        (["<", "name", "web10"], False),
        ([">", "size", 2], True),
        (["<=", "size", 2], False),
        ([">=", "size", 3], False),
        (["=~", "name", "example"], True),
        (["=~", "name", "^example"], False),
        (["=[]", "tags", "a"], True),
        (["=[]", "tags", "c"], False),
        (["?", "offline"], True),
        (["!", ["?", "offline"]], False),
        (["=", "end", 100], True),
        ([">", "end", 100], False),
        (["&", ["?", "offline"], ["=", "name", "x"]], False),
        (["|", ["?", "offline"], ["=", "name", "x"]], True),
        (["|", ["=", "name", "x"], ["=", "name", "web10"], ["=", "name", "y"]], True),
        (["|", ["=", "name", "x"], ["=", "name", "y"]], False),
    ],
)
def test_values(value: Json, expected: bool) -> None:
    assert passes(value) is expected


@pytest.mark.parametrize("cell", [UNAVAIL, NODATA, NODE_OFFLINE])
@pytest.mark.parametrize(
    "leaf",
    [["=", "size", 1], ["<", "size", 1], ["?", "size"], ["=~", "size", "x"], ["=[]", "size", 1]],
)
def test_a_leaf_without_a_value_holds(cell: Cell, leaf: Json) -> None:
    row = {**ROW, "size": cell}
    assert passes(leaf, row)
    assert not passes(["!", leaf], row)


@pytest.mark.parametrize(
    "value",
    [
        ["=", "name", 5],
        ["<", "size", "x"],
        ["=", "offline", 1],
        ["?", "name"],
        ["=~", "size", "2"],
        ["=[]", "name", "w"],
        ["=[]", "tags", 1],
        ["=", "end", "100"],
    ],
)
def test_different_types_are_the_askers_mistake(value: Json) -> None:
    with pytest.raises(ParameterError):
        passes(value)


def test_an_unknown_field_is_found_before_any_row_is_looked_at() -> None:
    with pytest.raises(ParameterError, match="no field 'nosuch'"):
        compile_filter(parse_filter(["|", ["&"], ["=", "nosuch", 1]]), FIELDS)


def test_later_parts_are_not_looked_at_when_the_verdict_is_clear() -> None:
    assert passes(["|", ["?", "offline"], ["=", "size", "x"]])
    assert not passes(["&", ["!", ["?", "offline"]], ["=", "size", "x"]])


@pytest.mark.parametrize(
    ("value", "possible"),
    [
        (["=", "live", 1], True),
        (["!", ["=", "live", 1]], True),
        (["&", ["=", "live", 1], ["=", "name", "x"]], False),
        (["|", ["=", "live", 1], ["=", "name", "x"]], True),
        (["!", ["|", ["=", "live", 1], ["?", "offline"]]], False),
        (["&", ["=", "name", "web10"], ["!", ["!", ["?", "live"]]]], True),
    ],
)
def test_what_depends_on_live_data_is_possible(value: Json, possible: bool) -> None:
    assert compile_possible(parse_filter(value), FIELDS)(ROW) is possible
