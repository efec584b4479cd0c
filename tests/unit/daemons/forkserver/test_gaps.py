"""After the gaps are filled, small objects are made side by side."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

SCRIPT: Final = """
from gantry.daemons.forkserver.gaps import fill_gaps
kept = [bytes(100) for _ in range(5000)]
del kept[::7], kept[::5]
pieces = fill_gaps()
made = [bytes(100) for _ in range(40)]
places = sorted(map(id, made))
print(places[-1] - places[0])
"""


def test_what_is_made_later_lies_together() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 16 * 1024  # the size of a pool
