"""A durable log of records: appended, flushed together, replayed at the next start.

Whatever was reported durable is there after any crash, once and in order; what was not may be
there or not, but never a part of it. See :mod:`gantry.protocols.records` for the file's form.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.protocols.codec import Json
from gantry.protocols.errors import GantryError
from gantry.protocols.identity import Epoch
from gantry.protocols.records import (
    ORIGIN,
    DecodedLog,
    Index,
    Position,
    Record,
    decode_log,
    encode_records,
    first_line,
)
from gantry.runtime.environment import AppendFile, Files
from gantry.runtime.logs import Log

LOG: Final = Log("journal")


@frozen
class JournalGap(GantryError):
    """The journal does not continue the snapshot that it belongs to."""

    path: Path
    snapshot: Index
    start: Index
    end: Index

    @override
    def __str__(self) -> str:
        return (
            f"{self.path} holds records {self.start + 1} to {self.end} and does not continue the "
            f"snapshot, which was taken at {self.snapshot}; restore both from one master candidate"
        )


@frozen
class Durable:
    """Everything that was submitted is on the disk."""

    records: tuple[Record, ...]


@frozen
class Failed:
    """Nothing of what was submitted counts; the journal is as it was before."""

    reason: str


Settled = Callable[[Durable | Failed], None]
"""Called once, in the order of submission, in the journal's own task; it must not raise."""


class AppendFailed(GantryError):
    """The records could not be written (no space, a broken disk): nothing was appended."""


@frozen
class JournalFigures:
    """What the journal has done since it was opened, and how long its file is."""

    flushes: int
    bytes_written: int
    file_bytes: int
    records: int
    """How many records the file holds."""
    appended: int
    """How many records were appended."""
    batch_max: int
    """How many records the largest flush made durable."""


@frozen
class _Submitted:
    lines: bytes
    records: tuple[Record, ...]
    settled: Settled


@frozen
class _Mark:
    """A place that is on the disk, and where it is in the file."""

    position: Position
    offset: int


@define
class Journal:
    """A log file with one writer. Made by :meth:`open`; :meth:`run` must run while it is used.

    All records that are submitted while a flush is under way share the next one.
    """

    _files: Files
    _path: Path
    epoch: Epoch
    """The epoch of the records that are submitted from now on."""
    _file: AppendFile | None
    _marks: list[_Mark]
    """The log's start and the end of every record in the file, oldest first."""
    _end: Position
    """The end of what was submitted, durable or not yet."""
    _head: bytes = b""
    """The first line, as long as the file was not begun."""
    _waiting: list[_Submitted] = field(factory=list, init=False)
    _work: trio.Event = field(factory=trio.Event, init=False)
    _disk: trio.Lock = field(factory=trio.Lock, init=False)
    _closed: bool = field(default=False, init=False)
    _spoilt: bool = field(default=False, init=False)
    """Whether a file that is being begun may hold something already."""
    _flushes: int = field(default=0, init=False)
    _bytes_written: int = field(default=0, init=False)
    _appended: int = field(default=0, init=False)
    _batch_max: int = field(default=0, init=False)

    @classmethod
    async def open(
        cls, files: Files, path: Path, epoch: Epoch, snapshot: Position | None = ORIGIN
    ) -> tuple[Journal, tuple[Record, ...]]:
        """Open a journal, or begin one that continues a snapshot.

        Args:
            files: the file system.
            path: the journal's file.
            epoch: see :attr:`epoch`.
            snapshot: up to where a snapshot knows the records; ``None``: the journal holds all
                that is needed, wherever it starts.

        Returns:
            The journal and the records that are newer than the snapshot.

        Raises:
            gantry.protocols.records.CorruptRecord: the file is damaged.
            JournalGap: records between the snapshot and the journal's start are missing, or the
                two are of different histories.
        """
        if not await files.exists(path):
            await files.write(path, first_line(snapshot or ORIGIN))
        log = decode_log(await files.read(path), str(path))
        marks = _marks(log)
        snapshot = snapshot or log.start
        if snapshot not in [mark.position for mark in marks]:
            raise JournalGap(path, snapshot.index, log.start.index, log.end.index)
        file = await files.append_to(path)
        if log.torn_bytes:
            LOG.warning("unfinished record cut off", file=str(path), bytes=log.torn_bytes)
            await file.truncate(log.valid_bytes)
        journal = cls(files, path, epoch, file, marks, log.end)
        return journal, tuple(r for r in log.records if r.index > snapshot.index)

    @classmethod
    def begin(cls, files: Files, path: Path, epoch: Epoch) -> Journal:
        """Begin a journal whose file is made by its first flush, which saves two others.

        For a short-lived journal at a path where nothing is. A crash may leave there what
        :func:`gantry.protocols.records.came_to_nothing` recognises; :meth:`open` does not.
        """
        head = first_line(ORIGIN)
        return cls(files, path, epoch, None, [_Mark(ORIGIN, len(head))], ORIGIN, head)

    @property
    def end(self) -> Position:
        """The end of what is durable."""
        return self._marks[-1].position

    @property
    def figures(self) -> JournalFigures:
        """What the journal has done and how long it is."""
        return JournalFigures(
            flushes=self._flushes,
            bytes_written=self._bytes_written,
            file_bytes=self._marks[-1].offset,
            records=len(self._marks) - 1,
            appended=self._appended,
            batch_max=self._batch_max,
        )

    def submit(self, payloads: Sequence[Json], settled: Settled) -> tuple[Index, ...]:
        """Put records in line for the next flush, without waiting.

        After the journal was closed they fail at once, before this returns.

        If a write fails, everything that is in line at that moment fails with it, since it
        may build on what is not there; the indexes are given out again.

        Returns:
            The records' indexes, for the case that they become durable.
        """
        if self._closed:
            settled(Failed("the journal is closed"))
            return ()
        lines, records = encode_records(self._end, self.epoch, payloads)
        if records:
            self._end = records[-1].position
        self._waiting.append(_Submitted(lines, records, settled))
        self._work.set()
        return tuple(record.index for record in records)

    async def append(self, payloads: Sequence[Json]) -> tuple[Index, ...]:
        """Append records and wait until they are durable.

        Cancellation stops the waiting, not the writing.

        Raises:
            AppendFailed: nothing was appended.
        """
        outcomes: list[Durable | Failed] = []
        done = trio.Event()

        def settled(outcome: Durable | Failed) -> None:
            outcomes.append(outcome)
            done.set()

        indexes = self.submit(payloads, settled)
        await done.wait()
        match outcomes[0]:
            case Durable():
                return indexes
            case Failed(reason):
                raise AppendFailed(reason)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write what is submitted while the body runs, also while the body is being cancelled.

        So what the body appends in its ``finally`` blocks is still written.
        """
        async with trio.open_nursery() as nursery:
            scope = await nursery.start(self._run_shielded)
            try:
                yield
            finally:
                scope.cancel()

    async def _run_shielded(self, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope(shield=True) as scope:  # ended by running()
            task_status.started(scope)
            await self.run()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is submitted, until cancelled; then write what is still in line and close."""
        task_status.started()
        try:
            while True:
                await self._work.wait()
                await self._write_waiting()
        finally:
            await self.aclose()

    async def flush(self) -> None:
        """Write what was submitted, without :meth:`run`: for whoever is alone with a journal."""
        await self._write_waiting()

    async def aclose(self) -> None:
        """Write what is still in line and close."""
        # Not bounded: a disk that never answers can not be waited for with a deadline anyway,
        # since its system call can not be interrupted.
        with trio.CancelScope(shield=True):
            try:
                await self._write_waiting()
            finally:
                self._closed = True
                await self._close()

    async def start_over(self, after: Index) -> None:
        """Forget the records up to ``after``, which a durable snapshot holds now.

        The file is replaced atomically by one with only the newer records.

        Raises:
            AppendFailed: the file could not be replaced; the journal goes on as it was.
        """
        with trio.CancelScope(shield=True):  # as in run(): one rewrite of a short file
            async with self._disk:
                try:
                    await self._replace(after)
                except OSError as error:
                    await self._close()
                    raise AppendFailed(str(error)) from error

    async def _replace(self, after: Index) -> None:
        cut = next(mark for mark in self._marks if mark.position.index == after)
        old = await self._files.read(self._path)
        head = first_line(cut.position)
        await self._files.write(self._path, head + old[cut.offset : self._marks[-1].offset])
        self._bytes_written += len(head) + self._marks[-1].offset - cut.offset
        await self._close()
        moved = len(head) - cut.offset
        self._marks = [
            _Mark(mark.position, mark.offset + moved)
            for mark in self._marks
            if mark.position.index >= after
        ]
        # Held open from here on: who removes the file meanwhile does not end its writer.
        self._file = await self._files.append_to(self._path)

    async def _write_waiting(self) -> None:
        """Write and flush all that is in line, as one."""
        with trio.CancelScope(shield=True):  # a batch is either durable or taken back
            try:
                self._disk.acquire_nowait()
            except trio.WouldBlock:
                await self._disk.acquire()
            try:
                batch, self._waiting = self._waiting, []
                self._work = trio.Event()
                if not batch:
                    return
                try:
                    await self._write(b"".join(each.lines for each in batch))
                except OSError as error:
                    await self._fail(batch, error)
                    return
                self._mark(batch)
            finally:
                self._disk.release()
        for each in batch:
            each.settled(Durable(each.records))

    async def _write(self, lines: bytes) -> None:
        data = self._head + lines
        if self._head and not self._spoilt:
            self._file = await self._files.append_to_new(self._path, data)
        else:
            file = await self._ready_file()
            await file.append_durably(data)
        self._head = b""
        self._flushes += 1
        self._bytes_written += len(data)

    def _mark(self, batch: Sequence[_Submitted]) -> None:
        offset = self._marks[-1].offset
        size = sum(len(each.records) for each in batch)
        self._appended += size
        self._batch_max = max(self._batch_max, size)
        for each in batch:
            lengths = _line_lengths(each.lines)
            for record, length in zip(each.records, lengths, strict=True):
                offset += length
                self._marks.append(_Mark(record.position, offset))

    async def _fail(self, batch: list[_Submitted], error: OSError) -> None:
        LOG.error("journal not written", file=str(self._path), reason=str(error))
        await self._close()
        self._spoilt = True
        try:
            await self._ready_file()
        except OSError as again:  # the next write tries once more
            LOG.error("journal not repaired yet", file=str(self._path), reason=str(again))
        failed, self._waiting = batch + self._waiting, []
        self._work = trio.Event()
        self._end = self.end
        for each in failed:
            each.settled(Failed(str(error)))

    async def _ready_file(self) -> AppendFile:
        """Return the file, opened again and cut to what is durable if something went wrong."""
        if self._file is None:
            file = await self._files.append_to(self._path)
            try:
                await self._cut_back(file)
            except BaseException:
                await file.aclose()
                raise
            self._file = file
        return self._file

    async def _cut_back(self, file: AppendFile) -> None:
        """Find out what stands in the file now, and cut off what was never reported durable.

        After a failed replacement either the old or the new file may be there.
        """
        if self._head:
            await file.truncate(0)
            return
        log = decode_log(await self._files.read(self._path), str(self._path))
        marks = _marks(log)
        places = [mark.position for mark in marks]
        if self.end not in places:
            raise JournalGap(self._path, self.end.index, log.start.index, log.end.index)
        self._marks = marks[: places.index(self.end) + 1]
        await file.truncate(self._marks[-1].offset)

    async def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            await file.aclose()


def _marks(log: DecodedLog) -> list[_Mark]:
    head = _Mark(log.start, len(first_line(log.start)))
    ends = zip(log.records, log.ends, strict=True)
    return [head, *(_Mark(record.position, end) for record, end in ends)]


def _line_lengths(lines: bytes) -> list[int]:
    return [len(line) + 1 for line in lines.split(b"\n")[:-1]]
