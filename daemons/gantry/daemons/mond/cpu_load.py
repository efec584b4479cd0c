"""``cpu-avg-load``: how many processors' worth of work the node did in the last ten minutes."""

from __future__ import annotations

from collections import deque
from typing import Final

import trio
from attrs import define, field
from typing_extensions import override

from gantry.daemons.mond.collector import Collector
from gantry.daemons.mond.proc_files import STAT, TICKS_PER_SECOND, parse_stat
from gantry.protocols.codec import Json
from gantry.protocols.mond import PERFORMANCE, CollectorInfo
from gantry.runtime.environment import Files

WINDOW_SECONDS: Final = 600.0
SAMPLES_MAX: Final = 150
"""Both numbers are Ganeti's: a shorter interval than four seconds shortens the window."""

INFO: Final = CollectorInfo("cpu-avg-load", None, PERFORMANCE)


@define
class CpuLoad(Collector):
    """Keeps the busy times of the window."""

    _files: Files
    _samples: deque[tuple[float, tuple[int, ...]]] = field(
        factory=lambda: deque(maxlen=SAMPLES_MAX), init=False
    )
    """Monotonic time, and the busy ticks of each processor."""

    @property
    @override
    def info(self) -> CollectorInfo:
        return INFO

    @override
    async def sample(self) -> None:
        text = (await self._files.read(STAT)).decode(errors="replace")
        busy = tuple(times.busy for times in parse_stat(text))
        now = trio.current_time()
        if self._samples and len(self._samples[-1][1]) != len(busy):
            self._samples.clear()  # processors came or went: nothing to compare with
        while self._samples and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()
        self._samples.append((now, busy))

    @override
    async def data(self) -> Json:
        await trio.lowlevel.checkpoint()
        if len(self._samples) < 2:
            return {"error": "not enough samples yet"}
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        ticks = (ended - began) * TICKS_PER_SECOND
        loads = [max(0, new - old) / ticks for old, new in zip(before, after, strict=True)]
        return {"cpu_number": len(loads), "cpus": loads, "cpu_total": sum(loads)}
