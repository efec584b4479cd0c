"""What this machine can do at best, for telling a slow program from a slow machine."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Final

from bench.figures import Figure, Section

FLUSHES: Final = 100


def yardsticks(folder: Path) -> Section:
    """Measure the disk's flush and the kernel's fork."""
    return Section(
        "The machine",
        "A job on one node waits for at least four flushes, one after the other, and a fork.",
        (
            Figure("append 200 bytes and flush, median", _flush_ms(folder), "ms"),
            Figure("fork and reap this process, median", _fork_ms(), "ms"),
        ),
    )


def _flush_ms(folder: Path) -> float:
    fd = os.open(folder / "yardstick", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    times = []
    for _ in range(FLUSHES):
        began = time.perf_counter()
        os.write(fd, b"x" * 200)
        os.fdatasync(fd)
        times.append((time.perf_counter() - began) * 1000)
    os.close(fd)
    return statistics.median(times)


def _fork_ms() -> float:
    times = []
    for _ in range(FLUSHES):
        began = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
