"""Parse opcodes: what a client submits, or a job file holds, as typed values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast, get_args, get_origin

import attrs
import cattrs

from gantry.protocols.codec import Malformed, new_converter
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.registry import OPCODES, opcode_class
from gantry.protocols.opcodes.secrecy import Private, Secret
from gantry.protocols.values import Json


class BadOpcode(Malformed):
    """An opcode is not one, or has wrong parameters; nothing was done."""

    def __init__(self, op_id: str | None, parameter: str | None, reason: str) -> None:
        self.op_id = op_id
        """``None`` if that itself is missing or wrong."""
        self.parameter = parameter
        """``None`` if it is not about one parameter."""
        self.reason = reason
        place = ": ".join(part for part in (op_id, parameter) if part is not None)
        super().__init__(f"{place}: {reason}" if place else reason)


_CONVERTER: Final = new_converter()


def _is_hidden(hint: Any) -> bool:  # noqa: ANN401 - a hint is any type form
    return get_origin(hint) in (Private, Secret)


def _hidden_hook(hint: Any) -> Callable[[object, object], object]:  # noqa: ANN401 - a hint is any type form
    wrapper: type[Private[object]] | type[Secret[object]] = cast(Any, get_origin(hint))
    (inner_type,) = get_args(hint)
    inner = _CONVERTER.get_structure_hook(inner_type)
    return lambda value, _: wrapper(inner(value, inner_type))


_CONVERTER.register_structure_hook_factory(_is_hidden, _hidden_hook)


def parse_opcode(value: Json) -> Opcode:
    """Parse the JSON object of an opcode; parameters that are left out take their defaults.

    Raises:
        BadOpcode: the opcode is unknown, a parameter is unknown, missing (``reason`` always has
            to be given) or of the wrong type.
    """
    cls, sent = _recognise(value)
    op_id = cls.op_id()
    sent = cls.from_wire(sent)
    attributes = {attribute.name: attribute for attribute in attrs.fields(cls)}
    for name in sent:
        if name not in attributes:
            known = ", ".join(sorted(attributes))
            raise BadOpcode(op_id, name, f"there is no such parameter; there are: {known}")
    for name, attribute in attributes.items():
        if name not in sent and (attribute.default is attrs.NOTHING or name == "reason"):
            raise BadOpcode(op_id, name, "the parameter is missing")
    hooks = _hooks(cls)
    build = cast("Callable[..., Opcode]", cls)
    return build(**{name: _parse(op_id, name, hooks[name], each) for name, each in sent.items()})


def prepare_opcode(op_id: str) -> None:
    """Load an opcode's class and make its hooks, which otherwise the first parsing pays for.

    Raises:
        KeyError: there is no such opcode.
    """
    _hooks(opcode_class(op_id))


def _recognise(value: Json) -> tuple[type[Opcode], Mapping[str, Json]]:
    if not isinstance(value, dict):
        raise BadOpcode(None, None, f"an opcode is an object, got {type(value).__name__}")
    sent = dict(cast("dict[str, Json]", value))
    op_id = sent.pop("OP_ID", None)
    if op_id is None:
        raise BadOpcode(None, None, "an opcode must have the key OP_ID")
    if not isinstance(op_id, str) or op_id not in OPCODES:
        raise BadOpcode(None, None, f"unknown opcode {str(op_id)[:80]!r}")
    return opcode_class(op_id), sent


_Hook = Callable[[Json], object]
_HOOKS: dict[type[Opcode], dict[str, _Hook]] = {}


def _hooks(cls: type[Opcode]) -> dict[str, _Hook]:
    """Return what parses each parameter; made when a class is parsed for the first time."""
    if cls not in _HOOKS:
        attrs.resolve_types(cls)
        _HOOKS[cls] = {
            attribute.name: _hook(cast(Any, attribute.type)) for attribute in attrs.fields(cls)
        }
    return _HOOKS[cls]


def _hook(hint: Any) -> _Hook:  # noqa: ANN401 - a hint is any type form
    structure = _CONVERTER.get_structure_hook(hint)
    return lambda value: structure(value, hint)


def _parse(op_id: str, name: str, hook: _Hook, value: Json) -> object:
    try:
        return hook(value)
    except (Malformed, cattrs.BaseValidationError) as error:
        raise BadOpcode(op_id, name, str(error)) from error
