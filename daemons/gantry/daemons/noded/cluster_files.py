"""What the master has every node keep: the ssconf files, and which nodes there are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import trio
from attrs import define, field, frozen

from gantry.core.ssconf import FILE_PREFIX, VALUE_BYTES_MAX
from gantry.protocols.codec import dump, from_bytes, load, to_bytes
from gantry.protocols.identity import Epoch, NodeUuid
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


@frozen
class Told:
    """What the master has told last of all."""

    epoch: int = 0
    serial: int = 0
    nodes: frozenset[NodeUuid] = frozenset()
    """Of the cluster, as of this epoch and serial number. Not by their names: a machine that
    joins under a removed one's name is another node."""

    @property
    def position(self) -> Position:
        """How new that is."""
        return Position(self.epoch, self.serial)


@define
class ClusterFiles:
    """The files below ``var/lib/ganeti`` that the master writes through NodeD."""

    _env: Environment
    _told: Told | None = field(default=None, init=False)
    _lock: trio.Lock = field(factory=trio.Lock, init=False)

    async def store_ssconf(
        self, epoch: Epoch, serial: int, nodes: frozenset[NodeUuid], values: Mapping[str, str]
    ) -> None:
        """Write the ssconf files, and which nodes there are, if all that is newer.

        A value that Ganeti's programs would not read to its end has no file: none is better than
        an old one, and the others must not wait for it.

        Raises:
            StepFailed: a key can not be a file's name; nothing is written.
        """
        for key in values:
            if not _KEY.fullmatch(key):
                raise StepFailed(f"{key!r:.80} can not be the name of an ssconf file")
        async with self._lock:
            if Position(epoch, serial) <= (await self._known()).position:
                return
            for key, value in values.items():
                path = self._env.paths.data / f"{FILE_PREFIX}{key}"
                text = (value if value.endswith("\n") else f"{value}\n").encode()
                if len(text) <= VALUE_BYTES_MAX:
                    await self._env.files.write(path, text, SSCONF_MODE)
                else:
                    LOG.warning("too long for a file", value=path.name, bytes=len(text))
                    await self._env.files.remove(path)
            await self._note(Told(epoch, serial, nodes))

    async def ssconf(self, key: str) -> str | None:
        """Return an ssconf value, or ``None`` if the node has none."""
        try:
            text = await self._env.files.read(self._env.paths.data / f"{FILE_PREFIX}{key}")
        except FileNotFoundError:
            return None
        return text.decode(errors="replace").removesuffix("\n")

    async def position(self) -> Position:
        """Return how new the values are that the node keeps."""
        return (await self.told()).position

    async def told(self) -> Told:
        """Return which nodes there are as of when, which is nothing before the first files came."""
        async with self._lock:
            return await self._known()

    async def _known(self) -> Told:
        if self._told is None:
            path = self._env.paths.data / POSITION
            if await self._env.files.exists(path):
                self._told = load(Told, from_bytes(await self._env.files.read(path)))
            else:
                self._told = Told()
        return self._told

    async def _note(self, told: Told) -> None:
        # After the files: an old position only makes the next writing of the same a repetition.
        path = self._env.paths.data / POSITION
        await self._env.files.write(path, to_bytes(dump(told)))
        self._told = told
