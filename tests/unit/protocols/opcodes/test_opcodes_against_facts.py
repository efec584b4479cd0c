"""Every opcode and parameter against the table of Ganeti 3.0.2's opcodes."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import GenericAlias
from typing import Any, Literal, cast, get_type_hints

import attrs
import pytest

from gantry.protocols.opcodes.opcode import Dependency, Opcode, ReasonEntry
from gantry.protocols.opcodes.registry import OPCODES, opcode_class
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.opcodes.secrecy import Private, Secret
from gantry.protocols.opcodes.verification import OptionalCheck
from gantry.protocols.opcodes.vocabulary import DiskChange, DiskParameters, NicChange
from gantry.protocols.values import DiskIndex, NonEmpty, NonNegative, Positive

Param = dict[str, Any]

FACTS = json.loads((Path(__file__).parents[3] / "facts" / "opcodes.json").read_text())
TABLE: dict[str, dict[str, Any]] = FACTS["opcodes"]
COMMON: list[Param] = FACTS["common"]
PARAMS = [(op_id, param) for op_id, row in TABLE.items() for param in (*row["params"], *COMMON)]

OWN = {"OP_NETWORK_RENAME", "OP_NODE_CLEAN_UP"}
"""Opcodes that Ganeti 3.0 does not have; 3.1 has the first."""

SCALARS: dict[str, Any] = {
    "any": object,
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "nestr": NonEmpty,
    "int>=0": NonNegative,
    "int>0": Positive,
    "int[0..15]": DiskIndex,
    "ipv4addr": str,
    "ipv4cidr": str,
    "ipv6addr": str,
    "ipv6cidr": str,
}

NORMAL_FORMS: dict[tuple[str, str], Any] = {
    ("OP_CLUSTER_VERIFY", "skip_checks"): frozenset[OptionalCheck],
    ("OP_CLUSTER_VERIFY_GROUP", "skip_checks"): frozenset[OptionalCheck],
    ("OP_INSTANCE_SET_PARAMS", "nics"): tuple[NicChange, ...],
    ("OP_INSTANCE_SET_PARAMS", "disks"): tuple[DiskChange, ...],
    ("OP_INSTANCE_RECREATE_DISKS", "disks"): tuple[tuple[NonNegative, DiskParameters], ...],
}
"""Parameters with an older form too, which is turned into the present one when it is parsed, or
with values that came with Ganeti 3.1."""

COMMON_TYPES: dict[str, Any] = {
    "depends": tuple[Dependency, ...] | None,
    "reason": tuple[ReasonEntry, ...] | None,
}


def split(text: str) -> list[str]:
    """Split at the commas that stand in no parentheses or brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def literal(choices: str) -> object:
    values = [int(c) if re.fullmatch(r"-?\d+", c) else c for c in choices.split(",")]
    return Literal.__getitem__(tuple(values))


GENERICS: dict[str, Callable[..., object]] = {
    "maybe": lambda inner: inner | None,
    "or": lambda one, other: one | other,
    "list": lambda inner: GenericAlias(tuple, (inner, ...)),
    "set": lambda inner: GenericAlias(frozenset, (inner,)),
    "tuple": lambda *inner: GenericAlias(tuple, inner),
    "dict": lambda key, value: Mapping.__class_getitem__((str if key is object else key, value)),  # type: ignore[attr-defined]  # there at run time
    "private": lambda inner: Private.__class_getitem__(inner),  # type: ignore[attr-defined]  # there at run time
    "secret": lambda inner: Secret.__class_getitem__(inner),  # type: ignore[attr-defined]  # there at run time
}


def hint_of(text: str) -> object:
    """Return the Python type of a type of the table."""
    if text in SCALARS:
        return SCALARS[text]
    match = re.fullmatch(r"(\w+)[(\[](.*)[)\]]", text)
    assert match is not None, text
    if match[1] == "enum":
        return literal(match[2])
    return GENERICS[match[1]](*map(hint_of, split(match[2])))


def test_there_are_the_opcodes_of_the_table_and_no_others() -> None:
    assert OPCODES.keys() - OWN == TABLE.keys()
    assert len(OPCODES.keys() - OWN) == FACTS["count"]


@pytest.mark.parametrize("op_id", TABLE)
def test_an_opcode_has_its_name_and_its_parameters(op_id: str) -> None:
    cls = opcode_class(op_id)
    assert cls.__name__ == TABLE[op_id]["class"]
    assert cls.op_id() == op_id
    names = {param["name"] for param in (*TABLE[op_id]["params"], *COMMON)}
    assert {attribute.name for attribute in attrs.fields(cls)} == names


@pytest.mark.parametrize(
    ("op_id", "param"), PARAMS, ids=[f"{op_id}-{param['name']}" for op_id, param in PARAMS]
)
def test_a_parameter_has_its_type_and_its_default(op_id: str, param: Param) -> None:
    cls = opcode_class(op_id)
    name = param["name"]
    if param in COMMON and name in COMMON_TYPES:
        expected = COMMON_TYPES[name]
    else:
        expected = NORMAL_FORMS.get((op_id, name)) or hint_of(param["type"])
    assert get_type_hints(cls, include_extras=True)[name] == expected
    default = getattr(attrs.fields(cls), name).default
    if param["required"] and name != "reason":
        assert default is attrs.NOTHING
    else:
        assert as_json(default) == param["default"]
        assert type(as_json(default)) is type(param["default"])


def as_json(default: object) -> object:
    match default:
        case attrs.Factory():  # type: ignore[misc]  # a function to mypy, a class at run time
            return cast(Any, default).factory()
        case tuple() | frozenset():
            return list(default)
        case _:
            return default


@pytest.mark.parametrize("op_id", TABLE)
def test_the_summary_shows_the_parameter_of_the_table(op_id: str) -> None:
    field = TABLE[op_id]["summary_field"]
    expected = "kind" if op_id == "OP_TAGS_GET" else field
    assert expected == opcode_class(op_id).SUMMARY


@pytest.mark.parametrize("op_id", TABLE)
def test_an_opcode_says_what_it_does(op_id: str) -> None:
    cls: type[Opcode] = opcode_class(op_id)
    assert (cls.__doc__ or "").strip()


def test_defaults_are_written_as_the_table_gives_them() -> None:
    dumped = dump_opcode(opcode_class("OP_CLUSTER_VERIFY")())
    table = {param["name"]: param["default"] for param in TABLE["OP_CLUSTER_VERIFY"]["params"]}
    assert dumped == {
        "OP_ID": "OP_CLUSTER_VERIFY",
        **{name: default for name, default in table.items() if default is not None},
        "priority": 0,
        "depends": None,
        "comment": None,
        "reason": [],
    }
