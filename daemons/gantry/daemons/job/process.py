"""What LuxiD says to a job process, and what the process does about it."""

from __future__ import annotations

import trio
from attrs import define, field

from gantry.daemons.job.locking import LockTaker
from gantry.daemons.job.opcode_run import OpcodeRun
from gantry.daemons.job.outbox import Outbox
from gantry.daemons.job.performer import Submissions
from gantry.daemons.job.replies import Replies
from gantry.daemons.job.stepping import Question
from gantry.protocols.identity import Attempt, JobId, Key
from gantry.protocols.jobproc import (
    Assignment,
    EventNumber,
    LogLevel,
    NotAssigned,
    Numbered,
    ProcessStatus,
)
from gantry.protocols.jobs import Choice
from gantry.protocols.steps import Decided
from gantry.runtime import logs
from gantry.runtime.gate import Gate, open_gate
from gantry.runtime.stop import Stop


@define
class JobServer:
    """Implements :class:`gantry.protocols.jobproc.JobProcess`."""

    job: JobId
    outbox: Outbox = field(factory=Outbox)
    replies: Replies[Key, Submissions] = field(factory=Replies)
    decisions: Replies[Question, Choice] = field(factory=Replies)
    cancelled: Stop = field(factory=Stop)
    going: Gate = field(factory=open_gate)
    """Closed while the job is to stand still before its next step."""
    priority: int = 0
    """With which locks are waited for."""
    permit: Gate = field(factory=Gate)
    """Open while the master has the lease, as far as LuxiD has told."""
    locks: LockTaker | None = None
    """Set as soon as there is an assignment; so is :attr:`current`, for each opcode."""
    current: OpcodeRun | None = None
    _assignment: Assignment | None = field(default=None, init=False)
    _assigned: trio.Event = field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.permit.open()

    async def next_assignment(self) -> Assignment:
        """Wait for the work."""
        await self._assigned.wait()
        if self._assignment is None:
            raise NotAssigned(self.job)
        return self._assignment

    async def assign(self, assignment: Assignment) -> tuple[Numbered, ...]:
        """Take the work, and wait for what happens first."""
        self.take(assignment)
        return await self.outbox.after(EventNumber(0))

    def take(self, assignment: Assignment) -> None:
        """Take the work; only the first assignment counts."""
        if self._assignment is None:
            self._assignment = assignment
            self.priority = assignment.priority
            if assignment.log_level is not None:
                logs.set_level(debug=assignment.log_level == "debug")
            elif any(opcode.get("debug_level") for opcode in assignment.opcodes):
                logs.set_level(debug=True)
            if assignment.paused:
                self.going.close()
            self._assigned.set()
            if assignment.cancelled:
                self.cancelled.set()

    async def assignment(self) -> tuple[JobId, Attempt]:
        """Say what this process works on."""
        await trio.lowlevel.checkpoint()
        if self._assignment is None:
            raise NotAssigned(self.job)
        return self._assignment.job, self._assignment.attempt

    async def status(self) -> ProcessStatus:
        """Say what this process is at."""
        _, attempt = await self.assignment()
        run = self.current
        return ProcessStatus(
            attempt=attempt,
            opcode=None if run is None else run.number,
            step=None if run is None else run.stepper.at,
            is_waiting=run is not None and run.locks.is_waiting,
            is_paused=not self.going.is_open,
            is_cancelled=self.cancelled.is_set(),
            priority=self.priority,
            log_level="debug" if logs.is_debugging() else "info",
        )

    async def set_log_level(self, level: LogLevel) -> None:
        """Write more into the log, or no more than usual."""
        logs.set_level(debug=level == "debug")
        await trio.lowlevel.checkpoint()

    async def events(self, after: EventNumber) -> tuple[Numbered, ...]:
        """Note what LuxiD has made durable, and wait for events."""
        self.outbox.commit(after)
        return await self.outbox.after(after)

    async def submitted(self, key: Key, outcomes: Submissions) -> None:
        """Hand the ids of submitted jobs to the step that waits for them."""
        self.replies.give(key, outcomes)
        await trio.lowlevel.checkpoint()

    async def cancel(self) -> bool:
        """Stop at the next safe point."""
        self.cancelled.set()
        await trio.lowlevel.checkpoint()
        return self.current is None or not self.current.has_begun

    async def pause(self) -> None:
        """Stand still at the next step."""
        self.going.close()
        await trio.lowlevel.checkpoint()

    async def resume(self) -> None:
        """Go on."""
        self.going.open()
        await trio.lowlevel.checkpoint()

    async def decided(self, decision: Decided) -> None:
        """Hand a person's decision to the step that waits for it."""
        question = Question(decision.opcode, decision.step, decision.asked_at)
        self.decisions.give(question, decision.choice)
        await trio.lowlevel.checkpoint()

    async def set_lease(self, held: bool) -> None:  # noqa: FBT001 - recorded by name
        """Go on with the next step, or stop before it."""
        if held:
            self.permit.open()
        else:
            self.permit.close()
        await trio.lowlevel.checkpoint()

    async def set_priority(self, priority: int) -> None:
        """Wait for locks with another priority."""
        self.priority = priority
        if self.locks is not None:
            await self.locks.set_priority(priority)
