"""Opcodes as Ganeti 3.1 writes them, brought into the form in which we keep them: that of 3.0.

What a client means is settled once, when it submits: a default that differs between the versions
is written out, so that a stored opcode never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, cast

from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.parsing import BadOpcode
from gantry.protocols.values import Json

Dialect = Literal["3.0", "3.1"]

VERSIONS: Final[Mapping[int, Dialect]] = {3_000_000: "3.0", 3_010_000: "3.1"}
"""By the version that a client sends with each request."""


def dialect_of(version: Json) -> Dialect:
    """Return the dialect of a version, or of the nearest one that is known."""
    if isinstance(version, bool) or not isinstance(version, int):
        return "3.0"
    return VERSIONS[min(VERSIONS, key=lambda known: abs(known - version))]


def in_normal_form(opcode: Json, dialect: Dialect) -> Json:
    """Return the JSON object of an opcode as a client of 3.0 would write it.

    Raises:
        BadOpcode: it has a parameter that the dialect does not have, or one of the wrong type.
        OpPrereqError: the dialect has something that can not be had here.
    """
    if dialect == "3.0" or not isinstance(opcode, dict):
        return opcode
    sent = cast("dict[str, Json]", opcode)
    op_id = sent.get("OP_ID")
    rewrite = _REWRITES.get(op_id) if isinstance(op_id, str) else None
    return sent if rewrite is None else rewrite(sent)


def _unchecked_names(sent: dict[str, Json]) -> dict[str, Json]:
    return {"name_check": False, "ip_check": False, **sent}


def _each_instance(sent: dict[str, Json]) -> dict[str, Json]:
    instances = sent.get("instances")
    if not isinstance(instances, list):
        return sent
    each = cast("list[Json]", instances)
    return {**sent, "instances": [in_normal_form(instance, "3.1") for instance in each]}


def _hotplugged(sent: dict[str, Json]) -> dict[str, Json]:
    if "hotplug_if_possible" in sent:
        reason = "there is no such parameter in this version of the protocol"
        raise BadOpcode("OP_INSTANCE_SET_PARAMS", "hotplug_if_possible", reason)
    return {"hotplug": True, **sent}


def _strict(sent: dict[str, Json]) -> dict[str, Json]:
    """Look at disks as 3.0 does: it is always strict, and so are we."""
    strict = sent.get("is_strict", True)
    if not isinstance(strict, bool):
        raise BadOpcode(str(sent["OP_ID"]), "is_strict", f"expected bool, got {strict!r}")
    if not strict:
        text = (
            f"{sent['OP_ID']}: disks are looked at strictly only, as with is_strict true; "
            "leave it out"
        )
        raise OpPrereqError(text, "wrong_input")
    return {key: value for key, value in sent.items() if key != "is_strict"}


_REWRITES: Final[Mapping[str, Callable[[dict[str, Json]], dict[str, Json]]]] = {
    "OP_CLUSTER_VERIFY_DISKS": _strict,
    "OP_GROUP_VERIFY_DISKS": _strict,
    "OP_INSTANCE_CREATE": _unchecked_names,
    "OP_INSTANCE_MULTI_ALLOC": _each_instance,
    "OP_INSTANCE_RENAME": _unchecked_names,
    "OP_INSTANCE_SET_PARAMS": _hotplugged,
}
