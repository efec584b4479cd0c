"""The whole configuration: the content of ``config.data``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, TypeVar, cast

from attrs import field, frozen
from immutables import Map
from typing_extensions import override

from gantry.protocols.codec import Json, Malformed
from gantry.protocols.identity import (
    DiskUuid,
    FilterUuid,
    GroupUuid,
    InstanceUuid,
    LeftoverUuid,
    NetworkUuid,
    NodeUuid,
)
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.disk import Disk, ForthcomingDisk
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import ForthcomingInstance, Instance
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.objects.wire import ConfigObject, dump_object, load_object

VERSION: Final = 3_000_000
"""Ganeti 3.0's version of the configuration's schema."""

READABLE_VERSIONS: Final = (VERSION, 3_010_000)
"""The schema versions that we read; a configuration keeps the one that it came with."""

_MAPS: Final = ("nodes", "nodegroups", "instances", "networks", "disks", "filters")
GANTRY_KEY: Final = "gantry"
"""The one key of ``config.data`` that Ganeti does not have."""

LEFTOVERS_KEY: Final = "leftovers"
"""Where the left-overs are under :data:`GANTRY_KEY`."""

_FORTHCOMING: Final = {"instances": "forthcoming_instances", "disks": "forthcoming_disks"}

V = TypeVar("V", bound=ConfigObject)


@frozen(kw_only=True)
class Configuration(ConfigObject):
    """Everything that the cluster is meant to be.

    The maps are persistent: a changed copy shares what did not change. Every object's key is
    its uuid. In the file forthcoming instances and disks stand among the others, marked so.
    """

    version: int
    cluster: Cluster
    nodes: Map[NodeUuid, Node]
    nodegroups: Map[GroupUuid, NodeGroup]
    instances: Map[InstanceUuid, Instance]
    networks: Map[NetworkUuid, Network]
    disks: Map[DiskUuid, Disk]
    """Top-level disks, detached ones too; devices below a disk are nested in it."""
    filters: Map[FilterUuid, FilterRule]
    forthcoming_instances: Map[InstanceUuid, ForthcomingInstance] = field(factory=Map)
    forthcoming_disks: Map[DiskUuid, ForthcomingDisk] = field(factory=Map)
    ctime: float = 0.0
    mtime: float = 0.0
    serial_no: int
    leftovers: Map[LeftoverUuid, Leftover] = field(factory=Map)
    """In the file they stand under ``gantry``."""
    gantry: Map[str, Json] = field(factory=Map)
    """What else Ganeti's schema has no place for; left out of the file while it is empty."""

    OMITTED_WHEN_EMPTY: ClassVar[frozenset[str]] = frozenset({GANTRY_KEY})

    @override
    @classmethod
    def from_wire(cls, sent: Mapping[str, Json]) -> Mapping[str, Json]:
        arranged = dict(sent)
        for name, apart in _FORTHCOMING.items():
            objects = sent.get(name)
            if isinstance(objects, dict):
                arranged[name] = _where(objects, lambda each: not _is_forthcoming(each))
                arranged[apart] = _where(objects, _is_forthcoming)
        ours = sent.get(GANTRY_KEY)
        if isinstance(ours, dict) and LEFTOVERS_KEY in ours:
            arranged[GANTRY_KEY] = {k: v for k, v in ours.items() if k != LEFTOVERS_KEY}
            arranged[LEFTOVERS_KEY] = ours[LEFTOVERS_KEY]
        return arranged

    @override
    @classmethod
    def to_wire(cls, dumped: dict[str, Json]) -> dict[str, Json]:
        for name, apart in _FORTHCOMING.items():
            cast("dict[str, Json]", dumped[name]).update(cast("dict[str, Json]", dumped.pop(apart)))
        leftovers = dumped.pop(LEFTOVERS_KEY)
        if leftovers:
            ours = cast("dict[str, Json]", dumped.get(GANTRY_KEY, {}))
            dumped[GANTRY_KEY] = {**ours, LEFTOVERS_KEY: leftovers}
        return dumped


def _where(objects: dict[str, Json], wanted: Callable[[Json], bool]) -> dict[str, Json]:
    return {uuid: each for uuid, each in objects.items() if wanted(each)}


def _is_forthcoming(value: Json) -> bool:
    return isinstance(value, dict) and value.get("forthcoming") is True


def _check_keys(configuration: Configuration) -> None:
    for name in (*_MAPS, *_FORTHCOMING.values(), LEFTOVERS_KEY):
        objects: Map[str, Node] = getattr(configuration, name)
        for key, each in objects.items():
            if each.uuid != key:
                raise Malformed(f"{name}: the object under {key} has the uuid {each.uuid}")


def load_configuration(value: Json) -> Configuration:
    """Parse the JSON value of a ``config.data``.

    Raises:
        Malformed: it is of a version that we do not read, or it does not fit the schema.
    """
    version = value.get("version") if isinstance(value, dict) else None
    if isinstance(value, dict) and version not in READABLE_VERSIONS:
        readable = " or ".join(map(str, READABLE_VERSIONS))
        raise Malformed(f"configuration version {version!r}, expected {readable}")
    configuration = load_object(Configuration, value)
    _check_keys(configuration)
    return configuration


def dump_configuration(configuration: Configuration) -> dict[str, Json]:
    """Return the JSON value to write to ``config.data``."""
    return dump_object(configuration)
