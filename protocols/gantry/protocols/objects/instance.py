"""An instance: a virtual machine, with its network interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from gantry.protocols.identity import DiskUuid, InstanceUuid, NetworkUuid, NicUuid, NodeUuid
from gantry.protocols.objects.vocabulary import (
    AdminState,
    AdminStateSource,
    Hypervisor,
    Parameters,
)
from gantry.protocols.objects.wire import ConfigObject


@frozen(kw_only=True)
class Nic(ConfigObject):
    """A network interface of an instance."""

    mac: str
    ip: str | None = None
    nicparams: Parameters
    """Partial: what differs from the cluster's default."""
    network: NetworkUuid | None = None
    name: str | None = None
    uuid: NicUuid


@frozen(kw_only=True)
class Instance(ConfigObject):
    """A virtual machine that exists.

    Its disk template and its secondary nodes are not stored: they follow from its disks.
    """

    name: str
    primary_node: NodeUuid
    os: str
    """The OS definition's name, with ``+`` and the variant if there is one; may be empty."""
    hypervisor: Hypervisor
    hvparams: Parameters = field(factory=dict)
    """Partial: what differs from the cluster's and the OS definition's."""
    beparams: Parameters = field(factory=dict)
    """Partial."""
    osparams: Mapping[str, str] = field(factory=dict)
    osparams_private: Mapping[str, str] = field(factory=dict, repr=False)
    admin_state: AdminState
    admin_state_source: AdminStateSource
    nics: tuple[Nic, ...] = ()
    disks: tuple[DiskUuid, ...] = ()
    """In order: the place is the disk's index."""
    disks_active: bool
    """Whether the disks should be usable on the primary node."""
    network_port: int | None = None
    """Where a graphical console listens, if it does."""
    ctime: float = 0.0
    mtime: float = 0.0
    uuid: InstanceUuid
    serial_no: int
    tags: frozenset[str] = frozenset()


@frozen(kw_only=True)
class ForthcomingInstance(ConfigObject):
    """A place kept free for an instance that is still to come.

    Only its uuid and serial number are sure to be there; what is there is spoken for.
    """

    name: str | None = None
    primary_node: NodeUuid | None = None
    os: str | None = None
    hypervisor: Hypervisor | None = None
    hvparams: Parameters | None = None
    beparams: Parameters | None = None
    osparams: Mapping[str, str] | None = None
    osparams_private: Mapping[str, str] | None = field(default=None, repr=False)
    admin_state: AdminState | None = None
    admin_state_source: AdminStateSource | None = None
    nics: tuple[Nic, ...] | None = None
    disks: tuple[DiskUuid, ...] | None = None
    disks_active: bool | None = None
    network_port: int | None = None
    ctime: float | None = None
    mtime: float | None = None
    uuid: InstanceUuid
    serial_no: int
    tags: frozenset[str] | None = None
    forthcoming: Literal[True] = True
