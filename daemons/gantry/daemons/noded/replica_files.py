"""One stream's replica on the disk: a snapshot in the stream's own form, and the log after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, cast

import trio
from attrs import define, evolve, field, frozen
from immutables import Map
from typing_extensions import override

from gantry.core.config import folding
from gantry.core.queue.fold import replay_archiving
from gantry.core.queue.snapshot import restore, take
from gantry.core.replication import replica as pure
from gantry.core.replication.replica import Effect, Replica
from gantry.protocols.codec import Json, dump, from_bytes, load, to_bytes
from gantry.protocols.config_records import load_record as load_config_record
from gantry.protocols.identity import Epoch
from gantry.protocols.job_archive import ArchivedJob
from gantry.protocols.queue_records import StoredQueue, load_record
from gantry.protocols.records import Index, Position, Record, decode_log
from gantry.protocols.replication import NOTHING, LogEnd, Stream
from gantry.runtime.environment import Environment
from gantry.runtime.job_archive import put_into_archive
from gantry.runtime.logs import Log
from gantry.runtime.membership import ASIDE
from gantry.runtime.replica_log import ReplicaLog

CONFIG_MODE: Final = 0o640

LOG_BYTES_KEPT: Final = 1024 * 1024
"""A log that is shorter is left alone when its snapshot is rewritten."""

LOOKS_MAX: Final = 5
"""A snapshot and its log are two files: between reading them both may be replaced."""

LOG: Final = Log("noded.replica")


@frozen
class Folded:
    """What some records have made of a snapshot."""

    data: Json
    archived: tuple[ArchivedJob, ...] = ()
    """The jobs that have left the queue: their files are derived before they are forgotten."""


class Form(Protocol):
    """What a stream's snapshot looks like."""

    def end(self, data: Json) -> LogEnd:
        """Return up to where a snapshot holds the log."""

    def fold(self, data: Json, records: tuple[Record, ...]) -> Folded:
        """Return the snapshot after some more records."""


class ConfigForm(Form):
    """``config.data``."""

    @override
    def end(self, data: Json) -> LogEnd:
        return folding.end_of_file(cast("Mapping[str, Json]", data))

    @override
    def fold(self, data: Json, records: tuple[Record, ...]) -> Folded:
        return Folded(folding.fold(cast("Mapping[str, Json]", data), records))


class QueueForm(Form):
    """``queue.snapshot``."""

    @override
    def end(self, data: Json) -> LogEnd:
        return load(StoredQueue, data).end

    @override
    def fold(self, data: Json, records: tuple[Record, ...]) -> Folded:
        stored = load(StoredQueue, data)
        loaded = [load_record(each.payload) for each in records]
        queue, archived = replay_archiving(loaded, restore(stored.queue))
        last = records[-1]
        return Folded(dump(StoredQueue(last.position, take(queue), last.epoch)), archived)


FORMS: Final[Mapping[Stream, Form]] = {"config": ConfigForm(), "queue": QueueForm()}
FILES: Final[Mapping[Stream, tuple[str, str]]] = {
    "config": ("config.data", "config.log"),
    "queue": ("queue.snapshot", "queue.journal"),
}
"""Snapshot and log of a stream, below the data directory."""


@define
class ReplicaFiles:
    """One stream's replica. Made by :meth:`open`; :meth:`aclose` leaves the files to others."""

    _env: Environment
    _stream: Stream
    replica: Replica
    _log: ReplicaLog
    data: Json
    """The snapshot; ``None`` if there is none yet."""
    _disk: trio.Lock = field(factory=trio.Lock, init=False)
    """Held while the snapshot is written."""
    _closed: bool = field(default=False, init=False)

    @classmethod
    async def open(cls, env: Environment, stream: Stream, promised: Epoch) -> ReplicaFiles:
        """Read what is on the disk.

        Raises:
            gantry.protocols.records.CorruptRecord: the log is damaged.
            gantry.protocols.codec.Malformed: the snapshot is.
        """
        data = await _snapshot(env, stream)
        base = NOTHING if data is None else FORMS[stream].end(data)
        path = env.paths.data / FILES[stream][1]
        log, records = await ReplicaLog.open(env.files, path, base.position)
        places = [log.start, *(record.position for record in records)]
        if base.position in places:
            later = [record for record in records if record.index > base.index]
        else:  # a crash came between a new snapshot and the log after it
            await _save_aside(env, stream, records)
            await log.start_over(base.position, ())
            later = []
        kept = Map({record.index: record for record in later})
        return cls(env, stream, Replica(promised, base, kept, base.position), log, data)

    async def carry_out(self, after: Replica, effects: tuple[Effect, ...], data: Json) -> None:
        """Do what a step of the replica wants, in order, and take over its result.

        Raises:
            OSError: the disk failed; then the files are as before, or hold less of what is not
                committed.
            gantry.protocols.codec.Malformed: the records do not follow each other.
        """
        with trio.CancelScope(shield=True):  # one message's worth of disk
            for effect in effects:
                await self._carry_out(effect, data)
            self.replica = after

    async def _carry_out(self, effect: Effect, data: Json) -> None:
        match effect:
            case pure.Promise():
                pass  # the node's, not the stream's
            case pure.SaveAside(records):
                await _save_aside(self._env, self._stream, records)
            case pure.CutAfter(position):
                await self._log.cut_after(position.index)
                self.replica = self._cut(self.replica, position.index)
            case pure.Write(records):
                await self._log.write(self._before(records[0]), records)
            case pure.ReplaceAll(end):
                async with self._disk:
                    await self._write_snapshot(data)
                    await self._log.start_over(end.position, ())

    def _before(self, record: Record) -> Position:
        place = self.replica.at(Index(record.index - 1))
        if place is None:
            raise AssertionError(f"the log does not reach record {record.index}")
        return place

    @staticmethod
    def _cut(replica: Replica, index: int) -> Replica:
        kept = Map({i: record for i, record in replica.records.items() if i <= index})
        return evolve(replica, records=kept)

    async def fold(self) -> None:
        """Rewrite the snapshot with what is committed, and shorten a long log.

        Raises:
            OSError: the disk failed; everything is as before.
        """
        async with self._disk:
            if self._closed:
                return
            replica, data = self.replica, self.data
            through = replica.committed.index
            records = tuple(r for r in replica.after(replica.base.index) if r.index <= through)
            if not records or data is None:
                return
            fold = FORMS[self._stream].fold
            new = await self._env.offload(lambda: fold(data, records))
            await put_into_archive(self._env, new.archived)
            await self._write_snapshot(new.data)

    async def shorten(self) -> None:
        """Forget the records that the snapshot holds; called when nobody else uses the log.

        Raises:
            OSError: the disk failed; everything is as before.
        """
        if self.data is None:  # the leader of this stream has not sent anything yet
            return
        base = FORMS[self._stream].end(self.data)
        if base.index <= self.replica.base.index or not self.replica.has(base.position):
            return
        shorter = pure.folded(self.replica, base.index)
        if self._log.file_bytes > LOG_BYTES_KEPT:
            await self._log.start_over(base.position, shorter.after(base.index))
        self.replica = shorter

    @property
    def log_bytes(self) -> int:
        """How long the log's file is."""
        return self._log.file_bytes

    async def aclose(self) -> None:
        """Leave the files to somebody else."""
        async with self._disk:
            self._closed = True
            await self._log.aclose()

    async def _write_snapshot(self, data: Json) -> None:
        raw = await self._env.offload(lambda: to_bytes(data))
        path = self._env.paths.data / FILES[self._stream][0]
        await self._env.files.write(path, raw, CONFIG_MODE)
        self.data = data


@frozen
class Looked:
    """A stream as it was on the disk at one moment."""

    replica: Replica
    data: Json


async def look(env: Environment, stream: Stream, promised: Epoch) -> Looked:
    """Read a stream whose files somebody else may be writing; nothing is changed.

    Where the log does not continue the snapshot in any of several looks, a crash came between a
    new snapshot and the log after it: then the snapshot is all there is, as for who opens them.
    """
    looks = 0
    while True:
        looks += 1
        data = await _snapshot(env, stream)
        base = NOTHING if data is None else FORMS[stream].end(data)
        path = env.paths.data / FILES[stream][1]
        if not await env.files.exists(path):
            return Looked(Replica(promised, base, Map(), base.position), data)
        decoded = decode_log(await env.files.read(path), str(path))
        if base.position in [decoded.start, *(each.position for each in decoded.records)]:
            kept = Map({each.index: each for each in decoded.records if each.index > base.index})
            return Looked(Replica(promised, base, kept, base.position), data)
        if looks == LOOKS_MAX:
            return Looked(Replica(promised, base, Map(), base.position), data)


def newest_serial(found: ReplicaFiles | Looked) -> tuple[Epoch, int] | None:
    """Return epoch and serial number of the newest configuration in a replica, counting or not.

    ``None``: there is none.
    """
    replica, data = found.replica, found.data
    last = replica.records.get(replica.end.index)
    if last is not None:
        return last.epoch, load_config_record(last.payload).serial_no
    serial = data.get("serial_no") if isinstance(data, dict) else None
    return (replica.end.epoch, serial) if isinstance(serial, int) else None


async def remove_replica(env: Environment, stream: Stream) -> None:
    """Remove a stream's files, the snapshot first: without it there is no replica."""
    for name in FILES[stream]:
        await env.files.remove(env.paths.data / name)


async def _snapshot(env: Environment, stream: Stream) -> Json:
    path = env.paths.data / FILES[stream][0]
    if not await env.files.exists(path):
        return None
    raw = await env.files.read(path)
    return await env.offload(lambda: from_bytes(raw))


async def _save_aside(env: Environment, stream: Stream, records: tuple[Record, ...]) -> None:
    """Keep what is about to be cut off: it never counted, but somebody may want to look at it."""
    if not records:
        return
    first, last = records[0], records[-1]
    name = f"{stream}{ASIDE}{first.epoch}-{first.index}-{last.index}"
    await env.files.write(env.paths.data / name, to_bytes(dump(records)) + b"\n", CONFIG_MODE)
    LOG.warning("records of another history saved aside", file=name, records=len(records))
