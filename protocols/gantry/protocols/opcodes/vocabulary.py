"""Types of parameters that opcodes of several groups share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from gantry.protocols.objects.vocabulary import DiskTemplate, Hypervisor, SshKeyType
from gantry.protocols.values import Json, NonEmpty

SHUTDOWN_SECONDS: Final = 120
"""How long a guest gets to power off, unless the opcode says otherwise."""

AnyParameters = Mapping[str, Json]
"""A parameter dictionary as a client gave it; see :mod:`gantry.protocols.parameters`."""

NicParameter = Literal["bridge", "ip", "link", "mac", "mode", "name", "network", "vlan"]
NicParameters = Mapping[NicParameter, str | None]
"""How a NIC is to be. ``none`` and ``generate`` are words with a meaning here."""

DiskParameters = Mapping[NonEmpty, NonEmpty | int]
"""How a disk is to be; the keys that a provider of external storage takes are its own."""

DiskTemplateParameters = Mapping[DiskTemplate, AnyParameters]

ChangeVerb = Literal["add", "attach", "detach", "modify", "remove"]
Listing = Literal["add", "attach", "detach", "remove"]

NicChange = tuple[ChangeVerb, int | str, NicParameters]
"""What to do with which NIC (index, -1 for the end, name or uuid)."""

DiskChange = tuple[ChangeVerb, int | str, DiskParameters]
"""What to do with which disk (index, -1 for the end, name or uuid)."""

OsListChange = tuple[Listing, NonEmpty]
"""Whether to add an OS definition's name to a list or to remove it."""

UidRange = tuple[int, int]
"""User ids, both ends included."""

Ipv4Address = str
Ipv4Network = str
"""In CIDR form."""
Ipv6Address = str
Ipv6Network = str

FileDriver = Literal["blktap", "blktap2", "loop"]
MigrationMode = Literal["live", "non-live"]
ExportMode = Literal["local", "remote"]
EvacuationMode = Literal["all", "primary-only", "secondary-only"]
CreationMode = Literal["create", "import", "remote-import"]

StorageType = Literal[
    "blockdev", "diskless", "ext", "file", "gluster", "lvm-pv", "lvm-vg", "rados", "sharedfile"
]

__all__ = [
    "SHUTDOWN_SECONDS",
    "AnyParameters",
    "ChangeVerb",
    "CreationMode",
    "DiskChange",
    "DiskParameters",
    "DiskTemplate",
    "DiskTemplateParameters",
    "EvacuationMode",
    "ExportMode",
    "FileDriver",
    "Hypervisor",
    "Ipv4Address",
    "Ipv4Network",
    "Ipv6Address",
    "Ipv6Network",
    "Listing",
    "MigrationMode",
    "NicChange",
    "NicParameter",
    "NicParameters",
    "OsListChange",
    "SshKeyType",
    "StorageType",
    "UidRange",
]
