"""One line for a stored opcode, without parsing all of it where that can be helped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gantry.protocols.codec import Json
from gantry.protocols.opcodes.parsing import BadOpcode, parse_opcode
from gantry.protocols.opcodes.registry import OPCODES, opcode_class
from gantry.protocols.opcodes.rendering import summary

UNREADABLE: Final = "INVALID_OP"
"""Stands for an opcode that has no name."""

_SPECIAL: Final = frozenset({"OP_TAGS_GET"})
"""Opcodes whose subject is not shown as it is written."""


def stored_summary(body: Mapping[str, Json]) -> str:
    """Return, for example, ``INSTANCE_STARTUP(web1)`` for an opcode as JSON object.

    An opcode that this version does not know, or can't read, is shown by its name alone.
    """
    op_id = body.get("OP_ID")
    if not isinstance(op_id, str):
        return UNREADABLE
    name = op_id.removeprefix("OP_")
    if op_id not in OPCODES:
        return name
    parameter = opcode_class(op_id).SUMMARY
    if parameter is None:
        return name
    subject = body.get(parameter)
    if isinstance(subject, str) and op_id not in _SPECIAL:
        return f"{name}({subject})"
    try:
        return summary(parse_opcode({"reason": [], **body}))
    except BadOpcode:
        return name
