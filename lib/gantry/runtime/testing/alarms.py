"""Waiting for a moment that may come earlier than was thought, without a cancel scope."""

from __future__ import annotations

from math import inf
from typing import Any

import trio
from attrs import define, field
from trio._core import _run

RUN: Any = _run.GLOBAL_RUN_CONTEXT  # private to trio, as its list of deadlines is


@define(eq=False)
class Alarm:
    """Wakes one task: at a moment, or when it is told to.

    In trio's list of deadlines it stands where a cancel scope would: to enter one, to be
    cancelled, and to catch that again costs several times as much.
    """

    _registered_deadline: float = field(default=inf, init=False)
    _task: trio.lowlevel.Task | None = field(default=None, init=False)

    async def wait(self, moment: float) -> None:
        """Wait until a moment of trio's clock, or until woken."""
        self._task = trio.lowlevel.current_task()
        self._set(moment)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._forget()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def bring_forward(self, moment: float) -> None:
        """Wake at a moment, if it is earlier."""
        if self._task is not None and moment < self._registered_deadline:
            self._set(moment)

    def wake(self) -> None:
        """Wake the task, if one waits."""
        task = self._task
        if task is not None:
            self._forget()
            trio.lowlevel.reschedule(task)

    def _cancel(self, _: object) -> None:
        """Be called by trio: the moment has come."""
        self.wake()

    def _forget(self) -> None:
        self._task = None
        self._set(inf)

    def _set(self, moment: float) -> None:
        old, self._registered_deadline = self._registered_deadline, moment
        if old == moment:
            return
        deadlines = RUN.runner.deadlines
        if old != inf:
            deadlines.remove(old, self)
        if moment != inf:
            deadlines.add(moment, self)
