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
    """Times every step of every task; costs about 2 microseconds a step."""

    def __init__(self) -> None:
        self._began = 0.0

    @override
    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = time.perf_counter()

    @override
    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        seconds = time.perf_counter() - self._began
        if seconds > STALL_SECONDS:
            LOG.warning("stall", task=task.name, milliseconds=round(seconds * 1000))
