"""Opcodes that move an instance to another node."""

from __future__ import annotations

from attrs import frozen

from gantry.protocols.opcodes.opcode import InstanceOpcode
from gantry.protocols.opcodes.vocabulary import SHUTDOWN_SECONDS, MigrationMode
from gantry.protocols.values import NonEmpty, NonNegative


@frozen(kw_only=True)
class OpInstanceMigrate(InstanceOpcode):
    """Move a running instance to a node that sees its disks, without stopping it."""

    mode: MigrationMode | None = None
    """``None``: the hypervisor's default."""
    live: bool | None = None
    """The older form of ``mode``; only one of them may be given."""
    target_node: NonEmpty | None = None
    """For disks that all nodes see; else the secondary node it is."""
    target_node_uuid: NonEmpty | None = None
    allow_runtime_changes: bool = True
    """Take memory from the instance if the target has too little."""
    ignore_ipolicy: bool = False
    cleanup: bool = False
    """Tidy up after a migration that failed; migrate nothing."""
    iallocator: NonEmpty | None = None
    allow_failover: bool = False
    """Fail over if the instance does not run."""
    ignore_hvversions: bool = False
    """Even if the nodes' hypervisors differ in version."""


@frozen(kw_only=True)
class OpInstanceFailover(InstanceOpcode):
    """Stop an instance and start it on a node that sees its disks."""

    shutdown_timeout: NonNegative = SHUTDOWN_SECONDS
    ignore_consistency: bool = False
    """Even if the mirror on the other node is not in sync, or the old node does not answer."""
    target_node: NonEmpty | None = None
    target_node_uuid: NonEmpty | None = None
    ignore_ipolicy: bool = False
    cleanup: bool = False
    """Tidy up after a failover that failed."""
    iallocator: NonEmpty | None = None


@frozen(kw_only=True)
class OpInstanceMove(InstanceOpcode):
    """Stop an instance and copy its disks to another node."""

    shutdown_timeout: NonNegative = SHUTDOWN_SECONDS
    ignore_ipolicy: bool = False
    target_node: NonEmpty
    target_node_uuid: NonEmpty | None = None
    compress: str = "none"
    ignore_consistency: bool = False


@frozen(kw_only=True)
class OpInstanceChangeGroup(InstanceOpcode):
    """Move an instance to another node group: submits the jobs that do it."""

    early_release: bool = False
    iallocator: NonEmpty | None = None
    target_groups: tuple[NonEmpty, ...] | None = None
    """``None``: any other."""
