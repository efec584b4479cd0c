"""Run opcodes on a twin cluster with the real job process, and break it where a test wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import trio
from attrs import define, evolve, field
from tests.unit.operations.twin_cluster import NOW, TwinCluster, TwinLink, TwinNodeLinks
from typing_extensions import override

from gantry.core.queue.transitions import ALLOWED
from gantry.daemons.job.outbox import Outbox
from gantry.daemons.job.process import JobServer
from gantry.daemons.job.work import Work
from gantry.protocols.codec import Json
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.job_course import StepProgress
from gantry.protocols.jobproc import (
    Advanced,
    Assignment,
    BlockedBy,
    Ended,
    Event,
    EventNumber,
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
from gantry.protocols.jobs import Choice, OpStatus
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.steps import Asked, Decided, Planned, StepRecord
from gantry.runtime.environment import Environment
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.real import real_environment


@define
class Ran:
    """What came of a job."""

    statuses: dict[int, OpStatus] = field(factory=dict)
    results: dict[int, Json] = field(factory=dict)
    log: list[Json] = field(factory=list)
    records: list[StepRecord] = field(factory=list)
    submitted: list[tuple[Mapping[str, Json], ...]] = field(factory=list)
    shown: list[Shown] = field(factory=list)
    """The plans of dry runs."""
    progress: list[StepProgress] = field(factory=list)
    ended: Ended = field(factory=Ended)
    """The end of the job; without one it is that of a job that has called no node."""
    killed: bool = False
    cancelled: bool = False
    _told: list[tuple[int, OpcodeChanged]] = field(factory=list)
    """The changes of statuses, each with how many records were told before it."""

    def change(self, changed: OpcodeChanged) -> None:
        """Take a status over as LuxiD does: what may not follow changes nothing."""
        self._told.append((len(self.records), changed))
        self._take(changed)

    def _take(self, changed: OpcodeChanged) -> None:
        if changed.status in ALLOWED[self.statuses.get(changed.opcode, "queued")]:
            self.statuses[changed.opcode] = changed.status
            self.results[changed.opcode] = changed.result

    def forget(self, records: int) -> None:
        """Know no more than what was told up to a record."""
        self._told = [(before, changed) for before, changed in self._told if before < records]
        del self.records[records:]
        self.statuses, self.results = {}, {}
        for _, changed in self._told:
            self._take(changed)

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
    when_killed: Callable[[], None] = lambda: None
    """Called when a process was killed."""
    _next: int = 1

    def environment(self) -> Environment:
        root = self.folder / "node1.gnt.test"
        (root / "var/lib/ganeti/queue").mkdir(parents=True, exist_ok=True)
        return evolve(real_environment({"GANTRY_ROOT": str(root)}), clock=StandingClock())

    def skip(self, jobs: int) -> None:
        """Number the next job as if others had been run before it."""
        self._next += jobs

    async def run(
        self,
        *opcodes: Opcode,
        kill_after: int | tuple[int, ...] = (),
        cancel_after: int | None = None,
        pause_after: frozenset[int] = frozenset(),
        then: Mode = "run",
        then_cancel: bool = False,
        remembered: int | None = None,
        heard: int | None = None,
        choice: Choice | None = None,
    ) -> Ran:
        """Run a job; each of its processes that is killed is followed by another one.

        Args:
            opcodes: the job.
            kill_after: kill the process when so many step records were made, and those after it.
            cancel_after: ask it to stop when so many were made.
            pause_after: have it stand still after these numbers of records; it is resumed when
                it does.
            then: what the last attempt does.
            then_cancel: whether that one is to cancel the job.
            remembered: the master dies with the process, and the next one knows of so many
                records only.
            heard: LuxiD dies with the process, and has heard of so many records only; the
                process has written down all.
            choice: how a person answers whatever is asked.
        """
        job, self._next = JobId(self._next), self._next + 1
        ran = Ran()
        wire = tuple(dump_opcode(opcode) for opcode in opcodes)
        deaths = (kill_after,) if isinstance(kill_after, int) else kill_after
        for attempt, death in enumerate((*deaths, None), start=1):
            mode: Mode = "run" if death is not None or attempt == 1 else then
            finished = sum(status == "success" for status in ran.statuses.values())
            if remembered is not None and attempt > 1:
                ran.forget(remembered)
                self.environment().paths.step_journal(job).unlink(missing_ok=True)
            if heard is not None and attempt > 1:
                ran.forget(heard)
            known = tuple(r for r in ran.records if r.opcode >= finished)
            work = Assignment(
                *(job, Attempt(attempt), Epoch(1), mode, wire, finished, known, 0, 0),
                cancelled=ran.cancelled or (then_cancel and attempt > 1),  # as LuxiD keeps it
            )
            ran.killed = False
            await self._attempt(work, ran, death, cancel_after, choice, pause_after)
            if not ran.killed:
                break
            self.when_killed()
        await self.cluster.wconfd.drop_job(job)  # LuxiD does so when a job has ended
        for node in ran.ended.nodes:  # and so it does with the nodes
            await self.cluster.nodes[node].forget_keys((job,))
        return ran

    async def _attempt(
        self,
        assignment: Assignment,
        ran: Ran,
        kill_after: int | None,
        cancel_after: int | None,
        choice: Choice | None,
        pause_after: frozenset[int],
    ) -> None:
        server = JobServer(assignment.job, PromptOutbox())
        server.take(assignment)
        nodes = TwinNodeLinks(self.cluster.nodes, self.cluster.wconfd)
        nodes.dead = {n.uuid for n in self.cluster.all() if n.name in self.dead}
        link = TwinLink(self.cluster.wconfd)
        async with open_plain_nursery() as nursery:
            work = Work(self.environment(), assignment, server, link, nodes, nursery)
            scope = nursery.cancel_scope
            listener = Listener(server, ran, kill_after, cancel_after, pause_after, choice, scope)
            nursery.start_soon(listener.listen)
            await work.do()
            nursery.cancel_scope.cancel()


class PromptOutbox(Outbox):
    """Tells every event at once, so that a process can be killed right after each."""

    @override
    def put(self, event: Event, *, lingers: bool = False) -> EventNumber:
        return super().put(event)


@define
class Listener:
    """LuxiD's part: hear the events, commit them, answer."""

    server: JobServer
    ran: Ran
    kill_after: int | None
    cancel_after: int | None
    pause_after: frozenset[int]
    choice: Choice | None
    process: trio.CancelScope

    async def listen(self) -> None:
        last = EventNumber(0)
        while True:
            for each in await self.server.events(last):
                await self._hear(each)
                if isinstance(each.event, Ended):
                    self.ran.ended = each.event
                if self.process.cancel_called:
                    return
                last = each.number

    async def _hear(self, numbered: Numbered) -> None:
        match numbered.event:
            case OpcodeChanged() as changed:
                self.ran.change(changed)
            case Logged(payload=payload):
                self.ran.log.append(payload)
                if str(payload).startswith("paused before"):
                    await self.server.resume()
            case Recorded(record=record):
                await self._record(record)
            case JobsWanted(key=key, jobs=jobs):
                self.ran.submitted.extend(jobs)
                ids = tuple(Submitted(JobId(100 + n)) for n in range(len(jobs)))
                await self.server.submitted(key, ids)
            case Shown():
                self.ran.shown.append(numbered.event)
            case Advanced(progress=progress):
                self.ran.progress.append(progress)
            case Waited() | BlockedBy() | Ended():
                pass

    async def _record(self, record: StepRecord) -> None:
        if record not in self.ran.records:  # else the process that died had told it
            self.ran.records.append(record)
        if len(self.ran.records) in self.pause_after:
            await self.server.pause()
        if len(self.ran.records) == self.cancel_after:
            self.ran.cancelled = True
            await self.server.cancel()
        if len(self.ran.records) == self.kill_after:
            self.ran.killed = True
            self.process.cancel()
        elif isinstance(record, Asked) and self.choice is not None:
            made = Decided(record.opcode, record.step, self.choice, record.at)
            self.ran.records.append(made)
            await self.server.decided(made)
