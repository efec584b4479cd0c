"""What the machine has: processors, memory and disk space, in the kernel's own words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from attrs import define

from gantry.protocols.noded import StepFailed
from gantry.runtime.environment import Environment

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
CPUINFO: Final = Path("/proc/cpuinfo")
MEMINFO: Final = Path("/proc/meminfo")
NUMA_NODES: Final = Path("/sys/devices/system/node")

DF_SECONDS_MAX: Final = 10.0
"""A dead network file system would hold df for ever."""


@define
class Machine:
    """The machine below a node."""

    _env: Environment

    async def boot_id(self) -> str:
        """Return what changes with every boot."""
        return (await self._env.files.read(BOOT_ID)).decode().strip()

    async def processors(self) -> tuple[int, int, int]:
        """Return the numbers of logical processors, NUMA nodes and sockets."""
        info = (await self._env.files.read(CPUINFO)).decode(errors="replace")
        total = len(re.findall(r"^processor\s*:", info, re.MULTILINE))
        sockets = len(set(re.findall(r"^physical id\s*:\s*(\d+)", info, re.MULTILINE)))
        names = await self._env.files.list(NUMA_NODES)
        numa = sum(1 for name in names if re.fullmatch(r"node\d+", name))
        return total, max(numa, 1), max(sockets, 1)

    async def memory_mib(self) -> tuple[int, int]:
        """Return the total memory and what could be used at once, caches included."""
        info = (await self._env.files.read(MEMINFO)).decode(errors="replace")
        kib = {
            name: int(value)
            for name, value in re.findall(r"^(\w+):\s+([0-9]{1,18})\b", info, re.MULTILINE)
        }
        free = sum(kib.get(name, 0) for name in ("MemFree", "Buffers", "Cached"))
        return kib.get("MemTotal", 0) // 1024, free // 1024

    async def space_mib(self, folder: Path) -> tuple[int, int]:
        """Return the size of a folder's file system and what is free of it for us.

        Raises:
            StepFailed: the file system does not answer.
        """
        while not await self._env.files.exists(folder):
            folder = folder.parent
        argv = ["df", "--block-size=1M", "--output=size,avail", str(folder)]
        ended = await self._env.processes.run(argv, deadline_seconds=DF_SECONDS_MAX)
        numbers = re.findall(
            r"\b[0-9]{1,18}\b", ended.output.decode(errors="replace").rpartition("Avail")[2]
        )
        if ended.status != 0 or len(numbers) != 2:
            raise StepFailed(f"the space below {folder} can not be told: {ended.output!r:.200}")
        return int(numbers[0]), int(numbers[1])
