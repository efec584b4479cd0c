"""The log of numbered records that the configuration and the job queue are made of.

A log is a text file. Its first line says after which record it starts, so that a log can be cut
short once a snapshot holds what the older records did; every other line is one record::

    gantry-log 1 <index> <checksum>
    <epoch> <index> <bytes of payload> <checksum> <payload>

The checksum is over the previous record's checksum, the epoch, the index and the payload: it
chains the records, so that a record of another history can never be taken for the next one.
The payload is JSON on one line. The length tells a record that a crash cut short (normal at the
very end: nobody was told that it is durable) from one that was damaged later (never normal). A
sector of zeros was never written, and what comes after it was never flushed either.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final, NewType

from attrs import evolve, frozen
from typing_extensions import override

from gantry.protocols.codec import Json, Malformed, from_bytes, to_bytes
from gantry.protocols.errors import GantryError
from gantry.protocols.identity import Epoch

Index = NewType("Index", int)
"""The number of a record in its log; the first is 1."""

Checksum = NewType("Checksum", str)
"""BLAKE2b of 16 bytes (RFC 7693) in hexadecimal, over a record and the checksum before it."""

CHECKSUM_BYTES: Final = 16
SECTOR_BYTES: Final = 512
"""What every disk writes as a whole or not at all; larger sectors are multiples of it."""

_MAGIC: Final = b"gantry-log 1"
_FIRST_LINE: Final = re.compile(rb"gantry-log 1 (\d{1,20}) ([0-9a-f]{32})")
_RECORD: Final = re.compile(rb"(\d{1,20}) (\d{1,20}) (\d{1,20}) ([0-9a-f]{32}) (.*)")
_HEAD_BEGUN: Final = re.compile(
    rb"\d{0,20}( (\d{0,20}( (\d{0,20}( ([0-9a-f]{0,32}( (.*)?)?)?)?)?)?)?)?"
)
"""What a record looks like that was cut short anywhere."""


@frozen
class Position:
    """A place in a log: right after the record with this index and checksum."""

    index: Index
    checksum: Checksum


ORIGIN: Final = Position(Index(0), Checksum("0" * (2 * CHECKSUM_BYTES)))
"""The place before the first record."""


def origin_of(name: str) -> Position:
    """Return the place before the first record of the log with this name.

    It differs from that of every other log, so that the records of one are never taken for
    those of another.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=CHECKSUM_BYTES).hexdigest()
    return Position(ORIGIN.index, Checksum(digest))


@frozen
class Record:
    """One committed record."""

    epoch: Epoch
    index: Index
    checksum: Checksum
    payload: Json

    @property
    def position(self) -> Position:
        """The place right after this record."""
        return Position(self.index, self.checksum)


@frozen
class CorruptRecord(GantryError):
    """A log was damaged: what stands there was never written so."""

    offset: int
    """Where the damaged line begins, in bytes from the start of the file."""
    index: Index
    """The number of the record that should stand there; 0 is the log's first line."""
    reason: str
    file: str = ""
    """The log's file, as far as it is known."""

    @override
    def __str__(self) -> str:
        where = f"{self.file}: " if self.file else ""
        return (
            f"{where}record {self.index} at byte {self.offset} is damaged: {self.reason}; "
            "restore the log from another master candidate, or cut the file at that byte "
            "if the changes from there on may be lost"
        )


@frozen
class DecodedLog:
    """What a log file holds."""

    start: Position
    records: tuple[Record, ...]
    ends: tuple[int, ...]
    """For each record the offset of its end, in bytes from the start of the file."""
    valid_bytes: int
    """The length of the file without the tail."""
    torn_bytes: int
    """The length of a tail that a crash cut short, or left holes in; to be cut off."""

    @property
    def end(self) -> Position:
        """The place after the last record."""
        return self.records[-1].position if self.records else self.start


def first_line(start: Position) -> bytes:
    """Return the first line of a log that goes on after ``start``."""
    return b"%s %d %s\n" % (_MAGIC, start.index, start.checksum.encode())


def came_to_nothing(data: bytes) -> bool:
    """Whether a crash left no first line of a log that begins at the origin, or cut it short.

    Its sector may be missing though later ones were written: the first flush was not over. So
    nothing in it was ever durable. Only for logs that are begun in place: one that was replaced as
    a whole has its first line, or is damaged.
    """
    if not data[:SECTOR_BYTES].strip(b"\0"):
        return True
    written = data.rstrip(b"\0")
    return b"\n" not in data and first_line(ORIGIN).startswith(written)


def encode_record(after: Position, epoch: Epoch, payload: Json) -> tuple[bytes, Record]:
    """Return the next record's line, and the record."""
    body = to_bytes(payload)
    index = Index(after.index + 1)
    checksum = _checksum(after.checksum, epoch, index, body)
    line = b"%d %d %d %s %s\n" % (epoch, index, len(body), checksum.encode(), body)
    return line, Record(epoch, index, checksum, payload)


def encode_records(
    after: Position, epoch: Epoch, payloads: Sequence[Json]
) -> tuple[bytes, tuple[Record, ...]]:
    """Return the lines of several records that follow each other, and the records."""
    lines, records = bytearray(), []
    for payload in payloads:
        line, record = encode_record(after, epoch, payload)
        lines += line
        records.append(record)
        after = record.position
    return bytes(lines), tuple(records)


def _checksum(previous: Checksum, epoch: int, index: int, body: bytes) -> Checksum:
    head = b"%s %d %d " % (previous.encode(), epoch, index)
    return Checksum(hashlib.blake2b(head + body, digest_size=CHECKSUM_BYTES).hexdigest())


def decode_log(data: bytes, file: str = "") -> DecodedLog:
    """Read a whole log file.

    Args:
        data: its content.
        file: its name, for errors.

    Raises:
        CorruptRecord: a line was damaged, or does not follow the one before it. A last line
            that a crash cut short is no error, nor is one of which a sector was not written with
            all that comes after it: see :attr:`DecodedLog.torn_bytes`.
    """
    try:
        return _decode(data)
    except CorruptRecord as error:
        raise evolve(error, file=file) from None


def decode_lines(data: bytes, after: Position, through: Index) -> tuple[tuple[Record, ...], int]:
    """Read the whole lines at the beginning of a part of a log.

    Args:
        data: the part; it begins right after a record.
        after: the place where it begins.
        through: the last record that is wanted.

    Returns:
        The records, and the length of their lines.

    Raises:
        CorruptRecord: a line does not follow the one before it; the offset counts from ``data``'s
            beginning.
    """
    records: list[Record] = []
    begin = 0
    while after.index < through and (end := data.find(b"\n", begin) + 1) > 0:
        record = _decode_line(data[begin : end - 1], after, begin)
        records.append(record)
        after, begin = record.position, end
    return tuple(records), begin


def _decode(data: bytes) -> DecodedLog:
    begin = data.find(b"\n") + 1
    match = _FIRST_LINE.fullmatch(data[: begin - 1]) if begin else None
    if match is None:
        raise CorruptRecord(0, Index(0), "this is no log of a known version")
    start = after = Position(Index(int(match[1])), Checksum(match[2].decode()))
    records: list[Record] = []
    ends: list[int] = []
    while (end := data.find(b"\n", begin) + 1) > 0:
        try:
            record = _decode_line(data[begin : end - 1], after, begin)
        except CorruptRecord:
            if _lacks_sector(data, begin, end):
                break
            raise
        records.append(record)
        ends.append(end)
        after, begin = record.position, end
    tail = data[begin:]
    if tail and not (_is_torn(tail) or _lacks_sector(data, begin, len(data))):
        raise CorruptRecord(begin, Index(after.index + 1), "it does not end where it should")
    return DecodedLog(start, tuple(records), tuple(ends), begin, len(tail))


def _decode_line(line: bytes, after: Position, offset: int) -> Record:
    index = Index(after.index + 1)
    match = _RECORD.fullmatch(line)
    if match is None:
        raise CorruptRecord(offset, index, "this is not the form of a record")
    epoch, body = Epoch(int(match[1])), match[5]
    if int(match[2]) != index:
        raise CorruptRecord(offset, index, f"the record found there has the number {int(match[2])}")
    if int(match[3]) != len(body):
        raise CorruptRecord(offset, index, f"it should have {int(match[3])} bytes, not {len(body)}")
    checksum = _checksum(after.checksum, epoch, index, body)
    if checksum.encode() != match[4]:
        raise CorruptRecord(offset, index, "the checksum is wrong")
    try:
        return Record(epoch, index, checksum, from_bytes(body))
    except Malformed as error:
        raise CorruptRecord(offset, index, str(error)) from None


def _lacks_sector(data: bytes, begin: int, end: int) -> bool:
    """Whether a part of a file, or what it has of a sector, is zeros: it never was written.

    A disk may write the sectors of what is not flushed yet in any order, so that whole records may
    follow. None of them was told to be durable, since a flush would have covered this one.
    No record has NUL bytes, which JSON escapes.
    """
    first = begin // SECTOR_BYTES * SECTOR_BYTES
    for start in range(first, end, SECTOR_BYTES):
        part = data[max(start, begin) : start + SECTOR_BYTES]
        if not part.strip(b"\0"):
            return True
    return False


def _is_torn(tail: bytes) -> bool:
    """Whether the last line, which has no end, is the beginning of a record.

    A file system may have made room (NUL bytes) for what it did not come to write. A record that
    lacks only its end and has room for it counts as damaged: better loud than one record short.
    """
    written = tail.rstrip(b"\0")
    match = _RECORD.fullmatch(written)
    if match is None:
        return _HEAD_BEGUN.fullmatch(written) is not None
    missing = int(match[3]) - len(match[5])
    return missing > 0 or (missing == 0 and written == tail)
