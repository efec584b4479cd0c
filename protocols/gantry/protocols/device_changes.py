"""Changes of what instances are made of: disks and network interfaces.

See :mod:`gantry.protocols.changes`, where they belong to all changes.
"""

from __future__ import annotations

from attrs import frozen

from gantry.protocols.identity import DiskUuid, InstanceUuid, NicUuid
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.instance import Nic


@frozen
class AddDisk:
    """Add a disk, to an instance if one is named; its place is the last if none is given."""

    disk: Disk
    instance: InstanceUuid | None = None
    index: int | None = None


@frozen
class AttachDisk:
    """Give a detached disk to an instance; its place is the last if none is given."""

    disk: DiskUuid
    instance: InstanceUuid
    index: int | None = None


@frozen
class DetachDisk:
    """Take a disk from its instance; the disk stays."""

    disk: DiskUuid


@frozen
class UpdateDisk:
    """Replace a disk; its serial number must be the stored one."""

    disk: Disk


@frozen
class RestoreDisk:
    """Put a disk back as it was, but for serial number, times and its instance."""

    disk: Disk


@frozen
class RemoveDisk:
    """Remove a detached disk; the network ports that it used return to the pool."""

    uuid: DiskUuid


@frozen
class AddNic:
    """Add a network interface; its place is the last if none is given."""

    instance: InstanceUuid
    nic: Nic
    index: int | None = None


@frozen
class UpdateNic:
    """Replace a network interface of an instance."""

    instance: InstanceUuid
    nic: Nic


@frozen
class RemoveNic:
    """Remove a network interface; its address is free again."""

    instance: InstanceUuid
    uuid: NicUuid


DiskChange = AddDisk | AttachDisk | DetachDisk | UpdateDisk | RestoreDisk | RemoveDisk
NicChange = AddNic | UpdateNic | RemoveNic
