"""Run opcodes on a twin cluster with the real job process, and break it where a test wants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import trio
from attrs import define, evolve, field
from tests.unit.operations.twin_cluster import NOW, TwinCluster, TwinLink, TwinNodeLinks

from gantry.daemons.job.process import JobServer
from gantry.daemons.job.work import Work
from gantry.protocols.codec import Json
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.jobproc import (
    Assignment,
    BlockedBy,
    Ended,
    EventNumber,
    Halted,
    JobsWanted,
    Logged,
    Mode,
    Numbered,
    OpcodeChanged,
    Recorded,
    Shown,
    Submitted,
    Waited,
)
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.steps import Planned, StepRecord
from gantry.runtime.environment import Environment
from gantry.runtime.real import real_environment


@define
class Ran:
    """What came of a job."""

    statuses: dict[int, str] = field(factory=dict)
    results: dict[int, Json] = field(factory=dict)
    log: list[Json] = field(factory=list)
    records: list[StepRecord] = field(factory=list)
    submitted: list[tuple[Mapping[str, Json], ...]] = field(factory=list)
    shown: list[Shown] = field(factory=list)
    """The plans of dry runs."""
    killed: bool = False
    cancelled: bool = False

    @property
    def steps(self) -> int:
        """How many steps the first opcode planned."""
        return next((len(r.plan.steps) for r in self.records if isinstance(r, Planned)), 0)


class StandingClock:
    """It is always the same time, so that two runs can be compared."""

    def now(self) -> float:
        return NOW


@define
class JobBench:
    """One cluster on which jobs are run one after the other."""

    folder: Path
    cluster: TwinCluster = field(factory=TwinCluster.sample)
    dead: set[str] = field(factory=set)
    _next: int = 1

    def environment(self) -> Environment:
        root = self.folder / "node1.gnt.test"
        (root / "var/lib/ganeti/queue").mkdir(parents=True, exist_ok=True)
        return evolve(real_environment({"GANTRY_ROOT": str(root)}), clock=StandingClock())

    async def run(
        self,
        *opcodes: Opcode,
        kill_after: int | None = None,
        cancel_after: int | None = None,
        pause_after: frozenset[int] = frozenset(),
        then: Mode = "roll back",
        then_cancel: bool = False,
    ) -> Ran:
        """Run a job; a killed one is followed by another attempt.

        Args:
            opcodes: the job.
            kill_after: kill the process when it has recorded that many step records.
            cancel_after: ask it to stop then.
            pause_after: have it stand still after these numbers of records; it is resumed when
                it does.
            then: what the attempt after a killed one does.
            then_cancel: whether that one is to cancel the job.
        """
        job, self._next = JobId(self._next), self._next + 1
        ran = Ran()
        wire = tuple(dump_opcode(opcode) for opcode in opcodes)
        first = Assignment(job, Attempt(1), Epoch(1), "run", wire, 0, (), 0, 0)
        await self._attempt(first, ran, kill_after, cancel_after, pause_after)
        if ran.killed:
            finished = sum(status == "success" for status in ran.statuses.values())
            again = Assignment(
                job, Attempt(2), Epoch(1), then, wire, finished, tuple(ran.records), 0, 0
            )
            again = evolve(again, cancelled=then_cancel or ran.cancelled)  # as LuxiD keeps it
            await self._attempt(again, ran, None, None)
        await self.cluster.wconfd.drop_job(job)  # LuxiD does so when a job has ended
        return ran

    async def _attempt(
        self,
        assignment: Assignment,
        ran: Ran,
        kill_after: int | None,
        cancel_after: int | None,
        pause_after: frozenset[int] = frozenset(),
    ) -> None:
        server = JobServer(assignment.job)
        await server.assign(assignment)
        nodes = TwinNodeLinks(self.cluster.nodes, self.cluster.wconfd)
        nodes.dead = {n.uuid for n in self.cluster.all() if n.name in self.dead}
        link = TwinLink(self.cluster.wconfd)
        work = Work(self.environment(), assignment, server, link, nodes)
        async with trio.open_nursery() as nursery:
            listener = Listener(
                server, ran, kill_after, cancel_after, pause_after, nursery.cancel_scope
            )
            nursery.start_soon(listener.listen)
            await work.do()
            nursery.cancel_scope.cancel()


@define
class Listener:
    """LuxiD's part: hear the events, commit them, answer."""

    server: JobServer
    ran: Ran
    kill_after: int | None
    cancel_after: int | None
    pause_after: frozenset[int]
    process: trio.CancelScope

    async def listen(self) -> None:
        last = EventNumber(0)
        while True:
            for each in await self.server.events(last):
                await self._hear(each)
                if self.process.cancel_called:
                    return
                last = each.number

    async def _hear(self, numbered: Numbered) -> None:  # noqa: C901 - one case per kind
        match numbered.event:
            case OpcodeChanged(opcode=opcode, status=status, result=result):
                self.ran.statuses[opcode] = status
                self.ran.results[opcode] = result
            case Logged(payload=payload):
                self.ran.log.append(payload)
                if str(payload).startswith("paused before"):
                    await self.server.resume()
            case Recorded(record=record):
                self.ran.records.append(record)
                if len(self.ran.records) in self.pause_after:
                    await self.server.pause()
                if len(self.ran.records) == self.cancel_after:
                    self.ran.cancelled = True
                    await self.server.cancel()
                if len(self.ran.records) == self.kill_after:
                    self.ran.killed = True
                    self.process.cancel()
            case JobsWanted(key=key, jobs=jobs):
                self.ran.submitted.extend(jobs)
                ids = tuple(Submitted(JobId(100 + n)) for n in range(len(jobs)))
                await self.server.submitted(key, ids)
            case Shown():
                self.ran.shown.append(numbered.event)
            case Waited() | BlockedBy() | Halted() | Ended():
                pass
