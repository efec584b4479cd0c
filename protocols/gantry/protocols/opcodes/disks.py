"""Opcodes about an instance's disks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen
from typing_extensions import override

from gantry.protocols.opcodes.opcode import InstanceOpcode
from gantry.protocols.opcodes.vocabulary import DiskParameters
from gantry.protocols.values import DiskIndex, Json, NonEmpty, NonNegative

ReplaceMode = Literal[
    "replace_auto", "replace_new_secondary", "replace_on_primary", "replace_on_secondary"
]

DiskToRecreate = tuple[NonNegative, DiskParameters]
"""A disk's index and what is to be different about it."""


@frozen(kw_only=True)
class OpInstanceActivateDisks(InstanceOpcode):
    """Make a stopped instance's disks usable on its primary node.

    The result lists (node, disk, device) of each.
    """

    ignore_size: bool = False
    """Use the size that the disk has, whatever the configuration says."""
    wait_for_sync: bool = False


@frozen(kw_only=True)
class OpInstanceDeactivateDisks(InstanceOpcode):
    """Undo the activation of a stopped instance's disks."""

    force: bool = False
    """Even if the instance runs."""


@frozen(kw_only=True)
class OpInstanceGrowDisk(InstanceOpcode):
    """Make a disk larger."""

    wait_for_sync: bool = True
    disk: DiskIndex
    amount: NonNegative
    """In MiB."""
    absolute: bool = False
    """Whether ``amount`` is the new size; else it is added."""
    ignore_ipolicy: bool = False


@frozen(kw_only=True)
class OpInstanceRecreateDisks(InstanceOpcode):
    """Make the disks of an instance again, empty, after they were lost."""

    disks: tuple[DiskToRecreate, ...] = ()
    """All disks if empty."""
    nodes: tuple[NonEmpty, ...] = ()
    """Where; on the present nodes if empty."""
    node_uuids: tuple[NonEmpty, ...] | None = None
    iallocator: NonEmpty | None = None

    @override
    @classmethod
    def from_wire(cls, sent: Mapping[str, Json]) -> Mapping[str, Json]:
        sent = super().from_wire(sent)
        disks = sent.get("disks")
        if isinstance(disks, list) and all(type(each) is int for each in disks):
            return {**sent, "disks": [[index, {}] for index in disks]}
        return sent


@frozen(kw_only=True)
class OpInstanceReplaceDisks(InstanceOpcode):
    """Copy one half of mirrored disks to fresh volumes, in place or on a new secondary node."""

    early_release: bool = False
    """Remove the old half before the new one is in sync."""
    ignore_ipolicy: bool = False
    mode: ReplaceMode
    disks: tuple[DiskIndex, ...] = ()
    """All disks if empty."""
    remote_node: NonEmpty | None = None
    """The new secondary node; else the allocator chooses."""
    remote_node_uuid: NonEmpty | None = None
    iallocator: NonEmpty | None = None
