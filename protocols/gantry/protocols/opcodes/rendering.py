"""Opcodes as JSON values, and as one line for people. Light: no codec is needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.secrecy import REDACTED, Private, Secret
from gantry.protocols.values import Json, shown_number

_ALWAYS: Final = frozenset({"depends", "comment", "reason"})
"""Optional parameters that are written even if they are not set."""


def dump_opcode(opcode: Opcode) -> dict[str, Json]:
    """Return the JSON object to store and to show: secrets read ``<redacted>``."""
    return _rendered(opcode, reveal=False)


def send_opcode(opcode: Opcode) -> dict[str, Json]:
    """Return the JSON object to submit, with its secrets: it must not be stored or logged."""
    return _rendered(opcode, reveal=True)


def _rendered(opcode: Opcode, *, reveal: bool) -> dict[str, Json]:
    dumped: dict[str, Json] = {"OP_ID": opcode.op_id()}
    for attribute in attrs.fields(type(opcode)):
        value = getattr(opcode, attribute.name)
        if value is not None or attribute.default is not None or attribute.name in _ALWAYS:
            dumped[attribute.name] = _json(value, reveal=reveal)
    return dumped


def _json(value: object, *, reveal: bool) -> Json:
    match value:
        case Secret():
            return _json(value.value, reveal=reveal) if reveal else REDACTED
        case Private():
            return _json(value.value, reveal=reveal)
        case Mapping():
            return {key: _json(each, reveal=reveal) for key, each in value.items()}
        case frozenset():
            return sorted(value)
        case float():
            return shown_number(value)
        case tuple() | list():
            return [_json(each, reveal=reveal) for each in value]
        case _:
            return value


def summary(opcode: Opcode) -> str:
    """Return the opcode's name without its prefix, and what it is about in parentheses."""
    name = opcode.op_id().removeprefix("OP_")
    if opcode.SUMMARY is None:
        return name
    return f"{name}({_summary_value(opcode, opcode.SUMMARY)})"


_TAG_KINDS: Final = {
    "cluster": "TagKindCluster",
    "instance": "TagKindInstance",
    "network": "TagKindNetwork",
    "node": "TagKindNode",
    "nodegroup": "TagKindGroup",
}


def _summary_value(opcode: Opcode, parameter: str) -> str:
    value: object = getattr(opcode, parameter)
    match value:
        case int() | float():
            return shown_float(value)
        case str() if opcode.op_id() == "OP_TAGS_GET":
            return _TAG_KINDS[value]
        case _:
            return str(value)


def shown_float(value: float) -> str:
    """Return a number as Ganeti's summaries show it: ``1.0``, ``1.0e-3``, ``2.5e7``."""
    if value == 0 or 0.1 <= abs(value) < 10_000_000:
        return repr(float(value))
    digits, exponent = f"{value:.17e}".split("e")
    for precision in range(17):
        digits, exponent = f"{value:.{precision}e}".split("e")
        if float(f"{digits}e{exponent}") == value:
            break
    return f"{digits if '.' in digits else digits + '.0'}e{int(exponent)}"
