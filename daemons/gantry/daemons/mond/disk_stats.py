"""``diskstats``: the kernel's counters of every block device."""

from __future__ import annotations

from typing import Final

import trio
from attrs import frozen
from typing_extensions import override

from gantry.daemons.mond.collector import Collector
from gantry.daemons.mond.proc_files import DISKSTATS, DiskStat, parse_diskstats
from gantry.protocols.codec import Json
from gantry.protocols.mond import PERFORMANCE, CollectorInfo
from gantry.runtime.environment import Files

INFO: Final = CollectorInfo("diskstats", "storage", PERFORMANCE)


@frozen
class DiskStatistics(Collector):
    """Keeps nothing: the counters are the kernel's."""

    _files: Files

    @property
    @override
    def info(self) -> CollectorInfo:
        return INFO

    @override
    async def sample(self) -> None:
        await trio.lowlevel.checkpoint()

    @override
    async def data(self) -> Json:
        text = (await self._files.read(DISKSTATS)).decode(errors="replace")
        return [_rendered(stat) for stat in parse_diskstats(text)]


def _rendered(stat: DiskStat) -> dict[str, Json]:
    """Return the form of Ganeti's report, with its names."""
    return {
        "major": stat.major,
        "minor": stat.minor,
        "name": stat.name,
        "readsNum": stat.reads,
        "mergedReads": stat.reads_merged,
        "secRead": stat.sectors_read,
        "timeRead": stat.read_ms,
        "writes": stat.writes,
        "mergedWrites": stat.writes_merged,
        "secWritten": stat.sectors_written,
        "timeWrite": stat.write_ms,
        "ios": stat.in_progress,
        "timeIO": stat.io_ms,
        "wIOmillis": stat.weighted_io_ms,
    }
