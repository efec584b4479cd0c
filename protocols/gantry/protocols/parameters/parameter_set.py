"""Sets of parameters: typed, with defaults, filled from layers of partial dictionaries.

A :class:`ParameterSet` is the full form; its attributes are the parameters and their defaults
those of Ganeti. Stored and sent dictionaries are partial: they hold what differs from the layer
below. :func:`fill` puts layers together, :func:`parse_edits` reads what a user wants changed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeVar, cast, get_type_hints

import attrs
from attrs import field, frozen

from gantry.protocols.codec import OURS, Malformed
from gantry.protocols.objects.vocabulary import Parameters, Scalar
from gantry.protocols.values import Json, Mebibytes

DEFAULT: Final = "default"
"""The value that takes a parameter back to what the layer below says."""

SIZE_STEP_MIB: Final = 4
"""Sizes that users give are rounded up to a multiple of this, as in Ganeti."""


class BadParameter(Malformed):
    """A parameter does not exist or can not have the value; nothing was changed."""

    def __init__(self, subject: str, parameter: str, value: Json, reason: str) -> None:
        self.subject = subject
        """What it is a parameter of, such as ``hypervisor kvm``."""
        self.parameter = parameter
        self.value = value
        self.reason = reason
        """What is allowed."""
        super().__init__(f"{subject}: parameter {parameter}: {reason}")


@frozen(kw_only=True)
class ParameterSet:
    """Base of all full parameter sets."""

    SUBJECT: ClassVar[str]
    """What they are parameters of, for error messages."""
    SEPARATOR: ClassVar[str] = "_"
    """What stands between the words of a parameter's name on the wire."""

    def as_json(self) -> dict[str, Scalar]:
        """Return the full dictionary, by the names on the wire."""
        return {name: getattr(self, spec.attribute) for name, spec in specs(type(self)).items()}


P = TypeVar("P", bound=ParameterSet)


@frozen
class Spec:
    """What is known of one parameter."""

    attribute: str
    hint: object
    parse: Callable[[Json], Scalar]
    """Structures a JSON value; raises :class:`Malformed`."""


_SPECS: dict[type[ParameterSet], Mapping[str, Spec]] = {}


def specs(cls: type[ParameterSet]) -> Mapping[str, Spec]:
    """Return what a set's parameters are, by their names on the wire."""
    if cls not in _SPECS:
        hints = get_type_hints(cls, include_extras=True)
        _SPECS[cls] = {
            attribute.name.replace("_", cls.SEPARATOR): Spec(
                attribute.name, hints[attribute.name], _parser(hints[attribute.name])
            )
            for attribute in attrs.fields(cls)
        }
    return _SPECS[cls]


def _parser(hint: Any) -> Callable[[Json], Scalar]:  # noqa: ANN401 - a hint is any type form
    hook = OURS.get_structure_hook(hint)
    return lambda value: cast(Scalar, hook(value, hint))


def _spec(cls: type[ParameterSet], name: str, value: Json) -> Spec:
    known = specs(cls)
    if name not in known:
        names = ", ".join(sorted(known)) or "none at all"
        raise BadParameter(cls.SUBJECT, name, value, f"does not exist; there are: {names}")
    return known[name]


def check(cls: type[ParameterSet], given: Mapping[str, Json]) -> Parameters:
    """Parse a stored partial dictionary; nothing is converted.

    Raises:
        BadParameter: a parameter does not exist or has the wrong type or value.
    """
    checked: dict[str, Scalar] = {}
    for name, value in given.items():
        spec = _spec(cls, name, value)
        try:
            checked[name] = spec.parse(value)
        except Malformed as error:
            raise BadParameter(cls.SUBJECT, name, value, str(error)) from error
    return checked


def fill(cls: type[P], *layers: Mapping[str, Json]) -> P:
    """Return the full set: the defaults under the layers, of which a later one wins.

    Raises:
        BadParameter: a parameter does not exist or has the wrong type or value.
    """
    known = specs(cls)
    values = {
        known[name].attribute: value
        for layer in layers
        for name, value in check(cls, layer).items()
    }
    return cast("Callable[..., P]", cls)(**values)


@frozen
class Edits:
    """What a user wants changed in a partial dictionary."""

    given: Parameters = field(factory=dict)
    reset: frozenset[str] = frozenset()
    """Parameters to take back to what the layer below says."""

    def apply(self, stored: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return the changed dictionary."""
        kept = {name: value for name, value in stored.items() if name not in self.reset}
        return {**kept, **self.given}


def parse_edits(cls: type[ParameterSet], given: Mapping[str, Json]) -> Edits:
    """Parse what a user wrote; values may be given as text, as clients of Ganeti may do.

    ``default`` resets a parameter, ``false`` empties a text, sizes may have a unit and are
    rounded up to :data:`SIZE_STEP_MIB`.

    Raises:
        BadParameter: a parameter does not exist or can not have the value.
    """
    reset = frozenset(name for name, value in given.items() if value == DEFAULT)
    for name in reset:
        _spec(cls, name, DEFAULT)
    written = {name: value for name, value in given.items() if name not in reset}
    values = {
        name: _from_text(_spec(cls, name, value).hint, value) for name, value in written.items()
    }
    return Edits(check(cls, values), reset)


def _from_text(hint: object, value: Json) -> Json:
    """Return what a text means for a parameter; what means nothing is for the check to refuse."""
    kind = getattr(hint, "__origin__", hint)
    if hint == Mebibytes:
        return _size_mib(value)
    if kind is str and value is False:
        return ""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), value)
    if kind is int and re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if kind is float and re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        return float(text)
    return value


_UNITS_MIB: Final = {"": 1, "m": 1, "g": 1024, "t": 1024 * 1024}


def _size_mib(value: Json) -> Json:
    """Return a size in MiB; ``512``, ``512m``, ``1.5G`` and ``2 TiB`` are sizes."""
    text = str(value) if type(value) in (int, str) else ""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([mgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        return value
    mib = float(match[1]) * _UNITS_MIB[match[2]]
    return math.ceil(mib / SIZE_STEP_MIB) * SIZE_STEP_MIB
