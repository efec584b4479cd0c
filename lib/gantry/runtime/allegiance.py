"""Whom a node follows: one small file, written by NodeD, read by the master daemons.

The master daemons count their own flush as a vote only if the file, read after the flush, still
says that nobody was promised a newer epoch. NodeD writes it before it answers a candidate, and
reads the logs after that: so either the candidate sees the record, or it does not count.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from gantry.protocols.codec import dump, from_bytes, load, to_bytes
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.runtime.environment import Files
from gantry.runtime.paths import Paths

FILE: Final = "allegiance.json"


@frozen
class Allegiance:
    """What the node has promised, and whether it leads itself."""

    promised: Epoch = FIRST_EPOCH
    """No older epoch is followed."""
    reign: Epoch = FIRST_EPOCH
    """The last epoch in which this node's own master daemons were told to lead. In the first
    one nobody is told: the configuration names the master."""

    voters: tuple[NodeUuid, ...] | None = None
    """Who votes in a reign that was begun without a majority: the others count as offline."""

    @property
    def may_lead(self) -> bool:
        """Whether the node's own master daemons may act."""
        return self.reign == self.promised


async def read_allegiance(files: Files, paths: Paths) -> Allegiance:
    """Read the file; a node without one is in the first epoch.

    Raises:
        gantry.protocols.codec.Malformed: the file is damaged.
    """
    try:
        return load(Allegiance, from_bytes(await files.read(paths.data / FILE)))
    except FileNotFoundError:
        return Allegiance()


async def write_allegiance(files: Files, paths: Paths, allegiance: Allegiance) -> None:
    """Replace the file, durably."""
    await files.write(paths.data / FILE, to_bytes(dump(allegiance)))
