"""The settings of a node group, and what an opcode makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.vocabulary import Parameters
from gantry.protocols.opcodes.group import OpGroupAdd, OpGroupSetParams
from gantry.protocols.opcodes.vocabulary import DiskTemplateParameters
from gantry.protocols.parameters.disk import TEMPLATES
from gantry.protocols.parameters.instance_policy import fill_ipolicy
from gantry.protocols.parameters.node import NodeParameters
from gantry.protocols.parameters.parameter_set import DEFAULT, parse_edits
from gantry.protocols.wconfd import ConfigPart

NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")


def check_name(part: ConfigPart, name: str) -> str:
    """Return the name of a new group.

    Raises:
        OpPrereqError: it can not be a name, or it is taken.
    """
    if not NAME.fullmatch(name):
        text = f"{name!r} can not be the name of a node group: letters, digits and ._- are allowed"
        raise OpPrereqError(text, "wrong_input")
    for group in part.groups.values():
        if name in (group.name, group.uuid):
            raise OpPrereqError(f"there is a node group {name} already", "already_exists")
    return name


def with_settings(
    group: NodeGroup, opcode: OpGroupAdd | OpGroupSetParams, cluster: Cluster
) -> NodeGroup:
    """Return the group with the settings of an opcode; what is ``None`` there stays as it is.

    Raises:
        OpPrereqError: a setting is not available.
        BadParameter: a parameter does not exist or can not have the value.
    """
    if opcode.hv_state or opcode.disk_state:
        raise OpPrereqError("static hypervisor and disk states are not available in this version")
    return attrs.evolve(
        group,
        alloc_policy=opcode.alloc_policy or group.alloc_policy,
        ndparams=_ndparams(group.ndparams, opcode.ndparams or {}),
        diskparams=_diskparams(group.diskparams, opcode.diskparams or {}),
        ipolicy=_ipolicy(group.ipolicy, opcode.ipolicy or {}, cluster),
    )


def _ndparams(stored: Parameters, given: Mapping[str, Json]) -> Parameters:
    return parse_edits(NodeParameters, given).apply(stored)


def _diskparams(
    stored: Mapping[str, Parameters], given: DiskTemplateParameters
) -> Mapping[str, Parameters]:
    changed = dict(stored)
    for template, edits in given.items():
        changed[template] = parse_edits(TEMPLATES[template], edits).apply(stored.get(template, {}))
    return changed


def _ipolicy(
    stored: Mapping[str, Json], given: Mapping[str, Json], cluster: Cluster
) -> Mapping[str, Json]:
    if "std" in given:
        raise OpPrereqError("the standard size of instances is the cluster's", "wrong_input")
    kept = {key: value for key, value in stored.items() if given.get(key) != DEFAULT}
    changed = {**kept, **{key: value for key, value in given.items() if value != DEFAULT}}
    fill_ipolicy(cluster.ipolicy, changed)
    return changed


def differences(old: NodeGroup, new: NodeGroup) -> list[Json]:
    """Return [setting, new value] of what changes, in Ganeti's form."""
    found: list[Json] = []
    if new.alloc_policy != old.alloc_policy:
        found.append(["alloc_policy", new.alloc_policy])
    return found + [
        [name, dict(getattr(new, name))]
        for name in ("ndparams", "diskparams", "ipolicy")
        if getattr(new, name) != getattr(old, name)
    ]
