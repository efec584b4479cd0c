"""The records of the configuration's stream, and what a snapshot knows of the stream.

A record says what has changed, as the changed objects themselves: replaying it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from gantry.protocols.codec import Json, dump, load
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, NodeUuid
from gantry.protocols.records import ORIGIN, Checksum, Index
from gantry.protocols.wconfd import ObjectGone, ObjectPut

FIRST_EPOCH: Final = Epoch(1)

LOG_KEY: Final = "log"
"""Where, under the top-level key ``gantry`` of ``config.data``, a :class:`LogPosition` is."""

SOURCE_KEY: Final = "source"
"""Where, under the same key, a :class:`Source` is, if there is one."""


@frozen
class ConfigRecord:
    """What one committed change did, and the key that it was asked for with."""

    key: Key
    attempt: Attempt
    digest: str
    serial_no: int
    """The configuration's own, after the change."""
    mtime: float
    objects: tuple[ObjectPut | ObjectGone, ...]
    over: tuple[JobId, ...] = ()
    """Jobs that have ended since: nobody asks by their keys any more."""


def dump_record(record: ConfigRecord) -> Json:
    """Return the JSON form of a record."""
    return dump(record)


def load_record(payload: Json) -> ConfigRecord:
    """Parse a record.

    Raises:
        gantry.protocols.codec.Malformed: it does not have the form of a record.
    """
    return load(ConfigRecord, payload)


@frozen
class UsedKey:
    """A key under which something was committed."""

    key: Key
    digest: str
    index: Index


@frozen
class JobsKeys:
    """The keys of one unfinished job."""

    job: JobId
    attempt: Attempt
    used: tuple[UsedKey, ...]


@frozen
class LogPosition:
    """Up to where a snapshot holds the log, with what the log knew beside the configuration."""

    epoch: Epoch = FIRST_EPOCH
    index: Index = ORIGIN.index
    checksum: Checksum = ORIGIN.checksum
    jobs: tuple[JobsKeys, ...] = ()


def dump_position(position: LogPosition) -> Json:
    """Return the JSON form of a position."""
    return dump(position)


def load_position(value: Json) -> LogPosition:
    """Parse a position; a configuration taken over from Ganeti has none, and begins at none.

    Raises:
        gantry.protocols.codec.Malformed: it does not have the form of a position.
    """
    return LogPosition() if value is None else load(LogPosition, value)


@frozen
class Source:
    """What was replaced in a configuration that was taken over from Ganeti.

    Whoever goes back to Ganeti has the old certificates in place again.
    """

    candidate_certs: Mapping[NodeUuid, str]


def dump_source(source: Source) -> Json:
    """Return the JSON form of a source."""
    return dump(source)


def load_source(value: Json) -> Source | None:
    """Parse a source; there is none in a cluster that was not taken over.

    Raises:
        gantry.protocols.codec.Malformed: it does not have the form of a source.
    """
    return None if value is None else load(Source, value)
