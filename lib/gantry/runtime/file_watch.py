"""Hearing of a file's change at once: inotify(7), or looking once a second where that is refused.

The two system calls are made through ctypes: the packages that wrap inotify either need threads
or start programs to find the C library, and all they would save is this page. The descriptor is
waited for by trio like any other.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from attrs import define, field
from typing_extensions import override

from gantry.runtime.environment import FileChanges
from gantry.runtime.logs import Log

LOG: Final = Log("file-watch")

POLL_SECONDS: Final = 1.0
"""How often a file is looked at where inotify is not to be had: a user may only have so many."""

READ_BYTES: Final = 16 * 1024

_CLOSE_WRITE: Final = 0x8
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_ONLY_FOLDERS: Final = 0x0100_0000

_OF_NAMES: Final = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_OF_FOLDERS: Final = _DELETE_SELF | _MOVE_SELF | _OVERFLOW | _IGNORED

_EVENT: Final = struct.Struct("iIII")
"""Watch, mask, cookie, length of the name that follows, padded with zero bytes."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _events(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Cut what was read into (watch, mask, name)."""
    place = 0
    while place < len(data):
        watch, mask, _, length = _EVENT.unpack_from(data, place)
        place += _EVENT.size
        yield watch, mask, data[place : place + length].rstrip(b"\0")
        place += length


@define
class InotifyChanges(FileChanges):
    """Watches the folders of files, or what exists of their paths, for the files' names."""

    _fd: int
    _paths: tuple[Path, ...]
    _names: dict[int, set[bytes]] = field(factory=dict, init=False)
    """By watch: the names whose change matters."""

    @override
    async def wait(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._fd)
            events = list(_events(os.read(self._fd, READ_BYTES)))
            if any(self._matters(*event) for event in events):
                self.arm()
                return

    def _matters(self, watch: int, mask: int, name: bytes) -> bool:
        if watch in self._names:
            return bool(mask & _OF_FOLDERS) or name in self._names[watch]
        return bool(mask & _OVERFLOW)

    def arm(self) -> None:
        """Watch what there is of the paths now: a folder may have come, gone or been replaced."""
        names: defaultdict[int, set[bytes]] = defaultdict(set)
        for path in self._paths:
            watch, name = self._armed(path)
            names[watch].add(name)
        for watch in self._names.keys() - names.keys():
            _LIBC.inotify_rm_watch(self._fd, watch)  # fails if its folder is gone, and so is it
        self._names = dict(names)

    def _armed(self, path: Path) -> tuple[int, bytes]:
        """Watch the deepest folder on the way to a file; return the watch and the next name."""
        while True:
            folder, name = path.parent, path.name
            while not folder.is_dir():
                folder, name = folder.parent, folder.name
            try:
                watch = self._watch(folder)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    continue  # it went meanwhile
                raise
            if folder == path.parent or not (folder / name).is_dir():
                return watch, os.fsencode(name)

    def _watch(self, folder: Path) -> int:
        mask = _OF_NAMES | _DELETE_SELF | _MOVE_SELF | _ONLY_FOLDERS
        return _checked(_LIBC.inotify_add_watch(self._fd, os.fsencode(folder), mask))


Seen = tuple[tuple[int, int, int] | None, ...]


@define
class PolledChanges(FileChanges):
    """Looks at files from time to time."""

    _paths: tuple[Path, ...]
    _seen: Seen

    @override
    async def wait(self) -> None:
        await trio.lowlevel.checkpoint()
        while (now := look(self._paths)) == self._seen:  # noqa: ASYNC110 - no event tells of it
            await trio.sleep(POLL_SECONDS)
        self._seen = now


def look(paths: tuple[Path, ...]) -> Seen:
    """Return what a change of the files would change: inode, size and time of modification."""

    def one(path: Path) -> tuple[int, int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    return tuple(one(path) for path in paths)


@asynccontextmanager
async def watching(paths: tuple[Path, ...]) -> AsyncIterator[FileChanges]:
    """Watch files; see :meth:`gantry.runtime.environment.Files.watch`."""
    await trio.lowlevel.checkpoint()
    try:
        fd = _checked(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        LOG.info("no inotify, looking once a second", reason=str(error))
        yield PolledChanges(paths, look(paths))
        return
    try:
        changes: FileChanges = _armed_changes(fd, paths)
        yield changes
    finally:
        os.close(fd)


def _armed_changes(fd: int, paths: tuple[Path, ...]) -> FileChanges:
    changes = InotifyChanges(fd, paths)
    try:
        changes.arm()
    except OSError as error:
        LOG.info("inotify has no room, looking once a second", reason=str(error))
        return PolledChanges(paths, look(paths))
    return changes
