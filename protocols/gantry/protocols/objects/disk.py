"""A disk, the devices that it is made of, and where its data is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, cast

import attrs
from attrs import field, frozen
from typing_extensions import override

from gantry.protocols.codec import TAG, Json, Malformed
from gantry.protocols.identity import DiskUuid, NodeUuid
from gantry.protocols.objects.vocabulary import DiskMode, DiskType, Parameters
from gantry.protocols.objects.wire import ConfigObject


@frozen
class VolumeId:
    """A logical volume of LVM."""

    volume_group: str
    volume: str


@frozen
class DrbdId:
    """A DRBD device mirrored between two nodes, over a TCP port, with a shared secret."""

    node_a: NodeUuid
    node_b: NodeUuid
    port: int
    minor_a: int
    minor_b: int
    secret: str = field(repr=False)


@frozen
class FileId:
    """An image file, on local or shared storage."""

    driver: Literal["loop", "blktap", "blktap2"]
    path: str


@frozen
class BlockDeviceId:
    """A block device that somebody else keeps; the driver is always ``manual``."""

    driver: Literal["manual"]
    path: str


@frozen
class RbdId:
    """An image in a Ceph pool; the pool is a disk parameter, the driver field says nothing."""

    driver: str
    image: str


@frozen
class ExternalId:
    """A volume of an external storage provider."""

    provider: str
    volume: str


LogicalId = VolumeId | DrbdId | FileId | BlockDeviceId | RbdId | ExternalId
"""Where a disk's data is. Stored as a list, whose meaning depends on the disk's template."""

LOGICAL_IDS: Final[Mapping[DiskType, type[LogicalId]]] = {
    "plain": VolumeId,
    "drbd": DrbdId,
    "file": FileId,
    "sharedfile": FileId,
    "gluster": FileId,
    "blockdev": BlockDeviceId,
    "rbd": RbdId,
    "ext": ExternalId,
}


def _fits_template(disk: Disk, _: object, logical_id: LogicalId) -> None:
    if type(logical_id) is not LOGICAL_IDS[disk.dev_type]:
        found = type(logical_id).__name__
        raise ValueError(f"a disk of template {disk.dev_type} has no {found}")


@frozen(kw_only=True)
class Disk(ConfigObject):
    """A disk: of an instance, detached, or (as a child) a device below another disk."""

    dev_type: DiskType
    logical_id: LogicalId = field(validator=_fits_template)
    children: tuple[Disk, ...] = ()
    """The devices it is made of; for DRBD a data and a 128 MiB meta volume."""
    nodes: tuple[NodeUuid, ...] = ()
    """Where it is; for DRBD both nodes."""
    iv_name: str = ""
    """Its place in its instance, ``disk/N``."""
    size: int
    """In MiB."""
    mode: DiskMode = "rw"
    name: str | None = None
    spindles: int | None = None
    params: Parameters | None = None
    """Partial, in device terms."""
    uuid: DiskUuid
    serial_no: int
    ctime: float = 0.0
    mtime: float = 0.0

    @override
    @classmethod
    def from_wire(cls, sent: Mapping[str, Json]) -> Mapping[str, Json]:
        kind = LOGICAL_IDS.get(cast(DiskType, sent.get("dev_type")))
        parts = sent.get("logical_id")
        if kind is None:  # the attribute's own type says what is wrong
            return sent
        names = [attribute.name for attribute in attrs.fields(kind)]
        if not isinstance(parts, list) or len(parts) != len(names):
            raise Malformed(f"logical_id: expected the list {names}, got {type(parts).__name__}")
        tagged = {TAG: kind.__name__, **dict(zip(names, parts, strict=True))}
        return {**sent, "logical_id": tagged}

    @override
    @classmethod
    def to_wire(cls, dumped: dict[str, Json]) -> dict[str, Json]:
        tagged = cast("dict[str, Json]", dumped["logical_id"])
        return {**dumped, "logical_id": [part for name, part in tagged.items() if name != TAG]}


@frozen(kw_only=True)
class ForthcomingDisk(ConfigObject):
    """Space spoken for by an instance that is still to come.

    Only its uuid and serial number are sure to be there.
    """

    dev_type: DiskType | None = None
    logical_id: tuple[Json, ...] | None = field(default=None, repr=False)
    children: tuple[ForthcomingDisk, ...] | None = None
    nodes: tuple[NodeUuid, ...] | None = None
    iv_name: str | None = None
    size: int | None = None
    mode: DiskMode | None = None
    name: str | None = None
    spindles: int | None = None
    params: Parameters | None = None
    uuid: DiskUuid
    serial_no: int
    ctime: float | None = None
    mtime: float | None = None
    forthcoming: Literal[True] = True
