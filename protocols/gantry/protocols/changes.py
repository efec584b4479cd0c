"""Changes of the configuration: what WConfD is asked to do, one typed value each.

A change is small and says what it means, so that its cost is its own and not that of the
cluster. Objects that are added carry serial number 1 and their times; for every other change
WConfD itself raises serial numbers and modification times as Ganeti does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from gantry.protocols.codec import Json
from gantry.protocols.device_changes import DiskChange, NicChange
from gantry.protocols.identity import (
    DiskUuid,
    FilterUuid,
    GroupUuid,
    InstanceUuid,
    LeftoverUuid,
    NodeUuid,
)
from gantry.protocols.network_changes import NetworkChange
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.node import Node

TaggedKind = Literal["cluster", "nodegroup", "node", "instance", "network"]
AdminState = Literal["up", "down", "offline"]
AdminStateSource = Literal["admin", "user"]


@frozen
class AddNode:
    """Add a node. A master candidate also gets its certificate's digest listed."""

    node: Node
    certificate_digest: str | None = None


@frozen
class UpdateNode:
    """Replace a node; its serial number must be the stored one.

    One that becomes a master candidate brings its certificate's digest; one that ceases to be
    loses it.
    """

    node: Node
    certificate_digest: str | None = None


@frozen
class RemoveNode:
    """Remove a node that no instance uses and that is not the master."""

    uuid: NodeUuid


@frozen
class AddGroup:
    """Add a node group."""

    group: NodeGroup


@frozen
class UpdateGroup:
    """Replace a node group; its serial number must be the stored one."""

    group: NodeGroup


@frozen
class AssignGroups:
    """Move nodes to other node groups, all or none."""

    groups: Mapping[NodeUuid, GroupUuid]


@frozen
class RemoveGroup:
    """Remove an empty node group that is not the last."""

    uuid: GroupUuid


@frozen
class UpdateCluster:
    """Replace the cluster's own object; its serial number must be the stored one."""

    cluster: Cluster


@frozen
class AddInstance:
    """Add an instance with all of its disks."""

    instance: Instance
    disks: tuple[Disk, ...]


@frozen
class UpdateInstance:
    """Replace an instance; its serial number must be the stored one."""

    instance: Instance


@frozen
class RenameInstance:
    """Give an instance another name, and its file based disks their new places."""

    uuid: InstanceUuid
    new_name: str
    disks: Mapping[DiskUuid, Json]
    """The new logical ids of the disks that move."""


@frozen
class SetInstanceState:
    """Say what an instance should be doing; ``None`` keeps what is there."""

    uuid: InstanceUuid
    admin_state: AdminState | None = None
    admin_state_source: AdminStateSource | None = None
    disks_active: bool | None = None


@frozen
class SetInstancePrimary:
    """Say that an instance lives on another node now."""

    uuid: InstanceUuid
    node: NodeUuid


@frozen
class RemoveInstance:
    """Remove an instance with its disks; its network port returns to the pool."""

    uuid: InstanceUuid


@frozen
class RestoreCluster:
    """Put the cluster's own object back as it was, but for serial number and times.

    The master, the ports in use and the candidates' certificates are other changes' concern.

    This undoes an update, and so do all that are called so: the job has held the object's lock
    since, so that what is stored is what was there before or what the job made of it.
    """

    cluster: Cluster


@frozen
class RestoreGroup:
    """Put a node group back as it was, but for serial number and times."""

    group: NodeGroup


@frozen
class RestoreNode:
    """Put a node back as it was, but for serial number and times."""

    node: Node
    certificate_digest: str | None = None


@frozen
class RestoreInstance:
    """Put an instance back as it was, but for serial number and times."""

    instance: Instance


@frozen
class ChangeTags:
    """Add and remove tags of one object; ``uuid`` is ignored for the cluster."""

    of: TaggedKind
    uuid: str
    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()


@frozen
class AddFilter:
    """Add a job filter rule."""

    rule: FilterRule


@frozen
class UpdateFilter:
    """Replace a job filter rule; rules have no serial numbers, the last change counts."""

    rule: FilterRule


@frozen
class RemoveFilter:
    """Remove a job filter rule."""

    uuid: FilterUuid


@frozen
class AddLeftover:
    """Note what a job leaves behind on a node."""

    leftover: Leftover


@frozen
class UpdateLeftover:
    """Replace a left-over, such as why it is still there; guarded by its serial number."""

    leftover: Leftover


@frozen
class RemoveLeftover:
    """Strike out a left-over that was cleaned up; one that is struck out already is no error."""

    uuid: LeftoverUuid


ClusterChange = UpdateCluster | RestoreCluster
GroupChange = AddGroup | UpdateGroup | AssignGroups | RemoveGroup | RestoreGroup
NodeChange = AddNode | UpdateNode | RemoveNode | RestoreNode
InstanceChange = (
    AddInstance
    | UpdateInstance
    | RenameInstance
    | SetInstanceState
    | SetInstancePrimary
    | RemoveInstance
    | RestoreInstance
)
FilterChange = AddFilter | UpdateFilter | RemoveFilter
LeftoverChange = AddLeftover | UpdateLeftover | RemoveLeftover

Change = (
    ClusterChange
    | GroupChange
    | NodeChange
    | InstanceChange
    | DiskChange
    | NicChange
    | NetworkChange
    | FilterChange
    | LeftoverChange
    | ChangeTags
)
