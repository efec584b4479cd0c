"""What the master has every node keep: the ssconf files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import trio
from attrs import define, field, frozen

from gantry.core.ssconf import FILE_PREFIX, VALUE_BYTES_MAX
from gantry.protocols.codec import dump, from_bytes, load, to_bytes
from gantry.protocols.identity import Epoch
from gantry.protocols.noded import StepFailed
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log

POSITION: Final = "ssconf-position.json"
SSCONF_MODE: Final = 0o444

LOG: Final = Log("noded.ssconf")

_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@frozen(order=True)
class Position:
    """How new the values are that the node keeps."""

    epoch: int = 0
    serial: int = 0


@define
class ClusterFiles:
    """The files below ``var/lib/ganeti`` that the master writes through NodeD."""

    _env: Environment
    _position: Position | None = field(default=None, init=False)
    _lock: trio.Lock = field(factory=trio.Lock, init=False)

    async def store_ssconf(self, epoch: Epoch, serial: int, values: Mapping[str, str]) -> None:
        """Write the ssconf files if these values are newer.

        A value that Ganeti's programs would not read to its end has no file: none is better than
        an old one, and the others must not wait for it.

        Raises:
            StepFailed: a key can not be a file's name; nothing is written.
        """
        for key in values:
            if not _KEY.fullmatch(key):
                raise StepFailed(f"{key!r:.80} can not be the name of an ssconf file")
        async with self._lock:
            known = await self._known()
            if (epoch, serial) <= (known.epoch, known.serial):
                return
            for key, value in values.items():
                path = self._env.paths.data / f"{FILE_PREFIX}{key}"
                text = (value if value.endswith("\n") else f"{value}\n").encode()
                if len(text) <= VALUE_BYTES_MAX:
                    await self._env.files.write(path, text, SSCONF_MODE)
                else:
                    LOG.warning("too long for a file", value=path.name, bytes=len(text))
                    await self._env.files.remove(path)
            await self._note(Position(epoch, serial))

    async def ssconf(self, key: str) -> str | None:
        """Return an ssconf value, or ``None`` if the node has none."""
        try:
            text = await self._env.files.read(self._env.paths.data / f"{FILE_PREFIX}{key}")
        except FileNotFoundError:
            return None
        return text.decode(errors="replace").removesuffix("\n")

    async def position(self) -> Position:
        """Return how new the values are that the node keeps."""
        async with self._lock:
            return await self._known()

    async def _known(self) -> Position:
        if self._position is None:
            path = self._env.paths.data / POSITION
            if await self._env.files.exists(path):
                self._position = load(Position, from_bytes(await self._env.files.read(path)))
            else:
                self._position = Position()
        return self._position

    async def _note(self, position: Position) -> None:
        # After the files: an old position only makes the next writing of the same a repetition.
        path = self._env.paths.data / POSITION
        await self._env.files.write(path, to_bytes(dump(position)))
        self._position = position
