"""Replacing files of a node's data directory so that nothing is lost, and all can be put back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from attrs import define, field

from gantry.runtime.environment import Files

ASIDE: Final = "before-gantry"
"""The folder, in the data directory, that holds what a node's files were before."""


@define
class Replacing:
    """Writes and removes files of a folder; each one's old content is kept in :data:`ASIDE`."""

    _files: Files
    _data: Path
    _old: dict[Path, bytes | None] = field(factory=dict, init=False)
    _is_first: bool | None = field(default=None, init=False)
    """Whether nothing was kept aside before; not known before something is."""

    async def write(self, path: Path, data: bytes, mode: int) -> None:
        """Replace a file's content atomically and durably."""
        await self._keep(path)
        await self._files.write(path, data, mode)

    async def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        await self._keep(path)
        await self._files.remove(path)

    async def _keep(self, path: Path) -> None:
        if path in self._old:
            return
        try:
            old = await self._files.read(path)
        except FileNotFoundError:
            self._old[path] = None
            return
        if self._is_first is None:
            self._is_first = not await self._files.exists(self._data / ASIDE)
        aside = self._data / ASIDE / path.relative_to(self._data)
        if not await self._files.exists(aside):  # of an attempt that was killed: the older counts
            await self._files.make_folder(aside.parent, 0o700)
            await self._files.write(aside, old, 0o600)
        self._old[path] = old

    async def undo(self) -> None:
        """Put everything back as it was."""
        for path, old in reversed(self._old.items()):
            if old is None:
                await self._files.remove(path)
            else:
                await self._files.write(path, old)
        if self._is_first:
            await self._files.remove_tree(self._data / ASIDE)
