"""Opcodes about node groups."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from gantry.protocols.objects.vocabulary import AllocationPolicy
from gantry.protocols.opcodes.opcode import GroupOpcode
from gantry.protocols.opcodes.vocabulary import AnyParameters, DiskTemplateParameters
from gantry.protocols.values import NonEmpty


@frozen(kw_only=True)
class OpGroupAdd(GroupOpcode):
    """Add an empty node group."""

    alloc_policy: AllocationPolicy | None = None
    ndparams: AnyParameters | None = None
    diskparams: DiskTemplateParameters | None = None
    hv_state: AnyParameters | None = None
    disk_state: AnyParameters | None = None
    ipolicy: AnyParameters | None = None


@frozen(kw_only=True)
class OpGroupSetParams(GroupOpcode):
    """Change a node group's settings; what is ``None`` stays as it is."""

    alloc_policy: AllocationPolicy | None = None
    ndparams: AnyParameters | None = None
    diskparams: DiskTemplateParameters | None = None
    hv_state: AnyParameters | None = None
    disk_state: AnyParameters | None = None
    ipolicy: AnyParameters | None = None


@frozen(kw_only=True)
class OpGroupAssignNodes(GroupOpcode):
    """Move nodes into a group."""

    force: bool = False
    """Even if an instance's disks end up in two groups."""
    nodes: tuple[NonEmpty, ...]
    node_uuids: tuple[NonEmpty, ...] | None = None


@frozen(kw_only=True)
class OpGroupEvacuate(GroupOpcode):
    """Move all instances out of a node group: submits the jobs that do it."""

    early_release: bool = False
    """Release a disk's old places before its new ones are in sync."""
    iallocator: NonEmpty | None = None
    target_groups: tuple[NonEmpty, ...] | None = None
    """``None``: anywhere."""
    sequential: bool = False
    force_failover: bool = False


@frozen(kw_only=True)
class OpGroupRename(GroupOpcode):
    """Give a node group another name."""

    new_name: NonEmpty

    SUMMARY: ClassVar[str | None] = None


@frozen(kw_only=True)
class OpGroupRemove(GroupOpcode):
    """Remove an empty node group."""
