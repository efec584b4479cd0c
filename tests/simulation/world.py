"""One run in which everything is drawn from a seed, and what is told of it."""

from __future__ import annotations

import gc
import logging
import random
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio
from attrs import define, field, frozen
from tests.simulation.bare_tls import bare_tls
from tests.simulation.lean import lean
from tests.simulation.turns import Stuck, Turns, taking
from typing_extensions import override

from gantry.runtime.testing.machine import CURRENT, MemoryProcess

LINES_MAX: Final = 20_000
"""What a timeline keeps: the end of a run is what matters."""

LATENCY_SECONDS: Final = (0.0002, 0.003)
"""What a message takes between two machines of one cluster."""


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
    """Kills in the middle of things: it sees every step of every task while somebody is doomed."""

    turns: Turns
    died: Callable[[Doom], None] | None = None
    """Told of everybody whose steps are used up."""
    _dooms: list[Doom] = field(factory=list, init=False)

    def doom(self, process: MemoryProcess, steps: int) -> Doom:
        """Let a process die some steps from now."""
        if not self._dooms:
            trio.lowlevel.add_instrument(self)
            self.turns.watchers += 1
        self._dooms.append(doom := Doom(process, steps))
        return doom

    def spare(self, doom: Doom) -> None:
        """Take a doom back, unless it has come."""
        if doom in self._dooms:
            self._dooms.remove(doom)
            if not self._dooms:
                trio.lowlevel.remove_instrument(self)
                self.turns.watchers -= 1

    def spare_all(self) -> None:
        """Take all dooms back."""
        for doom in [*self._dooms]:
            self.spare(doom)

    @override
    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        process = task.context.get(CURRENT)
        for doom in self._dooms:
            if doom.process is process:
                doom.steps -= 1
        for doom in [each for each in self._dooms if each.steps <= 0]:
            self.spare(doom)
            if self.died is not None:
                self.died(doom)


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
def _heard(timeline: Timeline) -> Iterator[None]:
    """Bring all that is logged into a timeline."""
    root, handler = logging.getLogger(), _LogLines(timeline)
    kept, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = kept
        root.setLevel(level)


def run_seeded(seed: int, timeline: Timeline, main: Callable[[Pulse], Awaitable[None]]) -> Pulse:
    """Run ``main`` to its end in virtual time; everything is a function of the seed."""
    turns = Turns(Chance(seed).source("turns"))
    pulse = Pulse(turns)

    async def begin() -> None:
        turns.begin()
        await main(pulse)

    with taking(turns), lean(turns.current_time), bare_tls(), _heard(timeline), _no_collector():
        try:
            trio.run(begin, clock=turns)
        except trio.TrioInternalError as error:
            gc.freeze()  # its tasks are not over, and would complain if they were thrown away
            if isinstance(error.__cause__, Stuck):
                raise error.__cause__ from None
            raise
    return pulse
