"""The value types of options, parsed from their text.

Names and syntax are Ganeti's. Every parser raises :class:`ValueError` with half a sentence that
says what is wrong with the value.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

Parameters = dict[str, object]
"""A parsed ``key=value,...`` list; values are strings, booleans or ``None`` (the default)."""

MEBIBYTES = {"m": 1, "mb": 1, "mib": 1, "g": 1024, "gb": 1024, "gib": 1024}
MEBIBYTES |= {"t": 1024 * 1024, "tb": 1024 * 1024, "tib": 1024 * 1024}

SIZE_GRANULE_MIB = 4
"""Sizes are rounded up to multiples of this: LVM's default extent."""

SIZE_MAX_MIB = 2**43
"""2**63 bytes: the largest file or block device there can be."""

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Identified(NamedTuple):
    """A parsed ``ident:key=value,...``.

    ``parameters`` is ``False`` for ``no_ident`` (remove it) and ``None`` for ``-ident`` (reset
    it to its default).
    """

    ident: str
    parameters: Parameters | bool | None


class ValueType(NamedTuple, Generic[V_co]):
    """A type of option values: its name and how it is parsed."""

    name: str
    parse: Callable[[str], V_co]
    choices: tuple[str, ...] = ()


def split_escaped(text: str, separator: str = ",") -> list[str]:
    """Split at separators that no backslash escapes, and take the escapes away."""
    items = [""]
    characters = iter(text)
    for character in characters:
        if character == "\\":
            # A backslash at the very end escapes nothing and stands for itself.
            items[-1] += next(characters, character)
        elif character == separator:
            items.append("")
        else:
            items[-1] += character
    return items


def parse_size(text: str) -> int:
    """Parse a size such as ``512``, ``1.5G`` or ``2 tib`` into MiB, rounded up."""
    stripped = text.strip()
    number = stripped.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = stripped[len(number) :].lower()
    digits = number.strip()
    if not digits or digits.strip("0123456789.") or digits.count(".") > 1 or digits == ".":
        raise ValueError(f"'{text}' is not a size; write a number and m, g or t")
    if unit and unit not in MEBIBYTES:
        raise ValueError(f"unknown unit '{unit}' in '{text}'; use m, g or t")
    exact = float(digits) * MEBIBYTES[unit or "m"]
    if exact > SIZE_MAX_MIB:
        raise ValueError(f"'{text}' is larger than any disk")
    whole = int(exact) + (int(exact) < exact)
    return -(-whole // SIZE_GRANULE_MIB) * SIZE_GRANULE_MIB


def parse_time_span(text: str) -> int:
    """Parse a span such as ``90`` or ``2d`` into seconds."""
    digits, factor = text, 1
    if text and text[-1] in SECONDS:
        digits, factor = text[:-1], SECONDS[text[-1]]
    if not digits.isascii() or not digits.isdigit():
        raise ValueError(
            f"'{text}' is not a time span; write seconds, or a number and s, m, h, d or w"
        )
    return int(digits) * factor


def parse_boolean(text: str) -> bool:
    """Parse ``yes``, ``true``, ``no`` or ``false`` in any case."""
    match text.lower():
        case "yes" | "true":
            return True
        case "no" | "false":
            return False
        case _:
            raise ValueError(f"'{text}' is neither yes nor no")


def parse_key_values(text: str, *, prefixes: bool = True) -> Parameters:
    """Parse ``key=value,key2,no_key3,-key4``.

    A bare key is true, ``no_key`` false and ``-key`` ``None``; a backslash escapes a comma.
    Without ``prefixes`` every key needs a value.
    """
    parameters: Parameters = {}
    for item in split_escaped(text) if text else []:
        key, equals, value = item.partition("=")
        parsed: str | bool | None = value
        if not equals:
            if not prefixes:
                raise ValueError(f"the key '{key}' has no value")
            key, parsed = _prefixed(key)
        if key in parameters:
            raise ValueError(f"the key '{key}' was given twice")
        parameters[key] = parsed
    return parameters


def _prefixed(key: str) -> tuple[str, bool | None]:
    if key.startswith("no_"):
        return key.removeprefix("no_"), False
    if key.startswith("-"):
        return key.removeprefix("-"), None
    return key, True


def parse_identified(text: str, *, prefixes: bool = True) -> Identified:
    """Parse ``ident:key=value,...``, ``no_ident`` or ``-ident``; ``-1`` is an ident."""
    ident, _, rest = text.partition(":")
    if ident.startswith("no_"):
        parameters: bool | None = False
    elif ident.startswith("-") and not ident[1:2].isdigit() and len(ident) > 1:
        parameters = None
    else:
        return Identified(ident, parse_key_values(rest, prefixes=prefixes))
    if rest:
        raise ValueError(f"'{ident}' takes no parameters, but '{rest}' was given")
    return Identified(_prefixed(ident)[0], parameters)


def parse_list(text: str) -> list[str]:
    """Parse a comma list; the empty text is the empty list."""
    return split_escaped(text) if text.strip() else []


def parse_identified_lists(text: str) -> list[dict[str, Parameters]]:
    """Parse groups split by ``//`` of ``/``-separated ``ident:key=value,...``."""
    return [_identified_group(group) for group in text.split("//")]


def _identified_group(text: str) -> dict[str, Parameters]:
    group: dict[str, Parameters] = {}
    for item in text.split("/"):
        if not item:
            raise ValueError("a section is empty")
        ident, parameters = parse_identified(item, prefixes=False)
        if ident in group:
            raise ValueError(f"'{ident}' was given twice in one group")
        if not isinstance(parameters, dict):
            raise ValueError(f"'{item}' has no parameters")
        group[ident] = parameters
    return group


def parse_ratio(text: str) -> float | str:
    """Parse a number or the word ``default``."""
    return text if text == "default" else _number(float, "number")(text)


def parse_json(text: str) -> object:
    """Parse JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is not JSON: {error}") from None


def _number(convert: Callable[[str], V], name: str) -> Callable[[str], V]:
    def parse(text: str) -> V:
        try:
            return convert(text)
        except ValueError:
            raise ValueError(f"'{text}' is not a {name}") from None

    return parse


def choice(*choices: str) -> ValueType[str]:
    """Return the type of values that are one of ``choices``."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"'{text}' is none of {', '.join(choices)}")
        return text

    return ValueType("choice", parse, choices)


TEXT: ValueType[str] = ValueType("string", str)
INTEGER: ValueType[int] = ValueType("int", _number(int, "whole number"))
FLOAT: ValueType[float] = ValueType("float", _number(float, "number"))
BOOLEAN: ValueType[bool] = ValueType("bool", parse_boolean)
SIZE: ValueType[int] = ValueType("unit", parse_size)
KEY_VALUES: ValueType[Parameters] = ValueType("keyval", parse_key_values)
PRIVATE_KEY_VALUES: ValueType[Parameters] = ValueType("keyprivateval", parse_key_values)
IDENTIFIED: ValueType[Identified] = ValueType("identkeyval", parse_identified)
LIST: ValueType[list[str]] = ValueType("list", parse_list)
IDENTIFIED_LISTS: ValueType[list[dict[str, Parameters]]] = ValueType(
    "multilistidentkeyval", parse_identified_lists
)
JSON: ValueType[object] = ValueType("json", parse_json)
RATIO: ValueType[float | str] = ValueType("maybefloat", parse_ratio)
