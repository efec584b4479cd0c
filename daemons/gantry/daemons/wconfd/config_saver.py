"""``config.data`` behind the journal: read at the start, rewritten in the background.

The journal alone makes a change durable. The file saves a start the work of going through all
records, and is what others read; a rewrite lets the journal be cut.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from typing import Final

import trio
from attrs import define, field, frozen

from gantry.core.config.state import State
from gantry.core.config.transaction import from_file, to_file
from gantry.daemons.wconfd.config_file import ConfigFile
from gantry.protocols.codec import Malformed, from_bytes
from gantry.protocols.objects.configuration import load_configuration
from gantry.protocols.records import Position
from gantry.protocols.wconfd import NotDurable
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, StartRefused
from gantry.runtime.environment import Environment
from gantry.runtime.gate import Gate
from gantry.runtime.journal import AppendFailed, Journal
from gantry.runtime.logs import Log

BEHIND_SECONDS: Final = 1.0
"""How far ``config.data`` may be behind the journal, unless it is slow to write."""

DURATIONS_BETWEEN: Final = 20.0
"""At most a twentieth of the time goes into rewriting ``config.data``."""

RETRY_SECONDS: Final = 10.0
"""When a rewrite that failed is tried again."""

JOURNAL_BYTES_KEPT: Final = 1024 * 1024
"""A journal that is shorter is left alone."""

LOG: Final = Log("wconfd.config")


@frozen
class Saved:
    """What ``config.data`` holds."""

    state: State
    position: Position


@define
class ConfigSaver:
    """Keeps the file. :meth:`keep_saving` must run for that."""

    _env: Environment
    _journal: Journal
    saved: Saved
    """What ``config.data`` holds."""
    _newest: Callable[[], Saved]
    """Gives what it should hold: what counts at that moment."""
    file: ConfigFile = field(factory=ConfigFile, init=False)
    _unsaved: Gate = field(factory=Gate, init=False)
    _saving: trio.Lock = field(factory=trio.Lock, init=False)
    _just_saved: trio.Event = field(factory=trio.Event, init=False)
    bytes_saved: int = field(default=0, init=False)
    """Bytes of ``config.data`` written since the start."""

    def save_soon(self) -> None:
        """Take note that something has changed; it is written some time later."""
        self._unsaved.open()

    async def keep_saving(self) -> None:
        """Rewrite ``config.data`` in the background until cancelled, then a last time."""
        pause = BEHIND_SECONDS
        try:
            while True:
                await self._unsaved.passed()
                await trio.sleep(pause)
                began = trio.current_time()
                try:
                    await self.save()
                    spent = trio.current_time() - began
                    pause = max(BEHIND_SECONDS, DURATIONS_BETWEEN * spent)
                except NotDurable as error:
                    LOG.error("config.data not rewritten", reason=error.reason)
                    pause = RETRY_SECONDS
        finally:
            with trio.CancelScope(shield=True):  # one rewrite, bounded by the stop's own deadline
                try:
                    await self.save()
                except NotDurable as error:  # the journal has it all
                    LOG.error("config.data not rewritten", reason=error.reason)

    async def save(self) -> None:
        """Rewrite ``config.data`` if something has changed, and cut a long journal.

        Raises:
            NotDurable: it could not be written; the old file and the journal are as they were.
        """
        async with self._saving:
            newest = self._newest()
            self._unsaved.close()
            if newest.position.index == self.saved.position.index:
                return
            try:
                await self._write(newest)
            except BaseException:
                self._unsaved.open()
                raise

    async def saved_after(self, saved: Saved) -> Saved:
        """Wait until ``config.data`` holds something else than this."""
        while self.saved is saved:
            await self._just_saved.wait()
        return self.saved

    async def _write(self, newest: Saved) -> None:
        pieces = await self.file.rendered(to_file(newest.state, newest.position))
        data = await self._env.offload(partial(b"".join, pieces))
        try:
            await self._env.files.write(self._env.paths.config, data)
        except OSError as error:
            raise NotDurable(_reason(error)) from error
        self.saved = newest
        self._just_saved.set()
        self._just_saved = trio.Event()
        self.bytes_saved += len(data)
        if self._journal.figures.file_bytes > cut_after(len(data)):
            try:
                await self._journal.start_over(newest.position.index)
            except AppendFailed as error:
                LOG.error("journal not cut", reason=str(error))


def cut_after(snapshot_bytes: int) -> int:
    """Return how long the journal may become beside a snapshot of a size.

    Cutting it costs a flush; a journal as long as the snapshot doubles the time of a start.
    """
    return max(JOURNAL_BYTES_KEPT, snapshot_bytes)


def _reason(error: OSError) -> str:
    return error.strerror or errno.errorcode.get(error.errno or 0, str(error))


async def read_saved(env: Environment) -> Saved:
    """Read ``config.data``.

    Raises:
        StartRefused: there is no cluster on this node, or its configuration is unreadable.
    """
    path = env.paths.config
    try:
        data = await env.files.read(path)
    except FileNotFoundError:
        raise StartRefused(
            f"there is no cluster on this node: {path} does not exist; "
            "run gnt-cluster init, or gnt-node add on the master",
            EXIT_NOT_CLUSTER,
        ) from None
    try:
        configuration = load_configuration(from_bytes(data))
        state, position = from_file(configuration)
    except Malformed as error:
        raise StartRefused(
            f"{path} is not a configuration that this version reads: {error}"
        ) from error
    return Saved(state, position)
