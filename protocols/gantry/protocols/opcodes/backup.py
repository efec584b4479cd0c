"""Opcodes about exports of instances."""

from __future__ import annotations

from attrs import frozen

from gantry.protocols.opcodes.opcode import InstanceOpcode
from gantry.protocols.opcodes.vocabulary import SHUTDOWN_SECONDS, ExportMode
from gantry.protocols.values import Json, NonEmpty, NonNegative


@frozen(kw_only=True)
class OpBackupPrepare(InstanceOpcode):
    """Return what an export to another cluster needs to know."""

    mode: ExportMode


@frozen(kw_only=True)
class OpBackupExport(InstanceOpcode):
    """Write an instance's disks and settings to a node's export folder or another cluster.

    The result is (whether it ended well, whether each disk was exported).
    """

    compress: str = "none"
    shutdown_timeout: NonNegative = SHUTDOWN_SECONDS
    target_node: NonEmpty | tuple[Json, ...]
    """A node's name; for a remote export one entry for each disk."""
    target_node_uuid: NonEmpty | None = None
    shutdown: bool = True
    """Stop the instance while its disks are copied."""
    remove_instance: bool = False
    ignore_remove_failures: bool = False
    mode: ExportMode = "local"
    x509_key_name: tuple[Json, ...] | None = None
    destination_x509_ca: NonEmpty | None = None
    zero_free_space: bool = False
    """Overwrite unused space first, so that the export becomes smaller."""
    zeroing_timeout_fixed: int | None = None
    """In seconds; to this comes an amount for each MiB."""
    zeroing_timeout_per_mib: float | None = None
    long_sleep: bool = False
    """Keep the instance stopped for the whole export and not just for the snapshot."""


@frozen(kw_only=True)
class OpBackupRemove(InstanceOpcode):
    """Remove the exports of an instance from all nodes."""
