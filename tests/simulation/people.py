"""The people around a cluster: they submit jobs, watch them, and remember what they were told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import trio
from attrs import define, field, frozen
from tests.simulation.cluster import FINAL, Cluster, Gone, change_of
from tests.simulation.scenario import Scenario, chance_of
from tests.simulation.wishes import Known, Op, draw

from gantry.protocols.codec import Json
from gantry.protocols.errors import GanetiError, GantryError, JobLost
from gantry.protocols.luxi import Luxi
from gantry.runtime.testing.machine import START_TIME

MARK: Final = "people"
"""Who gives the reason of every opcode that is submitted here."""

RETRY_SECONDS: Final = 4.0
TRIES_MAX: Final = 40

LIVING: Final = ("queued", "waiting", "canceling", "running")
RANKS: Final[Mapping[str, int]] = {**dict.fromkeys(LIVING, 0), **dict.fromkeys(FINAL, 1)}
"""A job's status never falls to a lower rank: no end is taken back. (Between two opcodes a job is
queued again, and a process that takes over waits again.)"""

NO_ANSWER: Final = (Gone, GantryError, OSError, trio.TooSlowError)


@define(eq=False)
class Told:
    """A job that was acknowledged, and what was said of it since."""

    id: int
    ops: tuple[Op, ...]
    statuses: list[str] = field(factory=list)
    archived: bool = False
    again: bool = False
    """Whether an earlier try, which was not answered, may have become a job, too."""

    @property
    def is_over(self) -> bool:
        """Whether its end was told."""
        return bool(self.statuses) and self.statuses[-1] in FINAL


@define(eq=False)
class People:
    """Everybody who talks to the cluster."""

    cluster: Cluster
    scenario: Scenario
    known: Known
    jobs: dict[int, Told] = field(factory=dict)
    """The acknowledged jobs."""
    unanswered: int = 0
    """Submissions of which nobody knows what became."""
    refused: int = 0

    @classmethod
    def of(cls, cluster: Cluster, scenario: Scenario) -> People:
        """Return the people of a run."""
        return cls(
            cluster,
            scenario,
            Known([*cluster.nodes], chance_of(scenario, "wishes"), scenario.instances),
        )

    async def want(self) -> None:
        """Submit all jobs of the run, at their moments."""
        moments = chance_of(self.scenario, "moments")
        times = sorted(
            moments.uniform(0.0, self.scenario.seconds) for _ in range(self.scenario.jobs)
        )
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number, seconds in enumerate(times):
                await trio.sleep_until(began + seconds)
                nursery.start_soon(self._one, number, draw(self.known))

    async def _one(self, number: int, ops: tuple[Op, ...]) -> None:
        """Submit until somebody says that it was taken."""
        for attempt in range(TRIES_MAX):
            told = await self.submit(ops, f"{number}.{attempt}")
            if told is not None:
                told.again = attempt > 0
                return
            await trio.sleep(RETRY_SECONDS)

    async def submit(self, ops: tuple[Op, ...], mark: str) -> Told | None:
        """Submit a job once; ``None``: it is not known to have been taken."""
        reason: list[Json] = [[MARK, mark, int((START_TIME + trio.current_time()) * 1e9)]]
        sent = tuple({**op, "reason": reason} for op in ops)
        try:
            answer = await self.cluster.luxi(lambda luxi: luxi.submit_job(sent))
        except GanetiError as error:
            self.refused += 1
            self.cluster.timeline.say("people", f"refused: {ops[0]['OP_ID']}: {error}"[:300])
            return None
        except NO_ANSWER as error:
            self.unanswered += 1
            self.cluster.timeline.say("people", f"no answer: {ops[0]['OP_ID']}: {error!r}"[:200])
            return None
        assert isinstance(answer, int)
        names = ", ".join(str(op["OP_ID"]) for op in ops)
        self.cluster.timeline.say("people", f"job {answer} is taken: {names}")
        if answer in self.jobs:
            self.cluster.fail(f"job id {answer} was given out twice")
        told = self.jobs[answer] = Told(answer, ops)
        self.cluster.nursery.start_soon(self.watch, told)
        return told

    async def watch(self, told: Told) -> None:
        """Follow a job's status to its end, across everything that dies meanwhile."""
        seen = _Seen()
        while not told.is_over:
            try:
                answer = await self.cluster.luxi(
                    partial(change_of, told.id, seen.values, seen.serial)
                )
            except JobLost:
                if not told.archived:
                    self.cluster.fail(f"job {told.id} was acknowledged and is lost")
                return
            except NO_ANSWER:
                await trio.sleep(RETRY_SECONDS)
                continue
            assert isinstance(answer, list)
            seen = _Seen(answer[0], max([seen.serial, *(entry[0] for entry in answer[1])]))
            self._hear(told, str(answer[0][0]))

    def _hear(self, told: Told, status: str) -> None:
        if told.statuses and told.statuses[-1] == status:
            return
        if told.statuses and RANKS[status] < RANKS[told.statuses[-1]]:
            self.cluster.fail(f"job {told.id} went from {told.statuses[-1]} to {status}")
        told.statuses.append(status)
        self.cluster.timeline.say("people", f"job {told.id} is {status}")

    async def ask(self, what: str, ask: Callable[[Luxi], Awaitable[object]]) -> object:
        """Ask something; what goes wrong is told."""
        try:
            return await self.cluster.luxi(ask)
        except NO_ANSWER as error:
            self.cluster.timeline.say("people", f"{what}: {error!r}"[:200])
            return None


@frozen
class _Seen:
    values: Json = None
    serial: int = 0
