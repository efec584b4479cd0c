"""The log of a replica on disk: it grows by what a leader sends, and loses what never counted.

The file has the form of :mod:`gantry.protocols.records`, so that a promoted node's own daemons go
on with it. Unlike a journal it is written by somebody who waits for each message.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import define, field

from gantry.protocols.codec import Malformed
from gantry.protocols.records import (
    Index,
    Position,
    Record,
    decode_log,
    encode_record,
    first_line,
)
from gantry.runtime.environment import AppendFile, Files
from gantry.runtime.logs import Log

LOG: Final = Log("replica")


def lines_of(after: Position, records: Sequence[Record]) -> tuple[bytes, ...]:
    """Return the lines of records as they stand in a log.

    Raises:
        Malformed: a record does not follow the one before it, or was changed on its way.
    """
    lines: list[bytes] = []
    for record in records:
        line, same = encode_record(after, record.epoch, record.payload)
        if same.position != record.position:
            raise Malformed(f"record {record.index} does not follow record {after.index}")
        lines.append(line)
        after = record.position
    return tuple(lines)


@define
class ReplicaLog:
    """A log's file. One task at a time uses it. Made by :meth:`open`; :meth:`aclose` ends it."""

    _files: Files
    path: Path
    start: Position
    """Before the first record in the file."""
    _ends: dict[Index, int]
    """Where the record with an index ends, in bytes."""
    _size: int
    _file: AppendFile | None = field(default=None, init=False)

    @classmethod
    async def open(
        cls, files: Files, path: Path, start: Position
    ) -> tuple[ReplicaLog, tuple[Record, ...]]:
        """Open a log, or begin one after ``start``; return it with its records.

        Raises:
            gantry.protocols.records.CorruptRecord: the file is damaged.
        """
        if not await files.exists(path):
            await files.write(path, first_line(start))
        decoded = decode_log(await files.read(path), str(path))
        ends = dict(zip((r.index for r in decoded.records), decoded.ends, strict=True))
        log = cls(files, path, decoded.start, ends, decoded.valid_bytes)
        if decoded.torn_bytes:
            LOG.warning("unfinished record cut off", file=str(path), bytes=decoded.torn_bytes)
            await log._cut(decoded.valid_bytes)
        return log, decoded.records

    @property
    def file_bytes(self) -> int:
        """The length of the file."""
        return self._size

    async def write(self, after: Position, records: Sequence[Record]) -> None:
        """Append records and flush; after an error nothing was appended.

        Raises:
            OSError: no space, a broken disk.
            Malformed: see :func:`lines_of`.
        """
        lines = lines_of(after, records)
        file = await self._opened()
        try:
            await file.append(b"".join(lines))
            await file.sync()
        except BaseException:
            await self.aclose()  # what was half written is cut off when it is opened again
            raise
        for record, line in zip(records, lines, strict=True):
            self._size += len(line)
            self._ends[record.index] = self._size

    async def cut_after(self, index: Index) -> None:
        """Cut the records after an index off.

        Raises:
            OSError: the disk failed.
        """
        await self._cut(self._ends.get(index, len(first_line(self.start))))
        self._ends = {i: end for i, end in self._ends.items() if i <= index}

    async def start_over(self, after: Position, records: Sequence[Record]) -> None:
        """Replace the file by one with these records only, atomically.

        Raises:
            OSError: the disk failed; the old file is still there.
        """
        lines = lines_of(after, records)
        head = first_line(after)
        await self._files.write(self.path, head + b"".join(lines))
        await self.aclose()
        self.start, self._size, self._ends = after, len(head), {}
        for record, line in zip(records, lines, strict=True):
            self._size += len(line)
            self._ends[record.index] = self._size

    async def aclose(self) -> None:
        """Close the file; the next use opens it again."""
        file, self._file = self._file, None
        if file is not None:
            await file.aclose()

    async def _opened(self) -> AppendFile:
        if self._file is None:
            file = await self._files.append_to(self.path)
            try:
                await file.truncate(self._size)
            except BaseException:
                await file.aclose()
                raise
            self._file = file
        return self._file

    async def _cut(self, size: int) -> None:
        self._size = size
        await self.aclose()
        await self._opened()
