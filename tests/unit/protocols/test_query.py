"""Filters are parsed strictly, once; requests name a resource that LUXI knows."""

import pytest

from gantry.protocols.codec import Json, Malformed
from gantry.protocols.errors import GenericError
from gantry.protocols.patterns import PATTERN_LENGTH_MAX
from gantry.protocols.query import (
    DEPTH_MAX,
    EVERYTHING,
    And,
    Compare,
    Contains,
    Filter,
    IsTrue,
    Matches,
    Not,
    Or,
    any_of,
    fields_of,
    filter_to_json,
    names_in,
    parse_filter,
    parse_query,
    parse_resource,
)


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        (None, EVERYTHING),
        (["&"], EVERYTHING),
        (["|"], Or(())),
        (["=", "name", "a"], Compare("==", "name", "a")),
        (["==", "name", "a"], Compare("==", "name", "a")),
        (["!=", "name", "a"], Not(Compare("==", "name", "a"))),
        (["<", "vcpus", 2], Compare("<", "vcpus", 2)),
        ([">=", "vcpus", 2.0], Compare(">=", "vcpus", 2)),
        (["=~", "name", "^a"], Matches("name", "^a")),
        (["=[]", "tags", "web"], Contains("tags", "web")),
        (["?", "offline"], IsTrue("offline")),
        (
            ["&", ["!", ["?", "offline"]], ["|", ["=", "a", 1]]],
            And((Not(IsTrue("offline")), Or((Compare("==", "a", 1),)))),
        ),
    ],
)
def test_filters_are_parsed(value: Json, expression: Filter) -> None:
    assert parse_filter(value) == expression
    assert parse_filter(filter_to_json(expression)) == expression


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x", "a list that begins with an operator"),
        ([], "a list that begins with an operator"),
        ([1, 2], "a list that begins with an operator"),
        (["&", None], "a list that begins with an operator"),
        (["%%", "name", "x"], "unknown filter operator '%%'"),
        (["=*", "name", "x*"], "unknown filter operator"),
        (["=", "name"], "takes 2 operands, not 1"),
        (["!", ["&"], ["&"]], "takes 1 operands, not 2"),
        (["?"], "takes 1 operands, not 0"),
        (["=", 1, "x"], "needs a field's name"),
        (["=", "name", True], "a string or an integer, not True"),
        (["=", "name", None], "a string or an integer"),
        (["=", "name", 1.5], "a string or an integer"),
        (["=~", "name", 1], "a regular expression is a string"),
        (["=~", "name", "("], "is not a regular expression"),
        (["=~", "name", "x" * (PATTERN_LENGTH_MAX + 1)], "at most 4096 characters"),
    ],
)
def test_what_is_not_a_filter_is_refused_with_a_reason(value: Json, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        parse_filter(value)


def nested(levels: int) -> Json:
    value: Json = ["?", "offline"]
    for _ in range(levels):
        value = ["!", value]
    return value


def test_the_depth_of_a_filter_is_bounded() -> None:
    assert list(fields_of(parse_filter(nested(DEPTH_MAX)))) == ["offline"]
    with pytest.raises(Malformed, match="deeper than 64"):
        parse_filter(nested(DEPTH_MAX + 1))


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (["=", "name", "a"], ("a",)),
        (["|", ["=", "name", "b"], ["|", ["=", "name", "a"], ["=", "name", "b"]]], ("b", "a", "b")),
        (["|"], ()),
        (["|", ["=", "name", "a"], ["=", "uuid", "b"]], ()),
        (["|", ["=", "name", "a"], ["!=", "name", "b"]], ()),
        (["&", ["=", "name", "a"]], ()),
        (None, ()),
    ],
)
def test_names_are_found_only_where_a_filter_is_nothing_else(
    value: Json, names: tuple[str, ...]
) -> None:
    assert names_in(parse_filter(value), "name") == names


def test_any_of_groups_by_field() -> None:
    expected = ["|", ["==", "name", "a"], ["==", "name", "b"], ["==", "uuid", "a"],
                ["==", "uuid", "b"]]  # fmt: skip
    assert filter_to_json(any_of(("name", "uuid"), ("a", "b"))) == expected


def test_resources() -> None:
    query = parse_query("node", ["name", "nosuchfield"], None)
    assert (query.resource, query.fields, query.filter) == (
        "node",
        ("name", "nosuchfield"),
        EVERYTHING,
    )
    with pytest.raises(GenericError, match="OP_QUERY"):
        parse_resource("os")
    with pytest.raises(Malformed, match="there is no resource 'extstorage'"):
        parse_resource("extstorage")
