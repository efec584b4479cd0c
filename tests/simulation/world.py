"""One trio loop in which everything is drawn from a seed: time, order, chance."""

from __future__ import annotations

import gc
import logging
import math
import random
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio
from attrs import define, field, frozen
from trio._core import _run
from typing_extensions import override

from gantry.runtime.testing.machine import CURRENT, MemoryProcess

LINES_MAX: Final = 20_000
"""What a timeline keeps: the end of a run is what matters."""

STEPS_MAX: Final = 50_000
"""So many steps are looked at together: if no time passes in them, a task spins."""

LATENCY_SECONDS: Final = (0.0002, 0.003)
"""What a message takes between two machines of one cluster."""


CPU_SECONDS_MAX: Final = 60.0
"""What a run may cost; more is a cluster that is busy for ever."""

IDLE_MAX: Final = 100
"""Turns of the loop without a step or a deadline; more is a deadlock."""


class Stuck(AssertionError):
    """Tasks run on and on while time stands still, or none will ever run again."""


@frozen
class Line:
    """Something that happened."""

    seconds: float
    who: str
    what: str

    def text(self) -> str:
        """Return the line for people."""
        return f"{self.seconds:9.3f}  {self.who:28} {self.what}"


@define(eq=False)
class Timeline:
    """What happened, for people; and a checksum of all that was done, for comparing runs."""

    lines: deque[Line] = field(factory=lambda: deque(maxlen=LINES_MAX))
    effects: int = 0
    checksum: int = 0
    every: list[str] | None = None
    """Every single effect, if somebody wants to compare them."""

    def say(self, who: str, what: str) -> None:
        """Add a line."""
        self.lines.append(Line(trio.current_time(), who, what))
        self._sum(f"{trio.current_time():.6f} {who} {what}")

    def note(self, process: MemoryProcess, kind: str, what: str) -> None:
        """Count an effect."""
        self.effects += 1
        self._sum(f"{trio.current_time():.6f} {process.name} {kind} {what}")

    def _sum(self, text: str) -> None:
        self.checksum = zlib.crc32(text.encode(), self.checksum)
        if self.every is not None:
            self.every.append(text)

    def text(self) -> str:
        """Return everything that is kept."""
        return "\n".join(line.text() for line in self.lines)


class _LogLines(logging.Handler):
    """Brings what daemons log into the timeline."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__(logging.INFO)
        self.timeline = timeline

    @override
    def emit(self, record: logging.LogRecord) -> None:
        process = CURRENT.get(None)
        if process is None or process.life.is_over:
            return
        fields = getattr(record, "fields", {})
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        text = f"{record.levelname.lower()} {record.name}: {record.getMessage()} {shown}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f" {record.exc_info[1]!r}"
        self.timeline.say(process.name, text.rstrip()[:300])


@define(eq=False)
class Doom:
    """A process that dies some steps from now, wherever it is then."""

    process: MemoryProcess
    steps: int


@define(eq=False)
class Pulse(trio.abc.Instrument):
    """Sees every step of every task: kills in the middle of things, and notices who spins."""

    timeline: Timeline
    dooms: list[Doom] = field(factory=list)
    died: Callable[[Doom], None] | None = None
    steps: int = 0
    spinning: str = ""
    _at: float = -1.0
    _still: int = 0

    @override
    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        self._still += 1
        if self._still > STEPS_MAX and not self._has_time_passed():
            process = task.context.get(CURRENT)
            where = [f"{f.f_code.co_name}:{line}" for f, line in task.iter_await_frames()]
            who = process.name if process else "nobody"
            self.spinning = f"{task.name} of {who} spins: {where}"
        if self.dooms:
            process = task.context.get(CURRENT)
            for doom in self.dooms:
                if doom.process is process:
                    doom.steps -= 1
            for doom in [each for each in self.dooms if each.steps <= 0]:
                self.dooms.remove(doom)
                if self.died is not None:
                    self.died(doom)

    def _has_time_passed(self) -> bool:
        """Say whether the clock has moved since this was asked last."""
        before, self._at, self._still = self._at, trio.current_time(), 0
        return before != self._at


def _tree() -> str:
    """Return what every task waits for."""
    root = trio.lowlevel.current_root_task()
    lines: list[str] = []

    def show(task: trio.lowlevel.Task) -> None:
        process = task.context.get(CURRENT)
        where = [f"{f.f_code.co_name}:{line}" for f, line in task.iter_await_frames()]
        lines.append(f"{process.name if process else '-'} {task.name} {' < '.join(where)}")
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                show(child)

    if root is not None:
        show(root)
    return "\n".join(lines)


@define(eq=False)
class JumpingClock(trio.abc.Clock):
    """Time that jumps to the next deadline as soon as nobody can run.

    Like :class:`trio.testing.MockClock`, which asks the kernel first whether something has come
    in: nothing comes in here.
    """

    pulse: Pulse
    _now: float = 0.0
    _steps: int = 0
    _idle: int = 0
    _cpu_end: float = field(factory=lambda: time.process_time() + CPU_SECONDS_MAX)

    @override
    def start_clock(self) -> None:
        """Begin at 0."""

    @override
    def current_time(self) -> float:
        if self.pulse.spinning:
            raise Stuck(self.pulse.spinning)
        return self._now

    @override
    def deadline_to_sleep_time(self, deadline: float) -> float:
        if time.process_time() > self._cpu_end:
            raise Stuck(f"more than {CPU_SECONDS_MAX:g} s of computing")
        if deadline == math.inf:  # at the very end trio wakes itself through the kernel
            self._idle = self._idle + 1 if self._steps == self.pulse.steps else 0
            self._steps = self.pulse.steps
            if self._idle > IDLE_MAX:
                raise Stuck(f"nobody will ever do anything again:\n{_tree()}")
            return 0.0
        self._now = max(self._now, deadline)
        return 0.0


@define(eq=False)
class _NothingComesIn:
    """Stands before trio's way to the kernel, which has no news: a system call less in each turn.

    The kernel is asked all the same when nobody has a deadline: so trio wakes itself at the end.
    """

    runner: _run.Runner
    real: Any
    """What trio made; its type depends on the system."""

    def get_events(self, timeout: float) -> object:
        """Return what has come in, in the form of the system: nothing."""
        quiet = self.runner.runq or self.runner.deadlines.next_deadline() < math.inf
        return [] if quiet else self.real.get_events(timeout)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def _ask_no_kernel() -> None:
    runner: Any = _run.GLOBAL_RUN_CONTEXT.runner
    runner.io_manager = _NothingComesIn(runner, runner.io_manager)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Leave cycles of garbage until the end of a run: looking for them takes a tenth of the time.

    It would also end abandoned generators at moments that are no function of the seed.
    """
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()  # what was imported by now stays: nobody looks through it again
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@frozen
class Chance:
    """Sources of randomness, one for each purpose, so that one does not shift the others."""

    seed: int

    def source(self, purpose: str) -> random.Random:
        """Return the source for a purpose."""
        return random.Random(f"{self.seed}/{purpose}")


@contextmanager
def _deterministic(seed: int, timeline: Timeline) -> Iterator[None]:
    """Let trio choose the order of tasks by the seed, and hear what is logged."""
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING
    state, root, handler = _run._r.getstate(), logging.getLogger(), _LogLines(timeline)
    kept, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc] # the switch that Hypothesis uses
    _run._r.seed(seed)
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc] # as it was
        _run._r.setstate(state)
        root.handlers[:] = kept
        root.setLevel(level)


def run_seeded(seed: int, timeline: Timeline, main: Callable[[Pulse], Awaitable[None]]) -> Pulse:
    """Run ``main`` to its end in virtual time; everything is a function of the seed."""
    pulse = Pulse(timeline)
    clock = JumpingClock(pulse)

    async def begin() -> None:
        _ask_no_kernel()
        await main(pulse)

    with _deterministic(seed, timeline), _no_collector():
        try:
            trio.run(begin, clock=clock, instruments=[pulse])
        except trio.TrioInternalError as error:
            if isinstance(error.__cause__, Stuck):
                raise error.__cause__ from None
            raise
    return pulse
