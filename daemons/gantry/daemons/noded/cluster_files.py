"""What the master has nodes keep: the replica of the configuration and the ssconf files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

import trio
from attrs import define, evolve, field, frozen

from gantry.core.ssconf import FILE_PREFIX, VALUE_BYTES_MAX
from gantry.protocols.codec import Json, dump, from_bytes, load, to_bytes
from gantry.protocols.identity import Epoch
from gantry.protocols.noded import StepFailed
from gantry.runtime.environment import Environment

POSITIONS: Final = "replica-positions.json"
CONFIG_MODE: Final = 0o640
SSCONF_MODE: Final = 0o444

_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@frozen
class Positions:
    """How new what the node keeps is: (epoch, index) and (epoch, serial number)."""

    replica: tuple[int, int] = (0, 0)
    ssconf: tuple[int, int] = (0, 0)


@define
class ClusterFiles:
    """The files below ``var/lib/ganeti`` that the master writes through NodeD."""

    _env: Environment
    _positions: Positions | None = field(default=None, init=False)
    _lock: trio.Lock = field(factory=trio.Lock, init=False)

    async def store_replica(
        self, epoch: Epoch, index: int, configuration: Mapping[str, Json]
    ) -> None:
        """Replace the replica if this one is newer.

        On the master itself nothing is done: there the file is WConfD's.
        """
        async with self._lock:
            if await self._is_master() or not await self._is_newer("replica", (epoch, index)):
                return
            await self._env.files.write(
                self._env.paths.config, to_bytes(configuration), CONFIG_MODE
            )
            await self._note(evolve(await self._known(), replica=(epoch, index)))

    async def store_ssconf(self, epoch: Epoch, serial: int, values: Mapping[str, str]) -> None:
        """Write the ssconf files if these values are newer.

        Raises:
            StepFailed: a key can not be a file's name, or a value is too long; nothing is written.
        """
        for key, value in values.items():
            if not _KEY.fullmatch(key):
                raise StepFailed(f"{key!r:.80} can not be the name of an ssconf file")
            if len(value.encode()) >= VALUE_BYTES_MAX:
                raise StepFailed(f"ssconf_{key} would be longer than {VALUE_BYTES_MAX} bytes")
        async with self._lock:
            if not await self._is_newer("ssconf", (epoch, serial)):
                return
            for key, value in values.items():
                path = self._env.paths.data / f"{FILE_PREFIX}{key}"
                text = value if value.endswith("\n") else f"{value}\n"
                await self._env.files.write(path, text.encode(), SSCONF_MODE)
            await self._note(evolve(await self._known(), ssconf=(epoch, serial)))

    async def ssconf(self, key: str) -> str | None:
        """Return an ssconf value, or ``None`` if the node has none."""
        try:
            text = await self._env.files.read(self._env.paths.data / f"{FILE_PREFIX}{key}")
        except FileNotFoundError:
            return None
        return text.decode().removesuffix("\n")

    async def _is_master(self) -> bool:
        return await self.ssconf("master_node") == self._env.node

    async def _is_newer(self, what: Literal["replica", "ssconf"], offered: tuple[int, int]) -> bool:
        known = await self._known()
        return offered > (known.replica if what == "replica" else known.ssconf)

    async def _known(self) -> Positions:
        if self._positions is None:
            path = self._env.paths.data / POSITIONS
            if await self._env.files.exists(path):
                self._positions = load(Positions, from_bytes(await self._env.files.read(path)))
            else:
                self._positions = Positions()
        return self._positions

    async def _note(self, positions: Positions) -> None:
        # After the files: an old position only makes the next writing of the same a repetition.
        path = self._env.paths.data / POSITIONS
        await self._env.files.write(path, to_bytes(dump(positions)))
        self._positions = positions
