"""Opcodes about nodes."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import frozen

from gantry.protocols.opcodes.opcode import NodeOpcode, Opcode
from gantry.protocols.opcodes.vocabulary import AnyParameters, EvacuationMode, MigrationMode
from gantry.protocols.values import NonEmpty

OutOfBandCommand = Literal["health", "power-cycle", "power-off", "power-on", "power-status"]


@frozen(kw_only=True)
class OpNodeAdd(Opcode):
    """Add a node, or add one again that was installed anew."""

    node_name: NonEmpty
    hv_state: AnyParameters | None = None
    disk_state: AnyParameters | None = None
    primary_ip: NonEmpty | None = None
    """``None``: what the name resolves to."""
    secondary_ip: NonEmpty | None = None
    """``None``: the primary one."""
    readd: bool = False
    group: NonEmpty | None = None
    """Needed only if there are several groups."""
    master_capable: bool | None = None
    vm_capable: bool | None = None
    ndparams: AnyParameters | None = None
    node_setup: bool = False
    """Set up SSH on the node."""

    SUMMARY: ClassVar[str | None] = "node_name"


@frozen(kw_only=True)
class OpNodeSetParams(NodeOpcode):
    """Change a node's roles and settings; what is ``None`` stays as it is."""

    force: bool = False
    hv_state: AnyParameters | None = None
    disk_state: AnyParameters | None = None
    master_candidate: bool | None = None
    offline: bool | None = None
    drained: bool | None = None
    auto_promote: bool = False
    """Make other nodes master candidates if there are too few of them then."""
    master_capable: bool | None = None
    vm_capable: bool | None = None
    secondary_ip: NonEmpty | None = None
    ndparams: AnyParameters | None = None
    powered: bool | None = None


@frozen(kw_only=True)
class OpNodeRemove(NodeOpcode):
    """Remove a node that has no instances."""


@frozen(kw_only=True)
class OpNodePowercycle(NodeOpcode):
    """Have a node reset itself at once."""

    force: bool = False


@frozen(kw_only=True)
class OpNodeEvacuate(NodeOpcode):
    """Move instances off a node: submits the jobs that do it."""

    early_release: bool = False
    remote_node: NonEmpty | None = None
    """The new secondary node; else the allocator chooses."""
    remote_node_uuid: NonEmpty | None = None
    iallocator: NonEmpty | None = None
    mode: EvacuationMode
    ignore_soft_errors: bool | None = None


@frozen(kw_only=True)
class OpNodeMigrate(NodeOpcode):
    """Migrate all primary instances off a node: submits the jobs that do it."""

    mode: MigrationMode | None = None
    live: bool | None = None
    """The older form of ``mode``; only one of them may be given."""
    target_node: NonEmpty | None = None
    target_node_uuid: NonEmpty | None = None
    allow_runtime_changes: bool = True
    ignore_ipolicy: bool = False
    iallocator: NonEmpty | None = None


@frozen(kw_only=True)
class OpOobCommand(Opcode):
    """Run a command of the nodes' out-of-band programs."""

    node_names: tuple[NonEmpty, ...] = ()
    """All nodes if empty."""
    node_uuids: tuple[NonEmpty, ...] | None = None
    command: OutOfBandCommand
    timeout: int = 60
    """In seconds."""
    ignore_status: bool = False
    """Power off a node even if it is not marked offline."""
    power_delay: float = 2.0
    """Seconds between powering on one node and the next."""


@frozen(kw_only=True)
class OpRestrictedCommand(Opcode):
    """Run a command on nodes of which their administrators allow that."""

    use_locking: bool = False
    nodes: tuple[NonEmpty, ...]
    node_uuids: tuple[NonEmpty, ...] | None = None
    command: NonEmpty
    """A file name in the nodes' folder of restricted commands."""


@frozen(kw_only=True)
class OpNodeCleanUp(Opcode):
    """Do on a node what earlier jobs could not undo there; an opcode of Gantry's own."""

    node_name: NonEmpty

    SUMMARY: ClassVar[str | None] = "node_name"
