"""A watch for stalls: a task that holds the event loop too long is named in the log."""

from __future__ import annotations

import time
from typing import Final

import trio
from typing_extensions import override

from gantry.runtime.logs import Log

STALL_SECONDS: Final = 0.1
"""Long enough to be no noise on a busy machine, short enough that nobody else notices."""

LOG: Final = Log("stall")


class StallWatch(trio.abc.Instrument):
    """Times every step of every task; costs about a microsecond a step.

    Between two waits for input one step follows the other, so one begins where another ends.
    """

    def __init__(self) -> None:
        self._began = 0.0

    @override
    def after_io_wait(self, timeout: float) -> None:
        self._began = time.perf_counter()

    @override
    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        began, self._began = self._began, time.perf_counter()
        seconds = self._began - began
        if seconds > STALL_SECONDS:
            LOG.warning("stall", task=task.name, milliseconds=round(seconds * 1000))
