"""What the kernel says in ``/proc``, parsed (proc(5))."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
from attrs import frozen

STAT: Final = Path("/proc/stat")
DISKSTATS: Final = Path("/proc/diskstats")
MEMINFO: Final = Path("/proc/meminfo")
LOADAVG: Final = Path("/proc/loadavg")

TICKS_PER_SECOND: Final = 100
"""The unit of the kernel's CPU times, the same on every architecture that Linux runs guests on."""

SECTOR_BYTES: Final = 512
"""The unit of the kernel's disk statistics, whatever the disk's own sectors are."""


class UnknownForm(ValueError):
    """A file of the kernel does not look as it should; the text says which line."""


@frozen
class CpuTimes:
    """How long a processor did what, in ticks since the machine started.

    Time that a processor ran guests is part of ``user`` and ``nice``.
    """

    user: int
    nice: int
    system: int
    idle: int
    iowait: int
    irq: int
    softirq: int
    steal: int

    @property
    def busy(self) -> int:
        """The time in which it could not have done anything else."""
        return self.user + self.nice + self.system + self.irq + self.softirq + self.steal


CPU_MODES: Final = tuple(each.name for each in attrs.fields(CpuTimes))


def parse_stat(text: str) -> tuple[CpuTimes, ...]:
    """Return the times of each processor."""
    found: list[CpuTimes] = []
    for line in text.splitlines():
        words = line.split()
        if words and words[0].startswith("cpu") and words[0] != "cpu":
            found.append(CpuTimes(*_numbers(line, words[1 : 1 + len(CPU_MODES)], len(CPU_MODES))))
    if not found:
        raise UnknownForm("no processor is listed")
    return tuple(found)


@frozen
class DiskStat:
    """What a block device did since it appeared; times in milliseconds."""

    major: int
    minor: int
    name: str
    reads: int
    reads_merged: int
    sectors_read: int
    read_ms: int
    writes: int
    writes_merged: int
    sectors_written: int
    write_ms: int
    in_progress: int
    io_ms: int
    weighted_io_ms: int


_COUNTERS: Final = 11
_COUNTER: Final = re.compile(r"[0-9]{1,20}")
"""As long as the kernel's longest, of 64 bits."""


def parse_diskstats(text: str) -> tuple[DiskStat, ...]:
    """Return the statistics of each block device; newer kernels' further columns are ignored."""
    found: list[DiskStat] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3:
            raise UnknownForm(f"{line!r:.80}")
        major, minor = _numbers(line, words[:2], 2)
        counters = _numbers(line, words[3 : 3 + _COUNTERS], _COUNTERS)
        found.append(DiskStat(major, minor, words[2], *counters))
    return tuple(found)


def parse_meminfo(text: str) -> Mapping[str, int]:
    """Return the sizes by name, in bytes."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB":
            found[name] = _numbers(line, words[:1], 1)[0] * 1024
    return found


def parse_loadavg(text: str) -> float:
    """Return the load average of the last minute."""
    try:
        return float(text.split()[0])
    except (IndexError, ValueError):
        raise UnknownForm(f"{text!r:.80}") from None


def _numbers(line: str, words: list[str], count: int) -> list[int]:
    if len(words) != count or not all(map(_COUNTER.fullmatch, words)):
        raise UnknownForm(f"{line!r:.80}")
    return [int(word) for word in words]
