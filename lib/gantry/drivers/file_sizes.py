"""How long files are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gantry.runtime.environment import Processes

STAT_DEADLINE_SECONDS: Final = 30.0
"""Shared storage may be slow to answer; a hung one must not hold a call for ever."""


async def size_bytes(processes: Processes, path: Path) -> int | None:
    """Return the apparent size of a file (links are followed); ``None`` if there is none."""
    argv = ["stat", "-L", "-c", "%s", str(path)]
    ended = await processes.run(argv, deadline_seconds=STAT_DEADLINE_SECONDS)
    return int(ended.output) if ended.status == 0 else None
