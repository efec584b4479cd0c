"""Files in memory, for tests: they can run full, fail, and lose power at any operation.

:class:`MemoryFiles` keeps the contract of :class:`gantry.runtime.environment.Files` (the same
contract tests run against both). What was appended and not flushed is lost, in part or wholly,
when the power goes; everything else the contract calls durable is kept.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.runtime.environment import AppendFile, FileChanges, Files

Operation = Literal[
    "write", "overwrite", "append", "sync", "truncate", "remove", "rename", "open", "folder"
]

Fault = Callable[[Operation, Path], OSError | None]
"""Says whether an operation on a file fails, and how. A failing append has written the half."""


SECTOR_BYTES: Final = 512
"""What a disk writes as a whole or not at all."""


async def no_pause() -> None:
    """Go on at once."""


class PowerLost(Exception):
    """The machine went dark in the middle of an operation; nothing works on it any more."""


@define
class _Inode:
    content: bytearray
    durable: int
    """How many bytes of the content are sure to survive."""


@frozen
class _Link:
    target: Path


@frozen(eq=False)
class _Socket:
    """A name that was bound; whether somebody listens there is the network's affair."""

    listener: object


_Entry = _Inode | _Link | _Socket | Literal["folder"]


def _lose_sectors(content: bytearray, durable: int, is_lost: Callable[[], bool]) -> None:
    first = durable // SECTOR_BYTES * SECTOR_BYTES
    for start in range(first, len(content), SECTOR_BYTES):
        if is_lost():
            begin, end = max(start, durable), min(start + SECTOR_BYTES, len(content))
            content[begin:end] = bytes(end - begin)


@define
class MemoryFiles(Files):
    """The file system of one machine."""

    fault: Fault | None = None
    power_lost_at: int | None = None
    """The number of the changing operation, from 0, during which the power goes."""
    pause: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    """Awaited in each operation; another one where whoever calls has waited already."""
    power_lost_late: bool = False
    """Whether that operation had taken effect by then, though nobody heard of it: a file may have
    been replaced already while its folder was being flushed."""
    operations: int = field(default=0, init=False)
    """How many changing operations were begun."""
    _entries: dict[Path, _Entry] = field(factory=lambda: {Path("/"): "folder"}, init=False)
    _watchers: list[_MemoryChanges] = field(factory=list, init=False)

    def survivors(
        self, kept: Callable[[int], int], is_lost: Callable[[], bool] | None = None
    ) -> MemoryFiles:
        """Return the machine after power is back.

        Args:
            kept: given how many bytes of a file were not flushed, how many of them survived.
            is_lost: asked for each sector in which some of those are: whether it never came to be
                written, so that zeros are there although what follows may have been written.
        """
        after = MemoryFiles(pause=self.pause)
        for path, entry in self._entries.items():
            if isinstance(entry, _Inode):
                size = entry.durable + kept(len(entry.content) - entry.durable)
                content = entry.content[:size]
                if is_lost is not None:
                    _lose_sectors(content, entry.durable, is_lost)
                after._entries[path] = _Inode(content, size)
            else:
                after._entries[path] = entry
        return after

    def put(self, path: Path, data: bytes) -> None:
        """Set up a file with its folders, as a test's beginning."""
        self.put_folder(path.parent)
        self._entries[path] = _Inode(bytearray(data), len(data))
        self._tell(path)

    def put_folder(self, path: Path) -> None:
        """Set up a folder with its parents, as a test's beginning."""
        for each in (path, *path.parents):
            self._entries.setdefault(each, "folder")

    def bind(self, path: Path, listener: object) -> None:
        """Give a socket a name.

        Raises:
            OSError: there is something of that name, or no such folder.
        """
        self._folder_of(path)
        if path in self._entries:
            raise OSError(errno.EADDRINUSE, "address already in use", str(path))
        self._entries[path] = _Socket(listener)

    def bound_to(self, path: Path) -> object:
        """Return what was bound to a name.

        Raises:
            OSError: there is nothing of that name, or no socket.
        """
        entry = self._entries.get(self._resolve(path))
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        if not isinstance(entry, _Socket):
            raise ConnectionRefusedError(errno.ECONNREFUSED, "no socket", str(path))
        return entry.listener

    def paths(self) -> tuple[Path, ...]:
        """Return everything that is there but folders, for a test's assertions."""
        return tuple(sorted(p for p, entry in self._entries.items() if entry != "folder"))

    def content(self, path: Path) -> bytes:
        """Return a file's content, for a test's assertions."""
        return bytes(self._inode(path).content)

    @override
    async def read(self, path: Path) -> bytes:
        await self.pause()
        return self.content(path)

    @override
    async def write(self, path: Path, data: bytes, mode: int = 0o640) -> None:
        lost = await self.begin("write", path)
        self._folder_of(path)
        if not lost:  # the power went before the rename: the old content is still there
            self._entries[self._resolve(path)] = _Inode(bytearray(data), len(data))
            self._tell(path)
        self.end()

    @override
    async def write_all(
        self, contents: Mapping[Path, bytes], mode: int = 0o640, by_way_of: Path | None = None
    ) -> None:
        if by_way_of is not None and contents:
            self._folder_of(by_way_of / "new")
        await super().write_all(contents, mode)

    @override
    async def read_part(self, path: Path, offset: int, size: int) -> bytes:
        await self.pause()
        return self.content(path)[offset : offset + size]

    @override
    async def overwrite(self, path: Path, data: bytes, mode: int = 0o640) -> None:
        await self.begin("overwrite", path)
        self._folder_of(path)
        entry = self._entries.setdefault(self._resolve(path), _Inode(bytearray(), 0))
        if not isinstance(entry, _Inode):
            raise IsADirectoryError(21, "is a directory", str(path))
        entry.content[: len(data)] = data
        entry.durable = 0
        self._tell(path)
        self.end()

    @override
    async def append_to(self, path: Path, mode: int = 0o640) -> AppendFile:
        await self.begin("open", path)
        self._folder_of(path)
        entry = self._entries.setdefault(self._resolve(path), _Inode(bytearray(), 0))
        if not isinstance(entry, _Inode):
            raise IsADirectoryError(21, "is a directory", str(path))
        self.end()
        return _MemoryAppendFile(self, path, entry)

    @override
    async def remove(self, path: Path) -> None:
        lost = await self.begin("remove", path)
        if not lost:
            self._entries.pop(path, None)
            self._tell(path)
        self.end()

    @override
    async def rename(self, old: Path, new: Path) -> None:
        lost = await self.begin("rename", old)
        self._folder_of(new)
        if old not in self._entries:
            raise FileNotFoundError(2, "no such file", str(old))
        if not lost:
            within = [path for path in self._entries if old in path.parents]
            for path in (old, *within):
                self._entries[new / path.relative_to(old)] = self._entries.pop(path)
            self._tell(old, new)
        self.end()

    @override
    async def make_folder(self, path: Path, mode: int = 0o750) -> None:
        await self.begin("folder", path)
        for each in (path, *path.parents):
            if self._entries.setdefault(each, "folder") != "folder":
                raise FileExistsError(17, "not a folder", str(each))
        self.end()

    @override
    async def remove_tree(self, path: Path) -> None:
        lost = await self.begin("remove", path)
        for each in [each for each in self._entries if each == path or path in each.parents]:
            if not lost:
                del self._entries[each]
                self._tell(each)
        self.end()

    @override
    async def list(self, path: Path) -> tuple[str, ...]:
        await self.pause()
        start = f"{path}/".replace("//", "/")
        below = [str(each)[len(start) :] for each in self._entries if str(each).startswith(start)]
        return tuple(sorted(name for name in below if name and "/" not in name))

    @override
    async def exists(self, path: Path) -> bool:
        await self.pause()
        return self._resolve(path) in self._entries

    @override
    async def link(self, path: Path, target: Path) -> None:
        lost = await self.begin("write", path)
        self._folder_of(path)
        if not lost:
            self._entries[path] = _Link(target)
            self._tell(path)
        self.end()

    @override
    @asynccontextmanager
    async def watch(self, *paths: Path) -> AsyncIterator[FileChanges]:
        changes = _MemoryChanges(frozenset(paths))
        self._watchers.append(changes)
        try:
            yield changes
        finally:
            self._watchers.remove(changes)

    def _tell(self, *changed: Path) -> None:
        for watcher in self._watchers:
            if not watcher.paths.isdisjoint(changed):
                watcher.changed.set()

    def _resolve(self, path: Path) -> Path:
        entry = self._entries.get(path)
        return self._resolve(path.parent / entry.target) if isinstance(entry, _Link) else path

    def _inode(self, path: Path) -> _Inode:
        entry = self._entries.get(self._resolve(path))
        if isinstance(entry, _Inode):
            return entry
        if entry is None:
            raise FileNotFoundError(2, "no such file", str(path))
        if isinstance(entry, _Socket):
            raise OSError(errno.ENXIO, "is a socket", str(path))
        raise IsADirectoryError(21, "is a directory", str(path))

    def _folder_of(self, path: Path) -> None:
        if self._entries.get(path.parent) != "folder":
            raise FileNotFoundError(2, "no such folder", str(path.parent))

    async def begin(self, operation: Operation, path: Path) -> bool:
        """Count an operation; return whether the power goes before it has taken effect."""
        await self.pause()
        lost_before = self.power_lost_at is not None and self.operations > self.power_lost_at
        if lost_before:
            raise PowerLost
        number, self.operations = self.operations, self.operations + 1
        error = self.fault(operation, path) if self.fault is not None else None
        if error is not None:
            raise error
        return number == self.power_lost_at and not self.power_lost_late

    def end(self) -> None:
        """End the operation that was begun last: with the power, if that goes."""
        if self.operations - 1 == self.power_lost_at:
            raise PowerLost


@define(eq=False)
class _MemoryChanges(FileChanges):
    paths: frozenset[Path]
    changed: trio.Event = field(factory=trio.Event, init=False)

    @override
    async def wait(self) -> None:
        await self.changed.wait()
        self.changed = trio.Event()


@define
class _MemoryAppendFile(AppendFile):
    _files: MemoryFiles
    _path: Path
    _inode: _Inode
    _closed: bool = field(default=False, init=False)

    @override
    async def append(self, data: bytes) -> None:
        try:
            await self._begin("append")
        except OSError:
            self._inode.content += data[: len(data) // 2]
            raise
        self._inode.content += data
        self._files.end()

    @override
    async def sync(self) -> None:
        lost = await self._begin("sync")
        if not lost:  # else it is not known how much was flushed: see MemoryFiles.survivors
            self._inode.durable = len(self._inode.content)
        self._files.end()

    @override
    async def truncate(self, size: int) -> None:
        lost = await self._begin("truncate")
        if not lost:
            del self._inode.content[size:]
            self._inode.durable = len(self._inode.content)
        self._files.end()

    @override
    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self._closed = True

    async def _begin(self, operation: Operation) -> bool:
        if self._closed:
            raise ValueError("the file is closed")
        return await self._files.begin(operation, self._path)
