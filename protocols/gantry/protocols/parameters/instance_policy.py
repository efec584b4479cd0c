"""Instance policy: how large instances may be, and how full nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs
from attrs import frozen

from gantry.protocols.codec import Malformed, explain, new_converter
from gantry.protocols.objects.vocabulary import DiskTemplate
from gantry.protocols.parameters.parameter_set import BadParameter
from gantry.protocols.values import Json, NonNegative

SUBJECT: Final = "instance policy"


@frozen(kw_only=True)
class ResourceSpec:
    """An amount of every resource; sizes are in MiB, ``disk_size`` is that of each disk."""

    memory_size: NonNegative
    cpu_count: NonNegative
    disk_size: NonNegative
    disk_count: NonNegative
    nic_count: NonNegative
    spindle_use: NonNegative


@frozen(kw_only=True)
class ResourceRange:
    """What an instance may have at least and at most."""

    min: ResourceSpec
    max: ResourceSpec

    def __attrs_post_init__(self) -> None:
        for attribute in attrs.fields(ResourceSpec):
            least, most = getattr(self.min, attribute.name), getattr(self.max, attribute.name)
            if least > most:
                name = attribute.name.replace("_", "-")
                reason = f"the least {name}, {least}, is more than the most, {most}"
                raise BadParameter(SUBJECT, "minmax", least, reason)


@frozen(kw_only=True)
class InstancePolicy:
    """How large instances may be, of which templates, and how full nodes."""

    minmax: tuple[ResourceRange, ...] = (
        ResourceRange(
            min=ResourceSpec(
                memory_size=128,
                cpu_count=1,
                disk_size=1024,
                disk_count=1,
                nic_count=1,
                spindle_use=1,
            ),
            max=ResourceSpec(
                memory_size=32768,
                cpu_count=8,
                disk_size=1024 * 1024,
                disk_count=16,
                nic_count=8,
                spindle_use=12,
            ),
        ),
    )
    """An instance must fit into one of the ranges."""
    std: ResourceSpec = ResourceSpec(
        memory_size=128, cpu_count=1, disk_size=1024, disk_count=1, nic_count=1, spindle_use=1
    )
    """The usual instance, for computing what a cluster can still take."""
    disk_templates: tuple[DiskTemplate, ...] = (
        "blockdev",
        "diskless",
        "drbd",
        "ext",
        "file",
        "gluster",
        "plain",
        "rbd",
        "sharedfile",
    )
    vcpu_ratio: float = 4.0
    """Virtual processors for each one of the node."""
    spindle_ratio: float = 32.0


_CONVERTER: Final = new_converter()


def fill_ipolicy(*layers: Mapping[str, Json]) -> InstancePolicy:
    """Return the full policy: the defaults under the layers, of which a later one wins.

    A layer's ``minmax`` and ``std`` replace those below as a whole.

    Raises:
        BadParameter: a layer has an unknown key or a value that does not fit.
    """
    merged: dict[str, Json] = {}
    for layer in layers:
        merged |= layer
    try:
        return _CONVERTER.structure(_renamed(merged, "-", "_"), InstancePolicy)
    except BadParameter:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, Malformed) else explain(error)
        raise BadParameter(SUBJECT, "ipolicy", merged, reason) from error


def dump_ipolicy(policy: InstancePolicy) -> dict[str, Json]:
    """Return the full policy in the form in which the configuration holds it."""
    dumped = _renamed(_CONVERTER.unstructure(policy), "_", "-")
    return dumped if isinstance(dumped, dict) else {}


def _renamed(value: Json, old: str, new: str) -> Json:
    """Return a JSON value with another separator in all keys."""
    if isinstance(value, dict):
        return {key.replace(old, new): _renamed(each, old, new) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, old, new) for each in value]
    return value
