"""Which files of a folder are programs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gantry.runtime.environment import Processes

DEADLINE_SECONDS: Final = 30.0


async def executables(processes: Processes, folder: Path) -> frozenset[str]:
    """Return the names of the executable regular files (or links to such) in a folder."""
    listing = ["find", "-L", str(folder), "-mindepth", "1", "-maxdepth", "1"]
    chosen = ["-type", "f", "-executable", "-printf", r"%f\0"]
    ended = await processes.run([*listing, *chosen], deadline_seconds=DEADLINE_SECONDS)
    if ended.status != 0:  # no such folder, above all
        return frozenset()
    return frozenset(ended.output.decode(errors="surrogateescape").split("\0")) - {""}
