"""The storage port: what NodeD asks of every disk template.

Methods raise the errors of :mod:`gantry.protocols.runtime_types`. All but :meth:`Storage.create`
are idempotent by themselves; NodeD's keys make a repeated creation so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gantry.protocols.runtime_types import DiskSpec


class Storage(Protocol):
    """Disks of one template on one node."""

    def path(self, disk: DiskSpec) -> Path:
        """Return where a disk's data is on this machine.

        Raises:
            PathRefused: it would be outside of what the node allows.
        """

    async def exists(self, disk: DiskSpec) -> bool:
        """Whether a disk's data is there."""

    async def size_mib(self, disk: DiskSpec) -> int:
        """Return a disk's real size.

        Raises:
            DriverFailed: there is no such disk.
        """

    async def create(self, disk: DiskSpec) -> None:
        """Create an empty disk.

        Raises:
            DiskExists: something is there already; it is left alone.
            DriverFailed: it could not be created; nothing of it is left.
        """

    async def remove(self, disk: DiskSpec) -> None:
        """Remove a disk; it is no error if there is none."""

    async def rename(self, disk: DiskSpec, new: DiskSpec) -> None:
        """Move a disk to another place; done already is no error.

        Raises:
            DiskExists: both the old and something at the new place exist.
            DriverFailed: neither exists.
        """

    async def grow(self, disk: DiskSpec, size_mib: int) -> None:
        """Enlarge a disk; one that is as large already is left alone.

        Raises:
            DriverFailed: there is no such disk, or it is larger.
        """

    async def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the place where the disks are, for cluster verify."""
