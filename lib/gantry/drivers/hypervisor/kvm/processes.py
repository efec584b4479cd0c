"""Find and watch QEMU processes by pid and start time: never by program name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from attrs import frozen

from gantry.runtime.environment import Files

TICKS_PER_SECOND: Final = 100
"""Linux's USER_HZ, the unit of times in ``/proc/PID/stat`` on every architecture of QEMU's."""


@frozen
class ProcessTimes:
    """A process's times, in clock ticks."""

    start_ticks: int
    """Since the machine's boot; with the pid it names one process."""
    cpu_ticks: int


def parse_stat(stat: str) -> ProcessTimes | None:
    """Read ``/proc/PID/stat`` (proc(5)); ``None`` for a zombie.

    The second field may hold anything, blanks and parentheses too.
    """
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return ProcessTimes(start_ticks=int(fields[19]), cpu_ticks=int(fields[11]) + int(fields[12]))


async def process_times(files: Files, pid: int) -> ProcessTimes | None:
    """Return the times of a living process, or ``None`` if there is none with this id."""
    try:
        return parse_stat((await files.read(Path(f"/proc/{pid}/stat"))).decode(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None
