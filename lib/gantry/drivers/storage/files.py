"""Disks that are raw, sparse files: the templates ``file`` and ``sharedfile``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trio
from attrs import frozen
from typing_extensions import override

from gantry.drivers.file_sizes import size_bytes
from gantry.drivers.storage.allowed import DEFAULT_FOLDERS, check_path, parse_allowed
from gantry.drivers.storage.port import Storage
from gantry.protocols.runtime_types import DiskExists, DiskSpec, DriverFailed, FileTemplate
from gantry.runtime.environment import Environment

MIB: Final = 1024 * 1024
DISK_MODE: Final = 0o600


@frozen
class FileStorage(Storage):
    """Raw files below a folder of the node."""

    environment: Environment
    template: FileTemplate
    allowed: tuple[str, ...]
    """The folders below which disks may be, as paths of the node."""

    @classmethod
    async def of(cls, environment: Environment, template: FileTemplate) -> FileStorage:
        """Read what the node allows."""
        listed = environment.paths.etc / "file-storage-paths"
        try:
            text = (await environment.files.read(listed)).decode(errors="replace")
        except FileNotFoundError:
            return cls(environment, template, (DEFAULT_FOLDERS[template],))
        return cls(environment, template, parse_allowed(text))

    @override
    def path(self, disk: DiskSpec) -> Path:
        return self.environment.paths.below(str(check_path(disk.path, self.allowed)))

    @override
    async def exists(self, disk: DiskSpec) -> bool:
        return await self.environment.files.exists(self.path(disk))

    @override
    async def size_mib(self, disk: DiskSpec) -> int:
        path = self.path(disk)
        size = await size_bytes(self.environment.processes, path)
        if size is None:
            raise DriverFailed(f"disk {path}", "it does not exist")
        return size // MIB

    @override
    async def create(self, disk: DiskSpec) -> None:
        path, files = self.path(disk), self.environment.files
        if await files.exists(path):
            raise DiskExists(str(path))
        try:
            await files.make_folder(path.parent)
            await self._resize(path, disk.size_mib)
        except OSError as error:
            await self.remove(disk)
            raise DriverFailed(f"disk {path}", error.strerror or str(error)) from error
        except trio.Cancelled:
            with trio.CancelScope(shield=True):  # one unlink
                await self.remove(disk)
            raise

    async def _resize(self, path: Path, size_mib: int) -> None:
        file = await self.environment.files.append_to(path, DISK_MODE)
        try:
            await file.truncate(size_mib * MIB)
        finally:
            await file.aclose()

    @override
    async def remove(self, disk: DiskSpec) -> None:
        path = self.path(disk)
        await self.environment.files.remove(path)
        await self._remove_if_empty(path.parent)

    async def _remove_if_empty(self, folder: Path) -> None:
        """Remove an instance's folder with its last disk, but never an allowed folder itself."""
        roots = {self.environment.paths.below(allowed) for allowed in self.allowed}
        if folder not in roots and not await self.environment.files.list(folder):
            await self.environment.files.remove_tree(folder)

    @override
    async def rename(self, disk: DiskSpec, new: DiskSpec) -> None:
        old_path, new_path, files = self.path(disk), self.path(new), self.environment.files
        old_there, new_there = await files.exists(old_path), await files.exists(new_path)
        if old_path == new_path:
            return
        if new_there and not old_there:  # perhaps by one who came no further than that
            await self._remove_if_empty(old_path.parent)
            return
        if new_there:
            raise DiskExists(str(new_path))
        if not old_there:
            raise DriverFailed(f"disk {old_path}", "it does not exist")
        await files.make_folder(new_path.parent)
        await files.rename(old_path, new_path)
        await self._remove_if_empty(old_path.parent)

    @override
    async def grow(self, disk: DiskSpec, size_mib: int) -> None:
        current, path = await self.size_mib(disk), self.path(disk)
        if size_mib < current:
            raise DriverFailed(f"disk {path}", f"it has {current} MiB already; it can not shrink")
        if size_mib > current:
            await self._resize(path, size_mib)

    @override
    async def problems(self) -> tuple[str, ...]:
        missing: list[str] = []
        for folder in self.allowed:
            path = self.environment.paths.below(folder)
            if not await self.environment.files.exists(path):
                missing.append(f"{self.template} storage folder {path} does not exist")
        return tuple(missing)
