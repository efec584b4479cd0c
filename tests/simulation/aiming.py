"""A crash at a given point: the process dies whose task comes there first, or after some times."""

from __future__ import annotations

import random
from typing import Final

import trio
from attrs import define, field
from tests.simulation.cluster import Cluster
from tests.simulation.points import is_crashing, points_of
from tests.simulation.world import Timeline
from typing_extensions import override

from gantry.runtime.testing.machine import CURRENT

SECONDS_MAX: Final = 60.0
"""So long it is waited for a process that comes to the point."""

TIMES: Final = (1, 1, 1, 2, 3, 5)
"""At which of its steps at the point a process dies: before what is waited for, or amid it."""


@define(eq=False)
class Aim(trio.abc.Instrument):
    """Kills the first process that has been at a point often enough."""

    point: str
    times: int
    timeline: Timeline
    over: trio.Event = field(factory=trio.Event)

    @override
    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        process = task.context.get(CURRENT)
        if process is None or process.life.is_over or not is_crashing(process):
            return
        if self.over.is_set() or all(each.text() != self.point for each in points_of(task)):
            return
        self.times -= 1
        if self.times <= 0:
            self.over.set()
            self.timeline.say(process.name, f"is killed at {self.point}")
            process.kill()


async def crash_at(point: str, chance: random.Random, cluster: Cluster) -> bool:
    """Have a process die at a point; returns whether one came there."""
    aim = Aim(point, chance.choice(TIMES), cluster.timeline)
    trio.lowlevel.add_instrument(aim)
    cluster.pulse.turns.watchers += 1
    with trio.move_on_after(SECONDS_MAX):
        await aim.over.wait()
    cluster.pulse.turns.watchers -= 1
    trio.lowlevel.remove_instrument(aim)
    return aim.over.is_set()
