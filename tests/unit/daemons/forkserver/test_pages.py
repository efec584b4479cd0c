"""What a process has written to is put onto huge pages, and stays what it was."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

from gantry.daemons.forkserver.pages import HUGE_BYTES, Area, huge_areas

MAPS: Final = """\
55d000000000-55d000400000 rw-p 00000000 00:00 0                          [heap]
7f0000100000-7f0000800000 rw-p 00000000 00:00 0
7f0000800000-7f0000900000 rw-p 00000000 00:00 0
7f0001000000-7f0001400000 r--p 00000000 00:00 0
7f0002000000-7f0002400000 rw-p 00000000 fe:00 1234                       /usr/lib/libcrypto.so.3
7ffc00000000-7ffc00400000 rw-p 00000000 00:00 0                          [stack]
"""

SCRIPT: Final = """
from pathlib import Path
from gantry.daemons.forkserver.pages import collapse
kept = [bytes([n % 256]) * 500 for n in range(40_000)]
done = collapse()
assert all(each == bytes([n % 256]) * 500 for n, each in enumerate(kept))
rollup = Path("/proc/self/smaps_rollup").read_text()
huge = next(line.split()[1] for line in rollup.splitlines() if line.startswith("AnonHugePages"))
print(done, int(huge) * 1024)
"""


def test_whole_huge_pages_of_own_memory_are_found() -> None:
    assert list(huge_areas(MAPS.splitlines())) == [
        Area(0x55D000000000, HUGE_BYTES),
        Area(0x55D000200000, HUGE_BYTES),
        Area(0x7F0000200000, HUGE_BYTES),
        Area(0x7F0000400000, HUGE_BYTES),
        Area(0x7F0000600000, HUGE_BYTES),
    ]


def test_memory_is_on_huge_pages_and_as_before() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    done, huge = map(int, ran.stdout.split())
    if not done:
        pytest.skip("the kernel has no huge pages to give")
    assert done <= huge
