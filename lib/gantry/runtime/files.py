"""The real file system behind :class:`gantry.runtime.environment.Files`.

Operations run in a worker thread, so that a slow disk never holds the event loop. A process whose
loop serves nobody else does without the thread (:func:`in_place`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, TypeVar

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.runtime.environment import AppendFile, FileChanges, Files, Run
from gantry.runtime.file_watch import watching
from gantry.runtime.owners import Owner, Owners, nobody_else

T = TypeVar("T")

NO_TMPFILE: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR})
"""How file systems and kernels that do not know ``O_TMPFILE`` refuse it."""

_TEMPORARY: Final = re.compile(r"\..+\.([0-9]+)-[0-9a-f]{8}\.new")
"""A name that says whose it is: that of a writer which may still live."""

FLUSHED_BYTES: Final = 1024 * 1024
"""A larger file is flushed piece by piece: a journal's flush meanwhile would wait for all that is
unflushed, and has to wait for a piece only."""


async def in_thread(work: Callable[[], T], /) -> T:
    """Do blocking work in a thread, while the event loop goes on."""
    return await trio.to_thread.run_sync(work)


async def in_place(work: Callable[[], T], /) -> T:
    """Do blocking work here and now: the event loop stands still, which costs less than a thread.

    For a process that has nothing else to do before the work is done: nobody else gets a turn.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    return work()


def sync_folder(path: Path) -> None:
    """Flush a folder, so that names made or changed in it survive a power loss."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durably(path: Path, data: bytes, mode: int, owners: Owners = nobody_else) -> None:
    """Replace a file atomically and durably; blocking. See :meth:`Files.write`."""
    write_all_durably({path: data}, mode, owners)


def write_all_durably(
    contents: Mapping[Path, bytes],
    mode: int,
    owners: Owners = nobody_else,
    by_way_of: Path | None = None,
) -> None:
    """Replace files atomically and durably; blocking. A folder is flushed once for all its files.

    What is being written has no name until it is complete (``O_TMPFILE`` of open(2)), so the
    kernel removes it with its writer, however that ends. A name of its own it has only for the
    moment before it takes the file's place: see :func:`remove_unfinished`.
    """
    with contextlib.ExitStack() as opened:

        def folder(path: Path) -> int:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, fd)
            return fd

        way = folder(by_way_of) if by_way_of is not None and contents else None
        folders = {path: folder(path) for path in dict.fromkeys(each.parent for each in contents)}
        for path, data in contents.items():
            place = folders[path.parent]
            _replace(place if way is None else way, place, path.name, data, mode, owners(path))
        for place in folders.values():
            os.fsync(place)


def remove_unfinished(root: Path) -> None:
    """Remove what killed writers left in a folder and the folders in it; blocking."""
    for pattern in (".*.new", "*/.*.new"):
        for path in root.glob(pattern):
            written = _TEMPORARY.fullmatch(path.name)
            if written is not None and not Path("/proc", written[1]).exists():
                path.unlink(missing_ok=True)


def _temporary(name: str) -> str:
    return f".{name}.{os.getpid()}-{secrets.token_hex(4)}.new"


def _replace(way: int, folder: int, name: str, data: bytes, mode: int, owner: Owner | None) -> None:
    """Write a file in the folder ``way`` and move it to its place in ``folder``."""
    temporary = _temporary(name)
    try:
        _write_new(way, temporary, data, mode, owner)
        os.rename(temporary, name, src_dir_fd=way, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=way)
        raise


def _write_all(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _give(fd: int, owner: Owner | None) -> None:
    """Give an open file away."""
    if owner is not None:
        os.fchown(fd, *owner)


def _write_new(folder: int, name: str, data: bytes, mode: int, owner: Owner | None) -> None:
    """Write a file that has no name before its content is on the disk."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    nameless = True
    try:
        fd = os.open(".", flags | os.O_TMPFILE, mode, dir_fd=folder)
    except OSError as error:
        if error.errno not in NO_TMPFILE:
            raise
        nameless = False
        fd = os.open(name, flags | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder)
    try:
        for begin in range(0, len(data), FLUSHED_BYTES):
            _write_all(fd, memoryview(data)[begin : begin + FLUSHED_BYTES])
            if len(data) > FLUSHED_BYTES:
                os.fdatasync(fd)
        _give(fd, owner)
        os.fchmod(fd, mode)
        os.fsync(fd)
        if nameless:
            os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(fd)


def _read_part(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        return file.read(size)


def _overwrite(path: Path, data: bytes, mode: int, owner: Owner | None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        _give(fd, owner)
        _write_all(fd, data)
    finally:
        os.close(fd)


def _link(path: Path, target: Path) -> None:
    temporary = path.with_name(_temporary(path.name))
    temporary.symlink_to(target)
    temporary.rename(path)


def _rename(old: Path, new: Path) -> None:
    old.rename(new)
    sync_folder(new.parent)
    if old.parent != new.parent:
        sync_folder(old.parent)


def _remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_tree(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def _names(path: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(path)))  # noqa: PTH208 - names are wanted, not paths
    except FileNotFoundError:
        return ()


def _make_folder(path: Path, mode: int, owner: Owner | None) -> None:
    is_new = not path.exists()
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    if is_new and owner is not None:
        os.chown(path, *owner)


def _open_append(path: Path, mode: int, owner: Owner | None) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        fd = os.open(path, flags | os.O_CREAT, mode)
        _give(fd, owner)
        sync_folder(path.parent)
        return fd


def _begin(path: Path, data: bytes, mode: int, owner: Owner | None) -> int:
    """Create a file with its first content; flushed together with its name, that is one flush."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        _give(fd, owner)
        _write_all(fd, data)
        os.fdatasync(fd)
        sync_folder(path.parent)
    except BaseException:
        os.close(fd)
        raise
    return fd


@define
class RealAppendFile(AppendFile):
    """A journal file on disk."""

    _fd: int = field(alias="fd")
    _run: Run = field(alias="run")

    @override
    async def append(self, data: bytes) -> None:
        await self._run(lambda: _write_all(self._fd, data))

    @override
    async def sync(self) -> None:
        await self._run(lambda: os.fdatasync(self._fd))

    @override
    async def append_durably(self, data: bytes) -> None:
        def write() -> None:
            _write_all(self._fd, data)
            os.fdatasync(self._fd)

        await self._run(write)  # to a thread and back once

    @override
    async def truncate(self, size: int) -> None:
        def cut() -> None:
            os.ftruncate(self._fd, size)
            os.fdatasync(self._fd)

        await self._run(cut)

    @override
    async def aclose(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        await trio.lowlevel.checkpoint()


@frozen
class RealFiles(Files):
    """The file system of this machine."""

    _run: Run = in_thread
    _owners: Owners = nobody_else

    @override
    async def read(self, path: Path) -> bytes:
        return await self._run(path.read_bytes)

    @override
    async def write(self, path: Path, data: bytes, mode: int = 0o640) -> None:
        await self._run(lambda: write_durably(path, data, mode, self._owners))

    @override
    async def read_part(self, path: Path, offset: int, size: int) -> bytes:
        return await self._run(lambda: _read_part(path, offset, size))

    @override
    async def overwrite(self, path: Path, data: bytes, mode: int = 0o640) -> None:
        await self._run(lambda: _overwrite(path, data, mode, self._owners(path)))

    @override
    async def write_all(
        self, contents: Mapping[Path, bytes], mode: int = 0o640, by_way_of: Path | None = None
    ) -> None:
        await self._run(lambda: write_all_durably(contents, mode, self._owners, by_way_of))

    @override
    async def append_to(self, path: Path, mode: int = 0o640) -> AppendFile:
        fd = await self._run(lambda: _open_append(path, mode, self._owners(path)))
        return RealAppendFile(fd, self._run)

    @override
    async def append_to_new(self, path: Path, data: bytes, mode: int = 0o640) -> AppendFile:
        fd = await self._run(lambda: _begin(path, data, mode, self._owners(path)))
        return RealAppendFile(fd, self._run)

    @override
    async def remove(self, path: Path) -> None:
        await self._run(lambda: path.unlink(missing_ok=True))

    @override
    async def remove_all(self, paths: Iterable[Path]) -> None:
        await self._run(lambda: _remove_all(paths))

    @override
    async def rename(self, old: Path, new: Path) -> None:
        await self._run(lambda: _rename(old, new))

    @override
    async def make_folder(self, path: Path, mode: int = 0o750) -> None:
        await self._run(lambda: _make_folder(path, mode, self._owners(path)))

    @override
    async def remove_tree(self, path: Path) -> None:
        await self._run(lambda: _remove_tree(path))

    @override
    async def list(self, path: Path) -> tuple[str, ...]:
        return await self._run(lambda: _names(path))

    @override
    async def exists(self, path: Path) -> bool:
        return await self._run(path.exists)

    @override
    async def link(self, path: Path, target: Path) -> None:
        await self._run(lambda: _link(path, target))

    @override
    def watch(self, *paths: Path) -> AbstractAsyncContextManager[FileChanges]:
        return watching(paths)
