"""A node group: nodes between which instances may move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import field, frozen

from gantry.protocols.codec import Json
from gantry.protocols.identity import GroupUuid, NetworkUuid, NodeUuid
from gantry.protocols.objects.vocabulary import AllocationPolicy, Parameters
from gantry.protocols.objects.wire import ConfigObject


@frozen(kw_only=True)
class NodeGroup(ConfigObject):
    """Nodes that share networks and storage, between which instances may move."""

    name: str
    members: tuple[NodeUuid, ...] = ()
    """Not kept up to date by anybody: the members are the nodes whose ``group`` this is."""
    ndparams: Parameters
    """Partial: what differs from the cluster's."""
    alloc_policy: AllocationPolicy
    ipolicy: Mapping[str, Json]
    """Partial; its ``minmax``, if any, replaces the cluster's as a whole."""
    diskparams: Mapping[str, Parameters]
    """By disk template, partial."""
    networks: Mapping[NetworkUuid, Parameters]
    """The networks that reach the group, with the NIC parameters to connect with."""
    hv_state_static: Mapping[str, Json] = field(factory=dict)
    disk_state_static: Mapping[str, Json] = field(factory=dict)
    ctime: float = 0.0
    mtime: float = 0.0
    uuid: GroupUuid
    serial_no: int
    tags: frozenset[str] = frozenset()

    OMITTED_WHEN_EMPTY: ClassVar[frozenset[str]] = frozenset(
        {"hv_state_static", "disk_state_static"}
    )
