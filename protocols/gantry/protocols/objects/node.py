"""A node: a machine of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import field, frozen

from gantry.protocols.codec import Json
from gantry.protocols.identity import GroupUuid, NodeUuid
from gantry.protocols.objects.vocabulary import Parameters
from gantry.protocols.objects.wire import ConfigObject


@frozen(kw_only=True)
class Node(ConfigObject):
    """A machine of the cluster."""

    name: str
    """The fully qualified host name."""
    primary_ip: str
    secondary_ip: str
    """The address for replication traffic; the primary one where there is no second network."""
    master_candidate: bool
    offline: bool
    drained: bool
    """No new instances, no master role; what runs there goes on."""
    group: GroupUuid
    master_capable: bool
    vm_capable: bool
    ndparams: Parameters = field(factory=dict)
    """Partial: what differs from the node group's."""
    powered: bool
    hv_state_static: Mapping[str, Json] = field(factory=dict)
    disk_state_static: Mapping[str, Json] = field(factory=dict)
    ctime: float = 0.0
    """Seconds since the epoch at which the object was made; 0 when unknown."""
    mtime: float = 0.0
    uuid: NodeUuid
    serial_no: int
    """1 when the object is made, one more with every change."""
    tags: frozenset[str] = frozenset()

    OMITTED_WHEN_EMPTY: ClassVar[frozenset[str]] = frozenset(
        {"hv_state_static", "disk_state_static"}
    )
