"""The file systems of a machine in memory, and one process's way to them."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.runtime.environment import AppendFile, FileChanges, Files
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.testing.life import Life

Watch = Callable[[str, Path], Awaitable[None]]
"""Told of each operation before it is done; it may take its time."""


@define(eq=False)
class Mounts:
    """File systems, each mounted on a folder; the longest one wins."""

    mounted: Mapping[Path, MemoryFiles]
    _found: dict[Path, MemoryFiles] = field(factory=dict, init=False)
    """What was looked up before."""

    def mount(self, mounted: Mapping[Path, MemoryFiles]) -> None:
        """Have other file systems than before."""
        self.mounted = mounted
        self._found.clear()

    def at(self, path: Path) -> MemoryFiles:
        """Return the file system in which a path is."""
        found = self._found.get(path)
        if found is None:
            folder = next(each for each in (path, *path.parents) if each in self.mounted)
            found = self._found[path] = self.mounted[folder]
        return found

    def bind(self, path: Path, listener: object) -> None:
        """Give a socket a name; see :meth:`MemoryFiles.bind`."""
        self.at(path).bind(path, listener)

    def bound_to(self, path: Path) -> object:
        """Return what was bound to a name; see :meth:`MemoryFiles.bound_to`."""
        return self.at(path).bound_to(path)

    async def remove(self, path: Path) -> None:
        """Remove a name."""
        await self.at(path).remove(path)


@frozen
class ProcessFiles(Files):
    """The files of a machine as one process uses them: a dead one does not."""

    _mounts: Mounts
    _life: Life
    _watch: Watch

    async def _begin(self, operation: str, path: Path) -> MemoryFiles:
        self._life.check()
        await self._watch(operation, path)
        self._life.check()
        return self._mounts.at(path)

    @override
    async def read(self, path: Path) -> bytes:
        files = await self._begin("read", path)
        return await files.read(path)

    @override
    async def write(self, path: Path, data: bytes, mode: int = 0o640) -> None:
        files = await self._begin("write", path)
        await files.write(path, data, mode)

    @override
    async def read_part(self, path: Path, offset: int, size: int) -> bytes:
        files = await self._begin("read", path)
        return await files.read_part(path, offset, size)

    @override
    async def overwrite(self, path: Path, data: bytes, mode: int = 0o640) -> None:
        files = await self._begin("overwrite", path)
        await files.overwrite(path, data, mode)

    @override
    async def append_to(self, path: Path, mode: int = 0o640) -> AppendFile:
        files = await self._begin("open", path)
        return _ProcessAppendFile(await files.append_to(path, mode), path, self._life, self._watch)

    @override
    async def remove(self, path: Path) -> None:
        files = await self._begin("remove", path)
        await files.remove(path)

    @override
    async def rename(self, old: Path, new: Path) -> None:
        files = await self._begin("rename", old)
        if files is not self._mounts.at(new):
            raise OSError(errno.EXDEV, "on another file system", str(new))
        await files.rename(old, new)

    @override
    async def make_folder(self, path: Path, mode: int = 0o750) -> None:
        files = await self._begin("folder", path)
        await files.make_folder(path, mode)

    @override
    async def remove_tree(self, path: Path) -> None:
        files = await self._begin("remove", path)
        await files.remove_tree(path)

    @override
    async def list(self, path: Path) -> tuple[str, ...]:
        files = await self._begin("list", path)
        return await files.list(path)

    @override
    async def exists(self, path: Path) -> bool:
        files = await self._begin("exists", path)
        return await files.exists(path)

    @override
    async def link(self, path: Path, target: Path) -> None:
        files = await self._begin("link", path)
        await files.link(path, target)

    @override
    def watch(self, *paths: Path) -> AbstractAsyncContextManager[FileChanges]:
        return self._watching(paths)

    @asynccontextmanager
    async def _watching(self, paths: tuple[Path, ...]) -> AsyncIterator[FileChanges]:
        self._life.check()
        by_files: dict[int, tuple[MemoryFiles, list[Path]]] = {}
        for path in paths:
            files = self._mounts.at(path)
            by_files.setdefault(id(files), (files, []))[1].append(path)
        async with AsyncExitStack() as stack:
            watches = [
                await stack.enter_async_context(files.watch(*some))
                for files, some in by_files.values()
            ]
            yield _AnyChanges(watches, self._life)


@frozen
class _AnyChanges(FileChanges):
    _watches: list[FileChanges]
    _life: Life

    @override
    async def wait(self) -> None:
        self._life.check()
        async with trio.open_nursery() as nursery:

            async def one(changes: FileChanges) -> None:
                await changes.wait()
                nursery.cancel_scope.cancel()

            for each in self._watches:
                nursery.start_soon(one, each)
        self._life.check()


@define(eq=False)
class _ProcessAppendFile(AppendFile):
    _file: AppendFile
    _path: Path
    _life: Life
    _watch: Watch
    _is_open: bool = field(default=True, init=False)

    async def _begin(self, operation: str) -> None:
        self._life.check()
        await self._watch(operation, self._path)
        self._life.check()

    @override
    async def append(self, data: bytes) -> None:
        await self._begin("append")
        await self._file.append(data)

    @override
    async def sync(self) -> None:
        await self._begin("sync")
        await self._file.sync()

    @override
    async def truncate(self, size: int) -> None:
        await self._begin("truncate")
        await self._file.truncate(size)

    @override
    async def aclose(self) -> None:
        await self._file.aclose()
        self._life.check()


def mounts_of(root: MemoryFiles, others: Mapping[Path, MemoryFiles]) -> Mounts:
    """Return the file systems of a machine."""
    return Mounts({Path("/"): root, **others})
