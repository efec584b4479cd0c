"""What processes cost: processor time, bytes written, memory; read from the kernel's own books."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from gantry.cli.devcluster.found import processes_of

PROC: Final = Path("/proc")
CPUCLOCK_SCHED: Final = 2
"""Of a process's clock, with its id: the time that it ran, as the scheduler counts it in
nanoseconds (clock_getcpuclockid(3))."""

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")

IDLE_SECONDS: Final = 1.0
IDLE_SHARE: Final = 0.1
IDLE_SECONDS_MAX: Final = 60.0

_PROGRAM: Final = re.compile(r"(?:^|/)(gantry-[a-z]+)(?= |$)")


@frozen
class Usage:
    """What a process and its children that have been reaped have used so far."""

    cpu_seconds: float = 0.0
    bytes_written: int = 0
    """Caused to be sent to the disk: whole pages, not the bytes of the calls (proc(5), io)."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.cpu_seconds + other.cpu_seconds, self.bytes_written + other.bytes_written)

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.cpu_seconds - other.cpu_seconds, self.bytes_written - other.bytes_written)


@frozen
class Memory:
    """A process's memory in MiB: resident, its share of it, and what is its own alone."""

    rss_mib: float
    pss_mib: float
    private_mib: float


def programs(folder: Path) -> tuple[tuple[str, int], ...]:
    """Return the daemons and job processes of a development cluster: (program, process id)."""
    found = ((_PROGRAM.search(each.command), each.pid) for each in processes_of(folder))
    return tuple((match[1], pid) for match, pid in found if match)


def usage_by_program(folder: Path) -> dict[str, Usage]:
    """Return what each program has used on all nodes; jobs that have ended count as fork server."""
    total: dict[str, Usage] = {}
    for program, pid in programs(folder):
        total[program] = total.get(program, Usage()) + usage(pid)
    return total


def spent(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, Usage]:
    """Return what was used between two readings."""
    return {program: used - before.get(program, Usage()) for program, used in after.items()}


def usage(pid: int) -> Usage:
    """Read a process's usage; that of a process which has just ended is nothing."""
    try:
        stat = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        io = (PROC / str(pid) / "io").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return Usage()
    ticks = sum(int(field) for field in stat[11:15])  # utime, stime, cutime, cstime
    written = re.search(r"^write_bytes: (\d+)", io, re.MULTILINE)
    return Usage(ticks / TICKS_PER_SECOND, int(written[1]) if written else 0)


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used, with that of threads that have ended.

    Raises:
        OSError: there is no such process.
    """
    return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)


def bytes_sent(pid: int) -> int:
    """Return the bytes that a process has sent over its TCP connections that are open now."""
    command = ["ss", "--no-header", "--tcp", "--info", "--numeric", "--processes"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    connections = re.split(r"\n(?=\S)", shown)
    own = (each for each in connections if f"pid={pid}," in each)
    found = (re.search(r"bytes_sent:(\d+)", each) for each in own)
    return sum(int(match[1]) for match in found if match)


def wait_until_idle(folder: Path) -> None:
    """Wait until the daemons have done what a change of the configuration sets off."""
    deadline = time.monotonic() + IDLE_SECONDS_MAX
    before = _processor_seconds_of(folder)
    while time.monotonic() < deadline:
        time.sleep(IDLE_SECONDS)
        now = _processor_seconds_of(folder)
        if now - before < IDLE_SHARE * IDLE_SECONDS:
            return
        before = now


def _processor_seconds_of(folder: Path) -> float:
    total = 0.0
    for _, pid in programs(folder):
        with suppress(FileNotFoundError, ProcessLookupError):
            total += processor_seconds(pid)
    return total


def memory(pid: int) -> Memory:
    """Read a process's memory."""
    rollup = (PROC / str(pid) / "smaps_rollup").read_text()
    kib = {
        key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", rollup, re.MULTILINE)
    }
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    return Memory(kib["Rss"] / 1024, kib["Pss"] / 1024, private / 1024)
