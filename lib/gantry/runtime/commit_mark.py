"""Up to where a log counts, told to whoever reads its file: a small file beside it.

A log holds what was flushed, and with several voters not all of that counts yet. Whoever writes
the log (WConfD on the master, NodeD on other candidates) writes into the mark what is committed.
The mark is not flushed: after a crash it may say less than is true, or be gone, or be torn, which
its checksum betrays, being that of a record in the log. It never says more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import trio
from attrs import define, field, frozen

from gantry.protocols.identity import Epoch
from gantry.protocols.records import Checksum, Index, Position, Record
from gantry.protocols.replication import LogEnd
from gantry.runtime.environment import Environment, Files
from gantry.runtime.gate import Gate
from gantry.runtime.logs import Log

CONFIG_MARK: Final = "config.committed"

REST_SECONDS: Final = 0.02
"""Between two writes: a thousand changes a second cost fifty of them, and no reader notices."""

RETRY_SECONDS: Final = 10.0

LOG: Final = Log("commit-mark")

_FORM: Final = re.compile(rb"([0-9a-f]{16}) ([0-9]{20}) ([0-9]{20}) ([0-9a-f]{32})\n")
"""All marks are equally long, so that one can be written over another."""


@frozen
class CommitMark:
    """What a mark says."""

    keeper: str
    """Drawn anew by whoever keeps the log, at each start: what is read under another keeper may be
    another history."""
    end: LogEnd
    """Right after the last record that counts."""


def rendered(mark: CommitMark) -> bytes:
    """Return the content of a mark's file."""
    end = mark.end
    return f"{mark.keeper} {end.epoch:020} {end.index:020} {end.checksum}\n".encode()


async def read_mark(files: Files, path: Path) -> CommitMark | None:
    """Read a mark; ``None`` if there is none, or none that is whole.

    Raises:
        OSError: it can not be read.
    """
    try:
        found = _FORM.fullmatch(await files.read(path))
    except FileNotFoundError:
        return None
    if found is None:
        return None
    position = Position(Index(int(found[3])), Checksum(found[4].decode()))
    end = LogEnd(Epoch(int(found[2])), position.index, position.checksum)
    return CommitMark(found[1].decode(), end)


def counted(mark: CommitMark | None, records: Iterable[Record]) -> Index:
    """Return up to which of a log's records it is known that they count; 0: of none.

    A mark that belongs to no record says nothing: its log was another one.
    """
    ends = {LogEnd(r.epoch, r.index, r.checksum): r.index for r in records}
    return Index(0) if mark is None else ends.get(mark.end, Index(0))


@define
class MarkKeeper:
    """Writes the mark of one log. Made by :meth:`of`; :meth:`run` must run while it is used."""

    _env: Environment
    _path: Path
    _keeper: str
    _end: LogEnd | None = field(default=None, init=False)
    _news: Gate = field(factory=Gate, init=False)
    _begun: bool = field(default=False, init=False)

    @classmethod
    def of(cls, env: Environment, name: str) -> MarkKeeper:
        """Begin to keep a mark in the data directory."""
        return cls(env, env.paths.data / name, env.random.bytes(8).hex())

    def set(self, end: LogEnd) -> None:
        """Note what counts now, without waiting."""
        self._end = end
        self._news.open()

    async def run(self) -> None:
        """Write what was noted, until cancelled; readers fall behind while that is impossible."""
        while True:
            await self._news.passed()
            self._news.close()
            try:
                await self._write()
            except OSError as error:
                LOG.error("not written", path=str(self._path), reason=str(error))
                self._news.open()
                await trio.sleep(RETRY_SECONDS)
            await trio.sleep(REST_SECONDS)

    async def _write(self) -> None:
        if self._end is None:
            return
        files = self._env.files
        if not self._begun:  # a former keeper's file may be another user's
            await files.remove(self._path)
            self._begun = True
        await files.overwrite(self._path, rendered(CommitMark(self._keeper, self._end)))
