"""What happens at given points of the code: a process dies there, its disk fails, and so on.

A trail is a row of such moves. The first is for whatever process comes to its point; the others
are for that one, or for the same daemon after it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, Literal

import trio
from attrs import define, evolve, field, frozen
from tests.simulation.points import Point, all_points, is_crashing, points_of
from tests.simulation.turns import Turns
from typing_extensions import override

from gantry.daemons.job.stepping import Stepper
from gantry.protocols.steps import Step
from gantry.runtime.testing.machine import CURRENT, MemoryProcess

SECONDS_MAX: Final = 60.0
"""So long it is waited for a process that comes to the point."""

TIMES: Final = (1, 1, 1, 2, 3, 5)
"""At which of its steps at the point a process dies: before what is waited for, or amid it."""

AGAIN_SHARE: Final = 0.3
AGAIN_SECONDS_MAX: Final = 20.0

Deed = Literal["watch", "kill", "fail", "stall", "stall and restart", "dark", "reset"]
"""Nothing; the process dies; what it is about to do with the disk fails; that disk is slow for
a while, and the daemon is restarted meanwhile; the machine goes dark; its connections break."""

Where = Callable[[MemoryProcess, trio.lowlevel.Task], bool]


def _wherever(_: MemoryProcess, __: trio.lowlevel.Task) -> bool:
    return True


@frozen
class Move:
    """Something that happens as soon as a process is at a point."""

    deed: Deed
    point: str
    times: int = 1
    """At which of its steps there."""
    where: Where = _wherever


Strike = Callable[[Deed, str, MemoryProcess], None]
"""Does a deed, at a point, to a process."""


@cache
def point_of(name: str) -> Point:
    """Return the point of a name.

    Raises:
        LookupError: there is none.
    """
    for point in all_points():
        if point.text() == name:
            return point
    raise LookupError(f"there is no point {name}")


def step_of(task: trio.lowlevel.Task) -> Step | None:
    """Return the step that a job's task is at."""
    for frame, _ in task.iter_await_frames():
        step = frame.f_locals.get("step")
        if isinstance(step, Step):
            return step
    return None


def stepper_of(task: trio.lowlevel.Task) -> Stepper | None:
    """Return what moves a job's task along its plan."""
    for frame, _ in task.iter_await_frames():
        stepper = frame.f_locals.get("self")
        if isinstance(stepper, Stepper):
            return stepper
    return None


@define(eq=False)
class _Trail:
    moves: deque[Move]
    strike: Strike
    process: MemoryProcess | None = None
    """The last one that something was done to."""
    over: trio.Event = field(factory=trio.Event)

    def waits_for(self, *, goes_on: bool) -> bool:
        """Whether the next move is for a task that goes on, or for one that has stopped."""
        return bool(self.moves) and (self.moves[0].deed == "fail") == goes_on

    def look(self, process: MemoryProcess, task: trio.lowlevel.Task, points: list[Point]) -> None:
        """Make the next move if it is the time for it."""
        move, last = self.moves[0], self.process
        if all(point_of(move.point) is not each for each in points):
            return
        is_other = last is not None and (last.machine, last.program) != (
            process.machine,
            process.program,
        )
        if is_other or not move.where(process, task):
            return
        if move.times > 1:
            self.moves[0] = evolve(move, times=move.times - 1)
            return
        self.moves.popleft()
        self.process = process
        if not self.moves:
            self.over.set()
        self.strike(move.deed, move.point, process)


@define(eq=False)
class Sights(trio.abc.Instrument):
    """Sees every step of every task while something is aimed at."""

    turns: Turns
    strike: Strike
    _trails: list[_Trail] = field(factory=list, init=False)

    async def follow(self, *moves: Move, seconds_max: float = SECONDS_MAX) -> MemoryProcess | None:
        """Make one move after the other; returns the last one's process, if it came to that."""
        trail = _Trail(deque(moves), self.strike)
        if not self._trails:
            trio.lowlevel.add_instrument(self)
            self.turns.watchers += 1
        self._trails.append(trail)
        try:
            with trio.move_on_after(seconds_max):
                await trail.over.wait()
        finally:
            self._trails.remove(trail)
            if not self._trails:
                trio.lowlevel.remove_instrument(self)
                self.turns.watchers -= 1
        return trail.process if trail.over.is_set() else None

    async def crash_at(
        self,
        point: str,
        before: Sequence[Move],
        chance: random.Random,
        seconds_max: float = SECONDS_MAX,
    ) -> bool:
        """Have a process die at a point, after other moves; returns whether it came to that.

        Sometimes the one after it dies there, too, if it comes there soon; but not where others
        have died before, since a job whose rolling back dies again and again is given up.
        """
        times = 1 if before else chance.choice(TIMES)
        moves = (*before, Move("kill", point, times))
        died = await self.follow(*moves, seconds_max=seconds_max)
        if died is None:
            return False
        place = died.machine, died.program

        def successor(process: MemoryProcess, _: trio.lowlevel.Task) -> bool:
            return (process.machine, process.program) == place

        if not before and chance.random() < AGAIN_SHARE:
            again = Move("kill", point, where=successor)
            await self.follow(again, seconds_max=AGAIN_SECONDS_MAX)
        return True

    @override
    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._look(task, goes_on=True)

    @override
    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.coro.cr_frame is not None:
            self._look(task, goes_on=False)

    def _look(self, task: trio.lowlevel.Task, *, goes_on: bool) -> None:
        """See where a task stands: it goes on from there, or has just come there."""
        trails = [each for each in self._trails if each.waits_for(goes_on=goes_on)]
        process = task.context.get(CURRENT)
        if not trails or process is None or process.life.is_over or not is_crashing(process):
            return
        points = [*points_of(task)]
        for trail in trails if points else ():
            if not process.life.is_over:
                trail.look(process, task, points)
