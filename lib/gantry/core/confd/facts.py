"""What ConfD looks at in the cluster's objects, read from their JSON forms.

Answers hold whole objects in the form in which they are stored; only what finds and orders them is
read out, so that a node with a large replica starts fast and keeps it small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar, cast

from attrs import field, frozen

from gantry.protocols.codec import Json, Malformed, load, new_converter
from gantry.protocols.identity import DiskUuid, InstanceUuid, NodeUuid

Facts = TypeVar("Facts")

DRBD: Final = "drbd"
DEFAULT_NICPARAMS: Final = "default"
LINK: Final = "link"


@frozen
class ClusterFacts:
    """What answers about the cluster as a whole are made of."""

    serial_no: int
    master_node: NodeUuid
    master_ip: str
    nicparams: Mapping[str, Mapping[str, Json]]
    enabled_hypervisors: tuple[str, ...]
    data_collectors: Mapping[str, Mapping[str, Json]]

    @property
    def default_link(self) -> str:
        """The link of NICs that name none."""
        return str(self.nicparams.get(DEFAULT_NICPARAMS, {}).get(LINK, ""))


@frozen
class NodeFacts:
    """A node."""

    uuid: NodeUuid
    name: str
    serial_no: int
    primary_ip: str
    master_candidate: bool
    offline: bool
    drained: bool


@frozen
class NicFacts:
    """An instance's network interface."""

    nicparams: Mapping[str, Json]
    ip: str | None = None


@frozen
class InstanceFacts:
    """An instance, or one that is still to come."""

    uuid: InstanceUuid
    serial_no: int
    name: str | None = None
    primary_node: NodeUuid | None = None
    disks: tuple[DiskUuid, ...] | None = None
    nics: tuple[NicFacts, ...] | None = None
    forthcoming: bool = False

    def addresses(self, default_link: str) -> tuple[tuple[str, str], ...]:
        """Return the (link, IP) of its interfaces."""
        return tuple(
            (str(nic.nicparams.get(LINK, default_link)), nic.ip)
            for nic in self.nics or ()
            if nic.ip is not None
        )


@frozen
class DiskFacts:
    """A disk."""

    uuid: DiskUuid
    nodes: tuple[NodeUuid, ...] | None = None
    iv_name: str | None = None
    dev_type: str | None = None
    logical_id: tuple[Json, ...] | None = field(default=None, repr=False)

    @property
    def mirror(self) -> Mirror | None:
        """Its two ends, if it is a DRBD device."""
        if self.dev_type != DRBD or self.logical_id is None:
            return None
        match self.logical_id:
            case (str(a), str(b), int(), int(minor_a), int(minor_b), str()):
                return Mirror(NodeUuid(a), minor_a, NodeUuid(b), minor_b)
            case _:
                raise Malformed(f"disk {self.uuid}: this is no DRBD device's logical id")


@frozen
class Mirror:
    """The two ends of a DRBD device."""

    node_a: NodeUuid
    minor_a: int
    node_b: NodeUuid
    minor_b: int

    def end_on(self, node: NodeUuid) -> tuple[int, NodeUuid] | None:
        """Return the minor on a node, and the other node."""
        if node == self.node_a:
            return self.minor_a, self.node_b
        return (self.minor_b, self.node_a) if node == self.node_b else None


_PARTS: Final = new_converter(forbid_extra_keys=False)
"""Reads the named attributes of an object, strictly, and no others."""


def load_facts(cls: type[Facts], value: Json) -> Facts:
    """Read what is looked at in an object.

    Raises:
        Malformed: something of it is missing, or of a wrong type.
    """
    return load(cls, value, _PARTS)


def objects_of(document: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    """Return the objects of one kind in a ``config.data``.

    Raises:
        Malformed: there is no such map.
    """
    found = document.get(key)
    if not isinstance(found, dict):
        raise Malformed(f"{key}: expected an object, got {type(found).__name__}")
    return cast("Mapping[str, Json]", found)
