"""Queries as clients made for Ganeti ask them: filters, field definitions, result rows.

A filter travels as a list in prefix form, ``["&", ["=", "pnode", "node1"], [">", "vcpus", 2]]``,
and is parsed once, at the door, into the frozen classes below. The job filter rules of the
configuration use the same language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, assert_never, cast, get_args

from attrs import frozen

from gantry.protocols.codec import Json, Malformed
from gantry.protocols.errors import GenericError
from gantry.protocols.patterns import BadPattern, finder

Resource = Literal["job", "lock", "filter", "node", "instance", "group", "network", "export"]
"""What LUXI's Query and QueryFields know."""

RESOURCES: Final[tuple[Resource, ...]] = get_args(Resource)

JobResource = Literal["cluster", "os", "extstorage"]
"""What only an ``OP_QUERY`` job knows."""

AnyResource = Resource | JobResource

JOB_RESOURCES: Final = frozenset({"cluster", "os"})
"""What is queried by submitting an ``OP_QUERY`` job instead; of ``extstorage``, which is too,
LUXI does not even know the name."""

Kind = Literal["unknown", "text", "bool", "number", "float", "unit", "timestamp", "other"]
"""How clients show a field: ``unit`` is MiB, ``timestamp`` seconds since the epoch."""

Status = Literal[0, 1, 2, 3, 4]
NORMAL: Final = 0
UNKNOWN_FIELD: Final = 1
NO_DATA: Final = 2
UNAVAILABLE: Final = 3
OFFLINE: Final = 4

Cell = tuple[Status, Json]
"""One field of one row; the value of every status but :data:`NORMAL` is ``None``."""


@frozen
class FieldDefinition:
    """What a column of a result is."""

    name: str
    title: str
    kind: Kind
    doc: str


# --- the filter language -----------------------------------------------------------------------

Value = str | int
Comparison = Literal["==", "<", "<=", ">", ">="]


@frozen
class And:
    """All parts hold; without parts it holds."""

    parts: tuple[Filter, ...]


@frozen
class Or:
    """At least one part holds; without parts it does not."""

    parts: tuple[Filter, ...]


@frozen
class Not:
    """The part does not hold."""

    part: Filter


@frozen
class IsTrue:
    """A boolean field is true."""

    field: str


@frozen
class Compare:
    """A field's value compared with a given one of the same type."""

    operator: Comparison
    field: str
    value: Value


@frozen
class Matches:
    """A regular expression is found in a text field."""

    field: str
    pattern: str


@frozen
class Contains:
    """A list field has an item."""

    field: str
    value: Value


Filter = And | Or | Not | IsTrue | Compare | Matches | Contains

EVERYTHING: Final = And(())
"""The filter ``null``."""

DEPTH_MAX: Final = 64
"""Filters are walked recursively; no person nests them deeper."""

_COMPARISONS: Final[dict[str, Comparison]] = {
    "=": "==",
    **{operator: operator for operator in get_args(Comparison)},
}


def parse_filter(value: Json, depth: int = 0) -> Filter:
    """Read a filter in its JSON form; ``null`` is :data:`EVERYTHING`.

    Raises:
        Malformed: it is not a filter; the text says what is wrong.
    """
    if value is None and depth == 0:
        return EVERYTHING
    if depth > DEPTH_MAX:
        raise Malformed(f"the filter is nested deeper than {DEPTH_MAX} levels")
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        raise Malformed(f"a filter is a list that begins with an operator, not {_shown(value)}")
    operator, operands = value[0], cast("list[Json]", value[1:])
    if operator in ("&", "|"):
        parts = tuple(parse_filter(operand, depth + 1) for operand in operands)
        return And(parts) if operator == "&" else Or(parts)
    if operator == "!":
        (part,) = _exactly(1, operator, operands)
        return Not(parse_filter(part, depth + 1))
    return _parse_leaf(operator, operands)


def _parse_leaf(operator: str, operands: list[Json]) -> Filter:
    if operator == "?":
        (name,) = _exactly(1, operator, operands)
        return IsTrue(_field(operator, name))
    if operator not in (*_COMPARISONS, "!=", "=~", "=[]"):
        raise Malformed(f"unknown filter operator {_shown(operator)}")
    name, operand = _exactly(2, operator, operands)
    field = _field(operator, name)
    match operator:
        case "=~":
            return Matches(field, _pattern(operand))
        case "=[]":
            return Contains(field, _value(operand))
        case "!=":
            return Not(Compare("==", field, _value(operand)))
        case _:
            return Compare(_COMPARISONS[operator], field, _value(operand))


def _exactly(count: int, operator: str, operands: list[Json]) -> list[Json]:
    if len(operands) != count:
        raise Malformed(f"filter operator {operator} takes {count} operands, not {len(operands)}")
    return operands


def _field(operator: str, name: Json) -> str:
    if not isinstance(name, str):
        raise Malformed(f"filter operator {operator} needs a field's name, not {_shown(name)}")
    return name


def _value(value: Json) -> Value:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Malformed(f"a filter compares with a string or an integer, not {_shown(value)}")
    return value


def _pattern(value: Json) -> str:
    if not isinstance(value, str):
        raise Malformed(f"a regular expression is a string, not {_shown(value)}")
    try:
        finder(value)
    except BadPattern as error:
        raise Malformed(str(error)) from None
    return value


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def filter_to_json(expression: Filter) -> Json:
    """Return the JSON form of a filter, as Ganeti writes it."""
    match expression:
        case And(parts):
            return ["&", *map(filter_to_json, parts)]
        case Or(parts):
            return ["|", *map(filter_to_json, parts)]
        case Not(part):
            return ["!", filter_to_json(part)]
        case IsTrue(field):
            return ["?", field]
        case Compare(operator, field, value):
            return [operator, field, value]
        case Matches(field, pattern):
            return ["=~", field, pattern]
        case Contains(field, value):
            return ["=[]", field, value]
        case _:
            assert_never(expression)


def fields_of(expression: Filter) -> Iterator[str]:
    """Yield the names of the fields that a filter looks at, repetitions included."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from fields_of(part)
        case Not(part):
            yield from fields_of(part)
        case IsTrue(field) | Compare(_, field, _) | Matches(field, _) | Contains(field, _):
            yield field
        case _:
            assert_never(expression)


def names_in(expression: Filter, key: str) -> tuple[Value, ...]:
    """Return the values asked for, if a filter is nothing but ORs of ``key == value``.

    An empty answer means that all objects have to be looked at.
    """
    found = _names(expression, key)
    return tuple(found) if found is not None else ()


def _names(expression: Filter, key: str) -> list[Value] | None:
    match expression:
        case Compare("==", field, value) if field == key:
            return [value]
        case Or(parts):
            names: list[Value] = []
            for part in parts:
                more = _names(part, key)
                if more is None:
                    return None
                names += more
            return names
        case _:
            return None


def any_of(fields: Sequence[str], values: Sequence[Value]) -> Filter:
    """Return the filter for objects of which one of the fields has one of the values."""
    return Or(tuple(Compare("==", field, value) for field in fields for value in values))


# --- requests ------------------------------------------------------------------------------------


@frozen
class Query:
    """Rows that are asked for; unknown fields are allowed, and yield a column that says so."""

    resource: Resource
    fields: tuple[str, ...]
    filter: Filter = EVERYTHING


def parse_resource(what: str) -> Resource:
    """Read the name of a resource.

    Raises:
        Malformed: there is no such resource.
        GenericError: it is queried by submitting a job.
    """
    if what in RESOURCES:
        return what
    if what in JOB_RESOURCES:
        raise GenericError(f"{what} can only be queried by a job, with OP_QUERY")
    raise Malformed(f"there is no resource {_shown(what)}; there are {', '.join(RESOURCES)}")


def parse_query(what: str, fields: Sequence[str], qfilter: Json) -> Query:
    """Read the arguments of LUXI's Query.

    Raises:
        Malformed: there is no such resource, or the filter is not one.
        GenericError: the resource is queried by submitting a job.
    """
    return Query(parse_resource(what), tuple(fields), parse_filter(qfilter))
