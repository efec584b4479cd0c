"""Disks on this node, through the storage driver of their template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from gantry.drivers.storage.files import FileStorage
from gantry.drivers.storage.port import Storage
from gantry.protocols.noded import Missing
from gantry.protocols.runtime_types import DiskSpec, InstanceSpec
from gantry.runtime.environment import Environment


@frozen
class Disks:
    """The disks of one node."""

    storages: Mapping[str, Storage]

    @classmethod
    async def of(cls, env: Environment) -> Disks:
        """Return the disks of a node, with what its administrator allows."""
        return cls(
            {
                "file": await FileStorage.of(env, "file"),
                "sharedfile": await FileStorage.of(env, "sharedfile"),
            }
        )

    def _storage(self, disk: DiskSpec) -> Storage:
        try:
            return self.storages[disk.template]
        except KeyError:
            raise Missing(f"this node has no driver for disk template {disk.template}") from None

    def paths(self, spec: InstanceSpec) -> tuple[Path, ...]:
        """Return where an instance's disks are on this machine, in its order."""
        return tuple(self._storage(disk).path(disk) for disk in spec.disks)

    async def exists(self, disk: DiskSpec) -> bool:
        """Whether a disk's data is there."""
        return await self._storage(disk).exists(disk)

    async def create(self, disk: DiskSpec, *, again: bool) -> None:
        """Create a disk; ``again`` if this was begun before, so that what is there is ours."""
        if again:
            await self._storage(disk).remove(disk)
        await self._storage(disk).create(disk)

    async def wipe(self, spec: InstanceSpec) -> None:
        """Make an instance's disks empty again, after an installation that broke off."""
        for disk in spec.disks:
            await self.create(disk, again=True)

    async def remove(self, disk: DiskSpec) -> None:
        """Remove a disk."""
        await self._storage(disk).remove(disk)

    async def rename(self, disk: DiskSpec, new_disk: DiskSpec) -> None:
        """Move a disk to its new place."""
        await self._storage(disk).rename(disk, new_disk)

    async def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the places where disks are."""
        found: list[str] = []
        for storage in self.storages.values():
            found += await storage.problems()
        return tuple(found)
