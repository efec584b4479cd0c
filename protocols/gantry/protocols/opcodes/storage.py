"""Opcodes about the storage of nodes."""

from __future__ import annotations

from attrs import frozen

from gantry.protocols.opcodes.opcode import NodeOpcode, Opcode
from gantry.protocols.opcodes.vocabulary import AnyParameters, StorageType
from gantry.protocols.values import NonEmpty


@frozen(kw_only=True)
class OpNodeQueryvols(Opcode):
    """List the logical volumes of nodes."""

    output_fields: tuple[NonEmpty, ...]
    nodes: tuple[NonEmpty, ...] = ()
    """All nodes if empty."""


@frozen(kw_only=True)
class OpNodeQueryStorage(Opcode):
    """List the storage units of nodes."""

    output_fields: tuple[NonEmpty, ...]
    storage_type: StorageType | None = None
    """``None``: that of the cluster's default disk template."""
    nodes: tuple[NonEmpty, ...] = ()
    """All nodes if empty."""
    name: NonEmpty | None = None
    """One unit only."""


@frozen(kw_only=True)
class OpNodeModifyStorage(NodeOpcode):
    """Change a storage unit of a node."""

    storage_type: StorageType
    name: NonEmpty | None = None
    changes: AnyParameters
    """For ``lvm-pv``: ``allocatable``."""


@frozen(kw_only=True)
class OpRepairNodeStorage(NodeOpcode):
    """Repair a volume group of a node."""

    storage_type: StorageType
    name: NonEmpty | None = None
    ignore_consistency: bool = False
    """Even if the data exists nowhere else."""


@frozen(kw_only=True)
class OpExtStorageDiagnose(Opcode):
    """List the providers of external storage and what nodes say about them."""

    output_fields: tuple[NonEmpty, ...]
    names: tuple[NonEmpty, ...] = ()
    """All providers if empty."""
