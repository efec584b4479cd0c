"""Every parameter, its type and its default against the tables of Ganeti 3.0.2."""

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest

from gantry.protocols.parameters.backend import BackendParameters
from gantry.protocols.parameters.disk import (
    TEMPLATES,
    DrbdDeviceParameters,
    DrbdParameters,
    mirror_devices,
)
from gantry.protocols.parameters.hypervisor import CLUSTER_WIDE, HYPERVISORS
from gantry.protocols.parameters.instance_policy import (
    InstancePolicy,
    dump_ipolicy,
    fill_ipolicy,
)
from gantry.protocols.parameters.nic import NicParameters
from gantry.protocols.parameters.node import CLUSTER_WIDE as NODE_CLUSTER_WIDE
from gantry.protocols.parameters.node import NodeParameters
from gantry.protocols.parameters.parameter_set import ParameterSet, fill, specs
from gantry.protocols.values import Mebibytes

CONFIG: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "facts" / "config.json").read_text()
)
HV = CONFIG["hypervisor_params"]
DISK = CONFIG["diskparams"]

CASES: list[tuple[type[ParameterSet], dict[str, Any], dict[str, str]]] = [
    *((cls, HV["defaults"][name], HV["types"]) for name, cls in HYPERVISORS.items()),
    (BackendParameters, CONFIG["beparams"]["defaults"], CONFIG["beparams"]["types"]),
    (NicParameters, CONFIG["nicparams"]["defaults"], CONFIG["nicparams"]["types"]),
    (NodeParameters, CONFIG["ndparams"]["defaults"], CONFIG["ndparams"]["types"]),
    *(
        (cls, DISK["template_defaults"][name], DISK["template_types"])
        for name, cls in TEMPLATES.items()
    ),
    (DrbdDeviceParameters, DISK["device_defaults"]["drbd"], DISK["device_types"]),
]


WORDS: dict[object, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "string",
    NoneType: "none",
}


def type_name(hint: object) -> str:
    """Return the word that the tables have for a type."""
    if hint == Mebibytes:
        return "size"
    origin = get_origin(hint)
    if origin is Literal:
        return type_name(type(get_args(hint)[0]))
    if origin in (Union, UnionType):
        names = {type_name(each) for each in get_args(hint)}
        return "maybe-string" if names == {"string", "none"} else names.pop()
    return WORDS[getattr(hint, "__origin__", hint)]


@pytest.mark.parametrize(("cls", "defaults", "types"), CASES, ids=lambda case: str(case)[:60])
def test_names_defaults_and_types(
    cls: type[ParameterSet], defaults: dict[str, Any], types: dict[str, str]
) -> None:
    full = fill(cls).as_json()
    assert full == defaults
    assert {name: type(value) for name, value in full.items()} == {
        name: type(value) for name, value in defaults.items()
    }
    assert {name: type_name(spec.hint) for name, spec in specs(cls).items()} == {
        name: types[name] for name in defaults
    }


def test_there_is_a_set_for_every_hypervisor_and_template() -> None:
    assert sorted(HYPERVISORS) == HV["hypervisors"]
    assert sorted(TEMPLATES) == CONFIG["disk_templates"]["all"]


def test_what_only_the_cluster_may_set() -> None:
    assert sorted(CLUSTER_WIDE) == HV["cluster_globals(not settable per instance)"]
    assert sorted(NODE_CLUSTER_WIDE) == CONFIG["ndparams"]["globals"]


def test_the_modes_of_network_interfaces() -> None:
    (mode,) = (spec.hint for name, spec in specs(NicParameters).items() if name == "mode")
    assert sorted(get_args(mode)) == CONFIG["nicparams"]["modes"]


def test_the_default_instance_policy() -> None:
    assert dump_ipolicy(InstancePolicy()) == CONFIG["ipolicy"]["defaults"]
    assert fill_ipolicy(CONFIG["ipolicy"]["defaults"]) == InstancePolicy()


def test_devices_of_a_mirrored_disk_have_the_defaults_of_devices() -> None:
    devices = mirror_devices(DrbdParameters())
    assert devices.mirror.as_json() == DISK["device_defaults"]["drbd"]
    assert devices.data.as_json() == devices.meta.as_json() == DISK["device_defaults"]["plain"]
