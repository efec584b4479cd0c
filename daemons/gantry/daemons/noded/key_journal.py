"""NodeD's key book on disk: what was begun and done survives a crash of NodeD or the node."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trio
from attrs import define, frozen

from gantry.core.keys import (
    KeyBook,
    KeyRecord,
    StoredBook,
    apply,
    dump_record,
    load_record,
    restarted,
    restored,
    stored,
)
from gantry.protocols.codec import dump, from_bytes, load, to_bytes
from gantry.protocols.records import ORIGIN, Position
from gantry.runtime.environment import Files
from gantry.runtime.journal import AppendFailed, Journal
from gantry.runtime.logs import Log

SNAPSHOT: Final = "node-keys.json"
JOURNAL: Final = "node-keys.log"

COMPACT_BYTES: Final = 1024 * 1024
"""A longer journal is replaced by a snapshot: most of its keys are forgotten by then."""

LOG: Final = Log("noded.keys")


@frozen
class _Snapshot:
    position: Position
    book: StoredBook


@define
class KeyJournal:
    """The book and its journal. Made by :meth:`open`; :meth:`run` must run while it is used."""

    book: KeyBook
    _files: Files
    _folder: Path
    _journal: Journal
    _compacting: bool = False

    @classmethod
    async def open(cls, files: Files, folder: Path) -> KeyJournal:
        """Read what an earlier NodeD has left: calls that ran then are interrupted now.

        Raises:
            gantry.protocols.records.CorruptRecord: the journal is damaged.
            gantry.protocols.codec.Malformed: the snapshot is.
        """
        await files.make_folder(folder)
        snapshot = _Snapshot(ORIGIN, stored(KeyBook()))
        if await files.exists(folder / SNAPSHOT):
            snapshot = load(_Snapshot, from_bytes(await files.read(folder / SNAPSHOT)))
        book = restored(snapshot.book)
        journal, records = await Journal.open(
            files, folder / JOURNAL, book.epoch, snapshot.position
        )
        for record in records:
            book = apply(book, load_record(record.payload))
        return cls(restarted(book), files, folder, journal)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is appended, until cancelled."""
        await self._journal.run(task_status)

    async def append(self, *records: KeyRecord) -> None:
        """Make records durable; concurrent ones share a flush.

        Raises:
            AppendFailed: it could not be written.
        """
        self._journal.epoch = self.book.epoch
        await self._journal.append([dump_record(record) for record in records])
        if self._journal.figures.file_bytes > COMPACT_BYTES and not self._compacting:
            await self._compact()

    async def remove(self) -> None:
        """Remove the files, once :meth:`run` has ended: the node has left its cluster."""
        for name in (SNAPSHOT, JOURNAL):
            await self._files.remove(self._folder / name)

    async def _compact(self) -> None:
        """Replace the journal's records by a snapshot; failing that, it just stays long."""
        self._compacting = True
        try:
            # The book may be ahead of the journal; replaying a record twice changes nothing.
            position = self._journal.end
            snapshot = to_bytes(dump(_Snapshot(position, stored(self.book))))
            await self._files.write(self._folder / SNAPSHOT, snapshot)
            await self._journal.start_over(position.index)
        except (OSError, AppendFailed) as error:
            LOG.warning("key journal not compacted", reason=str(error))
        finally:
            self._compacting = False
