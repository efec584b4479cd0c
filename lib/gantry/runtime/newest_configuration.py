"""The configuration as the end of this node's log has it, whether it counts yet or not.

For those who must know who votes before the owner of the configuration answers. The newest set of
voters differs by one voter at most from the newest that counts; as long as it is not known to
count, a majority of both is needed for everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from attrs import frozen

from gantry.core.config.folding import end_of_file, fold
from gantry.core.config.voter_history import SetChanged, last_change
from gantry.protocols.codec import Json, Malformed, from_bytes
from gantry.protocols.identity import Epoch
from gantry.protocols.objects.configuration import Configuration, load_configuration
from gantry.protocols.records import Record, decode_log
from gantry.runtime.commit_mark import CONFIG_MARK, CommitMark, counted, read_mark
from gantry.runtime.environment import Environment

CONFIG_LOG: Final = "config.log"

LOOKS_MAX: Final = 5
"""The snapshot and its log are two files: between reading them both may be replaced."""


@frozen
class Newest:
    """What the two files hold together."""

    configuration: Configuration
    epoch: Epoch
    """Of the last record."""
    change: SetChanged | None = None
    """The last change of the voters that may not count yet."""


async def read_newest(env: Environment) -> Newest:
    """Read ``config.data`` and the log after it, which somebody else may be writing.

    Raises:
        FileNotFoundError: the node has no configuration.
        gantry.protocols.codec.Malformed: it is damaged.
        gantry.protocols.records.CorruptRecord: the log is damaged.
    """
    log = env.paths.data / CONFIG_LOG
    looks = 0
    while True:
        raw = await env.files.read(env.paths.config)
        logged = await env.files.read(log) if await env.files.exists(log) else b""
        looks += 1
        # A thread, because this takes as long as the cluster is large.
        mark = await read_mark(env.files, env.paths.data / CONFIG_MARK)
        found = await env.offload(partial(_folded, raw, logged, str(log), mark))
        if found is not None:
            return found
        if looks == LOOKS_MAX:
            # A crash came between a new snapshot and the log after it: the snapshot it is.
            return await env.offload(partial(_alone, raw))


def _folded(raw: bytes, logged: bytes, name: str, mark: CommitMark | None) -> Newest | None:
    """Return what two files make, or ``None`` if they are not of one moment."""
    if not logged:
        return _alone(raw)
    value = _value(raw)
    base = end_of_file(value)
    decoded = decode_log(logged, name)
    if base.position not in [decoded.start, *(each.position for each in decoded.records)]:
        return None
    later = [each for each in decoded.records if each.index > base.index]
    return newest_of(value, later, mark)


def newest_of(
    value: Mapping[str, Json], records: Sequence[Record], mark: CommitMark | None = None
) -> Newest:
    """Return what a snapshot and the records after it make; the mark says which of them count.

    Raises:
        gantry.protocols.codec.Malformed: one of them is damaged.
    """
    if not records:
        return Newest(load_configuration(value), end_of_file(value).epoch)
    newest = load_configuration(fold(value, records))
    # Most of a large cluster says nothing about the voters.
    before = load_configuration({**value, "instances": {}, "disks": {}})
    return Newest(newest, records[-1].epoch, last_change(before, records, counted(mark, records)))


def _alone(raw: bytes) -> Newest:
    return newest_of(_value(raw), ())


def _value(raw: bytes) -> dict[str, Json]:
    value = from_bytes(raw)
    if not isinstance(value, dict):
        raise Malformed("config.data is no JSON object")
    return value
