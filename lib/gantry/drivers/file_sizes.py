"""How long files are, and how they end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gantry.protocols.runtime_types import DriverFailed
from gantry.runtime.environment import Files, Processes

STAT_DEADLINE_SECONDS: Final = 30.0
"""Shared storage may be slow to answer; a hung one must not hold a call for ever."""


_SIZE: Final = re.compile(rb"([0-9]{1,19})\n?")


async def size_bytes(processes: Processes, path: Path) -> int | None:
    """Return the apparent size of a file (links are followed); ``None`` if there is none.

    Raises:
        DriverFailed: it can not be told.
    """
    argv = ["stat", "-L", "-c", "%s", str(path)]
    ended = await processes.run(argv, deadline_seconds=STAT_DEADLINE_SECONDS)
    if ended.status != 0:
        return None
    found = _SIZE.fullmatch(ended.output)
    if found is None:
        raise DriverFailed(f"size of {path}", f"stat says {ended.output!r:.80}")
    return int(found[1])


async def tail_of(files: Files, processes: Processes, path: Path, bytes_max: int) -> str:
    """Return the end of a text file that may be of any length."""
    length = await size_bytes(processes, path) or 0
    data = await files.read_part(path, max(0, length - bytes_max), bytes_max)
    return data.decode(errors="replace")
