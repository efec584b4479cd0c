"""The opcodes that requests stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, assert_never

from gantry.daemons.rapid.asked import Asked
from gantry.daemons.rapid.errors import HttpError, bad_request
from gantry.protocols.codec import Json
from gantry.protocols.opcodes.parsing import BadOpcode, parse_opcode
from gantry.protocols.rapi import (
    CREATE_VERSION,
    ROLE_CHANGES,
    Compose,
    ComposeName,
    Fixed,
    FromPath,
    FromQuery,
    Source,
    Submit,
)

OpcodeJson = dict[str, Json]

VERSION_KEY: Final = "__version__"
CREATE_RENAMES: Final = {"os": "os_type", "name": "instance_name"}
DEPENDS: Final = "depends"


def opcodes_of(asked: Asked, action: Submit | Compose) -> list[OpcodeJson]:
    """Return the opcodes of the job that a request asks for, each valid by itself.

    Raises:
        HttpError: 400: an argument or the body is wrong; 403: a parameter is not to be set so.
    """
    if isinstance(action, Compose):
        return _COMPOSERS[action.name](asked)
    fixed = {name: _value(asked, source) for name, source in action.parameters.items()}
    given = _parameters(asked) if action.body == "parameters" else _depends(asked)
    for name in action.forbidden & given.keys():
        raise HttpError(403, f"{name} may not be changed through the remote API")
    return [filled(asked, action.op_id, given, fixed, action.renames)]


def filled(
    asked: Asked,
    op_id: str,
    given: Mapping[str, Json],
    fixed: Mapping[str, Json],
    renames: Mapping[str, str] | None = None,
) -> OpcodeJson:
    """Put an opcode together from what the body gives and what the route says.

    Raises:
        HttpError: the body gives what the route says, or one thing twice, or a parameter is wrong.
    """
    sent: OpcodeJson = {"OP_ID": op_id}
    for key, value in given.items():
        name = (renames or {}).get(key, key)
        if name in sent:
            raise bad_request(f"Parameter '{name}' is given twice, also as '{key}'")
        sent[name] = value
    taken = sorted((fixed.keys() | {"reason"}) & sent.keys())
    if taken:
        raise bad_request(f"Can't overwrite static parameters {taken!r}")
    sent = {**sent, **fixed, "reason": asked.reason()}
    try:
        parse_opcode(sent)
    except BadOpcode as error:
        raise bad_request(f"Invalid body parameters: {error}") from None
    return sent


def _value(asked: Asked, source: Source) -> Json:
    match source:
        case Fixed(value):
            return value
        case FromPath(name, form):
            text = asked.values[name]
            return [text] if form == "list" else int(text) if form == "number" else text
        case FromQuery(name, "flag"):
            return asked.flag(name)
        case FromQuery(name, "texts"):
            return list(asked.arguments.get(name, ()))
        case FromQuery(name, _, default, "optional"):
            return asked.text(name, default)
        case FromQuery(name, _, _, "required"):
            return asked.required(name)
        case FromQuery(name):
            return asked.required(name).split(",")
        case _:
            assert_never(source)


def _parameters(asked: Asked) -> dict[str, Json]:
    """Return the body's parameters; there may be none."""
    given = {} if asked.body is None else asked.members()
    if "OP_ID" in given:
        raise bad_request("Invalid body parameters: OP_ID is the route's to say")
    hvparams = given.get("hvparams")
    if isinstance(hvparams, dict) and isinstance(hvparams.get("usb_devices"), str):
        devices = hvparams["usb_devices"].replace(" ", ",")
        given["hvparams"] = {**hvparams, "usb_devices": devices}
    return given


def _depends(asked: Asked) -> dict[str, Json]:
    """Return what counts of a body that has no parameters."""
    body = asked.body
    return {DEPENDS: body[DEPENDS]} if isinstance(body, dict) and DEPENDS in body else {}


# --- requests that become opcodes in a way of their own ------------------------------------------


def _create_instance(asked: Asked) -> list[OpcodeJson]:
    asked.members()
    given = _parameters(asked)
    version = given.pop(VERSION_KEY, 0)
    if type(version) is not int:
        raise bad_request(f"Parameter '{VERSION_KEY}' must be a whole number")
    if version == 0:
        raise bad_request("Instance creation request version 0 is no longer supported")
    if version != CREATE_VERSION:
        raise bad_request(f"Unsupported request data version {version}")
    dry_run = {"dry_run": asked.flag("dry-run")}
    return [filled(asked, "OP_INSTANCE_CREATE", given, dry_run, CREATE_RENAMES)]


def _allocate_instances(asked: Asked) -> list[OpcodeJson]:
    given = asked.members()
    instances = given.pop("instances", None)
    if not isinstance(instances, list):
        raise bad_request("Parameter 'instances' must be a list")
    wanted: list[Json] = []
    for each in instances:
        if not isinstance(each, dict):
            raise bad_request("Each of 'instances' must be an object")
        created = filled(asked, "OP_INSTANCE_CREATE", each, {}, CREATE_RENAMES)
        wanted.append(created)
    fixed = {"dry_run": asked.flag("dry-run"), "instances": wanted}
    return [filled(asked, "OP_INSTANCE_MULTI_ALLOC", given, fixed)]


def _reinstall(asked: Asked) -> list[OpcodeJson]:
    """Stop the instance, install it, and start it unless that is not wanted."""
    if asked.body is None:
        given: dict[str, Json] = {"os": asked.text("os"), "start": not asked.flag("nostartup")}
    elif asked.arguments.keys() & {"os", "nostartup"}:
        raise bad_request("Can't combine query and body parameters")
    else:
        given = asked.members()
    unknown = given.keys() - {"os", "start", "osparams", DEPENDS}
    start = given.get("start", True)
    if unknown or type(start) is not bool:
        raise bad_request(f"Invalid body parameters: {sorted(unknown) or ['start']}")
    name: dict[str, Json] = {"instance_name": asked.values["instance_name"]}
    depends = {DEPENDS: given[DEPENDS]} if DEPENDS in given else {}
    install: dict[str, Json] = {
        parameter: given[key]
        for key, parameter in (("os", "os_type"), ("osparams", "osparams"))
        if given.get(key) is not None
    }
    ops = [
        filled(asked, "OP_INSTANCE_SHUTDOWN", depends, name),
        filled(asked, "OP_INSTANCE_REINSTALL", install, name),
    ]
    return [*ops, filled(asked, "OP_INSTANCE_STARTUP", {}, name)] if start else ops


def _replace_disks(asked: Asked) -> list[OpcodeJson]:
    fixed = {"instance_name": asked.values["instance_name"]}
    if asked.body is not None:
        return [filled(asked, "OP_INSTANCE_REPLACE_DISKS", _parameters(asked), fixed)]
    names = ("remote_node", "mode", "iallocator")
    given: dict[str, Json] = {name: text for name in names if (text := asked.text(name))}
    listed = asked.text("disks")
    if listed is not None:
        try:
            given["disks"] = [int(part) for part in listed.split(",")]
        except ValueError:
            raise bad_request("Invalid disk index passed") from None
    return [filled(asked, "OP_INSTANCE_REPLACE_DISKS", given, fixed)]


def _migrate_node(asked: Asked) -> list[OpcodeJson]:
    fixed = {"node_name": asked.values["node_name"]}
    if not asked.arguments.keys() & {"live", "mode"}:
        return [filled(asked, "OP_NODE_MIGRATE", _parameters(asked), fixed)]
    if {"live", "mode"} <= asked.arguments.keys():
        raise bad_request("Only one of 'live' and 'mode' should be passed")
    mode = asked.text("mode")
    if mode is None:
        mode = "live" if asked.flag("live") else "non-live"
    return [filled(asked, "OP_NODE_MIGRATE", {"mode": mode}, fixed)]


def _set_node_role(asked: Asked) -> list[OpcodeJson]:
    if not isinstance(asked.body, str):
        raise bad_request("Body contents must be a string")
    change = ROLE_CHANGES.get(asked.body)
    if change is None:
        raise bad_request(f"Can't set '{asked.body}' role")
    fixed: dict[str, Json] = {
        "node_name": asked.values["node_name"],
        "force": asked.flag("force"),
        "auto_promote": asked.flag("auto-promote"),
        **change,
    }
    return [filled(asked, "OP_NODE_SET_PARAMS", {}, fixed)]


def _modify_storage(asked: Asked) -> list[OpcodeJson]:
    changes: dict[str, Json] = {}
    if "allocatable" in asked.arguments:
        changes["allocatable"] = asked.flag("allocatable")
    fixed: dict[str, Json] = {
        "node_name": asked.values["node_name"],
        "storage_type": asked.text("storage_type"),
        "name": asked.required("name"),
        "changes": changes,
    }
    return [filled(asked, "OP_NODE_MODIFY_STORAGE", _depends(asked), fixed)]


_COMPOSERS: Final[Mapping[ComposeName, Callable[[Asked], list[OpcodeJson]]]] = {
    "create instance": _create_instance,
    "allocate instances": _allocate_instances,
    "reinstall instance": _reinstall,
    "replace disks": _replace_disks,
    "migrate node": _migrate_node,
    "set node role": _set_node_role,
    "modify storage": _modify_storage,
}
