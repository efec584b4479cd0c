"""The configuration and the key as this node has them, read again when their files change."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import trio
from attrs import define, field

from gantry.core.confd.view import ConfdView
from gantry.protocols.codec import Malformed, from_bytes
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log
from gantry.security.pem_files import HMAC_KEY

LOG: Final = Log("rconfd")

RELOAD_SECONDS_MIN: Final = 0.25
"""Between two reads, however fast the configuration changes."""

RELOAD_SECONDS_MAX: Final = 17.0
"""A change that nothing told of is seen after this time at the latest; both numbers are Ganeti's.

The files are then read, but the configuration is parsed only if its bytes differ."""


@define
class Replica:
    """What this node can answer from; nothing where there is no replica."""

    _env: Environment
    view: ConfdView | None = field(default=None, init=False)
    key: bytes | None = field(default=None, init=False, repr=False)
    _digest: bytes | None = field(default=None, init=False)
    """Of the bytes that were read last."""

    async def follow(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep up with the files until cancelled; started when they have been read once."""
        async with self._env.files.watch(self._config, self._hmac_key) as changes:
            await self.reload()
            task_status.started()
            while True:
                with trio.move_on_after(RELOAD_SECONDS_MAX):
                    await changes.wait()
                await self.reload()
                await trio.sleep(RELOAD_SECONDS_MIN)

    @property
    def _config(self) -> Path:
        return self._env.paths.config

    @property
    def _hmac_key(self) -> Path:
        return self._env.paths.data / HMAC_KEY

    async def reload(self) -> None:
        """Read the files as they are now; a configuration that is broken changes nothing."""
        self.key = await self._content(self._hmac_key)
        data = await self._content(self._config)
        if data is None:
            if self.view is not None or self._digest is not None:
                LOG.info("no replica of the configuration here any more")
            self.view = self._digest = None
            return
        digest = await self._env.offload(lambda: _digest_of(data))
        if digest == self._digest:
            return
        self._digest = digest
        try:
            self.view = await self._env.offload(lambda: _parsed(data))
        except Malformed as error:  # the older one is still true of its time: go on with it
            LOG.error("the configuration can not be read", reason=str(error))
            return
        LOG.info("configuration read", serial=self.view.configuration.serial_no)

    async def _content(self, path: Path) -> bytes | None:
        try:
            return await self._env.files.read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            LOG.error("a file can not be read", path=str(path), reason=str(error))
            return None


def _digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _parsed(data: bytes) -> ConfdView:
    return ConfdView.of(from_bytes(data))
