"""The turns of trio's loop, in virtual time and in an order that is drawn from the seed.

trio lets a scheduler ignore a checkpoint: a task that nobody else waits for goes on at once here,
instead of standing in line alone. The same tasks run in the same order for that, in half the time.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio
from attrs import define, field
from trio._core import _run, _traps
from typing_extensions import override

from gantry.runtime.testing.machine import CURRENT

TURNS_MAX: Final = 20_000
"""So many turns are looked at together: if no time passes in them, a task spins."""

IGNORED_MAX: Final = 100
"""So many checkpoints of a lone task are ignored in a row: one that spins is noticed."""

CPU_SECONDS_MAX: Final = 60.0
"""What a run may cost; more is a cluster that is busy for ever."""

CPU_LOOKS_EACH: Final = 100
"""How often time passes before it is looked how much the run has cost."""

IDLE_MAX: Final = 100
"""Turns in which nobody runs and that nobody has set an end to; more is a deadlock."""

KERNEL_SECONDS: Final = 1.0
"""Not waited for: says that the kernel is to be asked, because trio wakes itself through it."""


class Stuck(AssertionError):
    """Tasks run on and on while time stands still, or none will ever run again."""


@define(eq=False)
class Turns(trio.abc.Clock):
    """Who runs when: trio's clock and its dice.

    Time jumps to the next deadline as soon as nobody can run, like :class:`trio.testing.MockClock`;
    that one asks the kernel first whether something has come in, and nothing comes in here.
    """

    chance: random.Random
    count: int = field(default=0, init=False)
    watchers: int = 0
    """How many take an interest in what happens at a checkpoint: then tasks stop at each."""
    _now: float = field(default=0.0, init=False)
    _looked_at: tuple[int, float] = field(default=(0, -1.0), init=False)
    """The turn, and the time then, when it was asked last whether somebody spins."""
    _idle: int = field(default=0, init=False)
    _asked: int = field(default=0, init=False)
    _alone: bool = field(default=False, init=False)
    _ignored: int = field(default=0, init=False)
    _runner: Any = field(default=None, init=False)
    """trio's, while it runs."""
    _kernel: Any = field(default=None, init=False)
    """What trio has made to ask the kernel; its type depends on the system."""
    _cpu_end: float = field(
        factory=lambda: time.process_time() + CPU_SECONDS_MAX, init=False, repr=False
    )

    def begin(self) -> None:
        """Take part in the run that has just begun, from its first task."""
        self._runner = _run.GLOBAL_RUN_CONTEXT.runner
        self._kernel, self._runner.io_manager = self._runner.io_manager, self

    # --- what trio asks of a clock ---------------------------------------------------------------

    @override
    def start_clock(self) -> None:
        """Begin at 0."""

    @override
    def current_time(self) -> float:
        return self._now

    @override
    def deadline_to_sleep_time(self, deadline: float) -> float:
        self._asked += 1
        if self._asked % CPU_LOOKS_EACH == 0 and time.process_time() > self._cpu_end:
            raise Stuck(f"more than {CPU_SECONDS_MAX:g} s of computing")
        if deadline == math.inf:  # at the very end trio wakes itself through the kernel
            if self._idle > IDLE_MAX:
                raise Stuck(f"nobody will ever do anything again:\n{_tree()}")
            return KERNEL_SECONDS
        self._now = max(self._now, deadline)
        return 0.0

    # --- what trio asks of its dice --------------------------------------------------------------

    def shuffle(self, batch: list[trio.lowlevel.Task]) -> None:
        """Put the tasks of a turn into their order."""
        self.count += 1
        self._ignored, self._alone = 0, len(batch) == 1
        if len(batch) > 1:
            self.chance.shuffle(batch)
        self._idle = 0 if batch else self._idle + 1
        turn, moment = self._looked_at
        if self.count - turn > TURNS_MAX:
            if moment == self._now:
                raise Stuck(f"time stands still while this runs: {[*map(_where, batch)]}")
            self._looked_at = self.count, self._now

    # --- what trio asks of the kernel ------------------------------------------------------------

    def get_events(self, timeout: float) -> object:
        """Return what has come in, in the form of the system: nothing, unless trio wakes itself."""
        return self._kernel.get_events(0.0) if timeout else []

    def process_events(self, events: object) -> None:
        """See to what has come in."""
        if events:
            self._kernel.process_events(events)

    def __getattr__(self, name: str) -> object:
        return getattr(self._kernel, name)

    # --- tasks that are alone --------------------------------------------------------------------

    def _goes_on(self, until: float) -> bool:
        """Whether a task is the only one that can run up to a moment; the scheduler asks nobody."""
        runner = self._runner
        return (
            self._alone
            and not self.watchers
            and not runner.runq
            and runner.deadlines.next_deadline() > until
        )

    async def checkpoint(self) -> None:
        """Let others run, if there are any: trio's ``cancel_shielded_checkpoint``."""
        if self._ignored < IGNORED_MAX and self._goes_on(self._now):
            self._ignored += 1
        else:
            await _traps.cancel_shielded_checkpoint()

    async def sleep(self, seconds: float) -> None:
        """Sleep; where nothing at all would happen meanwhile, time passes on the spot."""
        moment = self._now + seconds
        if self._goes_on(moment):
            await trio.lowlevel.checkpoint_if_cancelled()
            self._now = moment
        else:
            await trio.sleep(seconds)


@contextmanager
def taking(turns: Turns) -> Iterator[None]:
    """Have trio ask ``turns`` for everything, until the end of the body."""
    run: Any = _run  # private to trio, all of it: the switch is the one that Hypothesis uses
    before = run._ALLOW_DETERMINISTIC_SCHEDULING, run._r, _traps.cancel_shielded_checkpoint
    numbers = itertools.count()
    run.id = lambda _: next(numbers)  # of deadlines at one moment that of the first comes first
    run._ALLOW_DETERMINISTIC_SCHEDULING, run._r = True, turns
    run.cancel_shielded_checkpoint = turns.checkpoint
    trio.lowlevel.cancel_shielded_checkpoint = turns.checkpoint
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING, run._r, run.cancel_shielded_checkpoint = before
        trio.lowlevel.cancel_shielded_checkpoint = before[2]
        del run.id


def _where(task: trio.lowlevel.Task) -> str:
    process = task.context.get(CURRENT)
    where = [f"{frame.f_code.co_name}:{line}" for frame, line in task.iter_await_frames()]
    return f"{process.name if process else '-'} {task.name} {' < '.join(where)}"


def _tree() -> str:
    """Return what every task waits for."""
    root = trio.lowlevel.current_root_task()
    lines: list[str] = []
    waiting = [root] if root is not None else []
    while waiting:
        task = waiting.pop()
        lines.append(_where(task))
        waiting += [child for each in task.child_nurseries for child in each.child_tasks]
    return "\n".join(lines)
