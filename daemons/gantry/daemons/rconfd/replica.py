"""The configuration and the key as this node has them: read once, then followed along the log.

The snapshot and its log are somebody else's files (WConfD's on the master, NodeD's on other
candidates); a mark beside them says up to where the log counts. What is new in the log is read
from where the last look ended, so following costs what has changed. The whole is read again when
somebody else begins to keep the files, or the log was cut short beyond what we have read.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import define, evolve, field, frozen

from gantry.core.confd.book import AnswerBook
from gantry.core.confd.view import ConfdView, Packed
from gantry.core.config.folding import end_of_file
from gantry.protocols.codec import Malformed, from_bytes
from gantry.protocols.config_records import load_record
from gantry.protocols.records import (
    CorruptRecord,
    Position,
    Record,
    decode_lines,
    decode_log,
    first_line,
)
from gantry.runtime.collecting import collecting_later
from gantry.runtime.commit_mark import CONFIG_MARK, CommitMark, read_mark
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log
from gantry.security.pem_files import HMAC_KEY

LOG: Final = Log("rconfd")

CONFIG_LOG: Final = "config.log"

RELOAD_SECONDS_MIN: Final = 0.05
"""Between two looks, however fast the configuration changes."""

RELOAD_SECONDS_MAX: Final = 17.0
"""A change that nothing told of is seen after this time at the latest; as in Ganeti."""

PART_BYTES: Final = 1024 * 1024
"""Read of the log at once; a record is shorter."""

LOOKS_MAX: Final = 5
"""A snapshot and its log are two files: between reading them both may be replaced."""


@frozen
class _Place:
    """How far the log was followed."""

    keeper: str
    position: Position
    offset: int
    """Where the next record begins in the file."""


@define
class Replica:
    """What this node can answer from; nothing where there is no replica."""

    _env: Environment
    book: AnswerBook | None = field(default=None, init=False)
    key: bytes | None = field(default=None, init=False, repr=False)
    _place: _Place | None = field(default=None, init=False)
    """``None``: the log can not be followed; only the snapshot counts."""
    _digest: bytes | None = field(default=None, init=False)
    """Of the snapshot that was read last."""

    async def follow(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep up with the files until cancelled; started when they have been read once."""
        paths = (self._env.paths.config, self._data(CONFIG_MARK), self._data(HMAC_KEY))
        async with self._env.files.watch(*paths) as changes:
            await self.reload()
            task_status.started()
            while True:
                with trio.move_on_after(RELOAD_SECONDS_MAX):
                    await changes.wait()
                await self.reload()
                await trio.sleep(RELOAD_SECONDS_MIN)

    def _data(self, name: str) -> Path:
        return self._env.paths.data / name

    async def reload(self) -> None:
        """Take over what has changed; files that are broken change nothing."""
        self.key = await self._content(self._data(HMAC_KEY))
        try:
            mark = await read_mark(self._env.files, self._data(CONFIG_MARK))
            if await self._advance(mark) or await self._advance_in_shorter_log(mark):
                return
            await self._read_all(mark)
        except (Malformed, CorruptRecord, OSError) as error:
            # What was read before is still true of its time: go on with it.
            LOG.error("the configuration can not be read", reason=str(error))

    # --- along the log ---------------------------------------------------------------------------

    async def _advance(self, mark: CommitMark | None) -> bool:
        """Follow the log up to a mark; say whether that was possible."""
        while self._place is not None and mark is not None and self.book is not None:
            place = self._place
            if place.keeper != mark.keeper:
                return False
            if place.position.index >= mark.end.index:
                return await self._env.files.exists(self._env.paths.config)
            records, length = await self._next(place, mark)
            if not records:
                return False
            if records[-1].index == mark.end.index and records[-1].position != mark.end.position:
                return False
            for record in records:
                self.book.follow(record.epoch, record.index, load_record(record.payload))
                await trio.lowlevel.checkpoint()
            self._place = evolve(place, position=records[-1].position, offset=place.offset + length)
        return False

    async def _advance_in_shorter_log(self, mark: CommitMark | None) -> bool:
        """Follow a log that was cut short: our place is somewhere else in it, or gone."""
        place = self._place
        if place is None or mark is None or place.keeper != mark.keeper:
            return False
        offset = await self._offset_of(place.position)
        if offset is None:
            return False
        self._place = evolve(place, offset=offset)
        return await self._advance(mark)

    async def _next(self, place: _Place, mark: CommitMark) -> tuple[tuple[Record, ...], int]:
        """Return the next records that count, none if the log does not go on at our place."""
        try:
            path = self._data(CONFIG_LOG)
            part = await self._env.files.read_part(path, place.offset, PART_BYTES)
            return decode_lines(part, place.position, mark.end.index)
        except (CorruptRecord, FileNotFoundError):
            return (), 0

    # --- everything anew -------------------------------------------------------------------------

    async def _read_all(self, mark: CommitMark | None) -> None:
        known = self._digest if self._place is None else None
        self._place = None
        for look in range(1, LOOKS_MAX + 1):
            data = await self._content(self._env.paths.config)
            if data is None:
                self._forget()
                return
            digest = await self._env.offload(partial(_digest_of, data))
            if digest == known:
                return  # it was read before, and there is no log to follow
            book, position = await self._env.offload(partial(_parsed, data))
            offset = None if mark is None else await self._offset_of(position)
            if mark is not None and offset is None and look < LOOKS_MAX:
                continue
            self.book, self._digest = book, digest
            LOG.info("configuration read", index=position.index)
            if mark is not None:
                await self._follow_from(mark, position, offset)
            return

    async def _follow_from(self, mark: CommitMark, position: Position, offset: int | None) -> None:
        if offset is not None:
            self._place = _Place(mark.keeper, position, offset)
            if await self._advance(mark):
                return
            self._place = None
        LOG.error("the log does not continue the configuration: what is saved is answered")

    def _forget(self) -> None:
        if self.book is not None:
            LOG.info("no replica of the configuration here any more")
        self.book = self._place = self._digest = None

    async def _offset_of(self, position: Position) -> int | None:
        """Return where the log goes on after a place; ``None`` if that is not in it."""
        data = await self._content(self._data(CONFIG_LOG))
        if data is None:
            return None
        return await self._env.offload(partial(_offset_in, data, position))

    async def _content(self, path: Path) -> bytes | None:
        try:
            return await self._env.files.read(path)
        except FileNotFoundError:
            return None


def _digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _parsed(data: bytes) -> tuple[AnswerBook, Position]:
    with collecting_later():
        document = from_bytes(data)
        if not isinstance(document, dict):
            raise Malformed("config.data is no JSON object")
        position, packed = end_of_file(document).position, Packed.of(document)
        del document
        book = AnswerBook(ConfdView.unpacked(packed))
    return book, position


def _offset_in(data: bytes, position: Position) -> int | None:
    log = decode_log(data, CONFIG_LOG)
    if log.start == position:
        return len(first_line(log.start))
    for record, end in zip(log.records, log.ends, strict=True):
        if record.position == position:
            return end
    return None
