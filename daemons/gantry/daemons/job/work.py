"""A job's work: its opcodes one after the other, or their rolling back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import trio
from attrs import define

from gantry.daemons.job import step_journal
from gantry.daemons.job.locking import LockTaker
from gantry.daemons.job.opcode_run import CANCELLED_TEXT, Intent, OpcodeRun, died_text
from gantry.daemons.job.performer import Performer
from gantry.daemons.job.process import JobServer
from gantry.daemons.job.progress import fold, nodes_of
from gantry.daemons.job.step_journal import StepJournal
from gantry.daemons.job.stepping import Stepper, passed_or
from gantry.daemons.job.world import JobWorld
from gantry.operations.registry import operation
from gantry.protocols.codec import Json, Malformed
from gantry.protocols.errors import (
    GanetiError,
    OpExecError,
    OpPrereqError,
)
from gantry.protocols.jobproc import (
    Assignment,
    Ended,
    Logged,
    OpcodeChanged,
    OpcodeStatus,
    Recorded,
)
from gantry.protocols.locks import LockOwner
from gantry.protocols.opcodes.parsing import parse_opcode
from gantry.protocols.opcodes.secret_parameters import lost_secrets
from gantry.protocols.wconfd import WConfD
from gantry.runtime.environment import Environment
from gantry.runtime.link import Link
from gantry.runtime.node_links import NodeLinks

PRECEDING_FAILED: Final = "Preceding opcode failed"


def stay() -> None:
    """Let the caller have its process back."""


@define
class Work:
    """Everything that one attempt of a job works with."""

    env: Environment
    assignment: Assignment
    server: JobServer
    wconfd: Link[WConfD]
    nodes: NodeLinks
    nursery: trio.Nursery
    """Of what goes on beside the work, and ends with the process at the latest."""

    async def do(self, leave: Callable[[], None] = stay) -> None:
        """Do the whole job, until LuxiD has committed its end.

        Args:
            leave: called then, while all is still open.

        Raises:
            ServiceError: this attempt may not act any more.
        """
        job = self.assignment
        async with step_journal.opened(
            self.env, self.nursery, job.job, job.epoch, job.records
        ) as journal:
            for record in journal.unheard:  # so that they are known wherever the job goes on
                if record.opcode >= job.finished:
                    self.server.outbox.put(Recorded(record))
            if job.mode == "run":
                await self._run(journal)
            else:
                await self._roll_back(journal)
            ended = self.server.outbox.put(Ended(tuple(sorted(nodes_of(journal.known)))))
            await self.server.outbox.until_committed(ended)
            leave()

    async def _run(self, journal: StepJournal) -> None:
        for text in self.assignment.warnings:
            at = self.env.clock.now()
            self.server.outbox.put(
                Logged(self.assignment.finished, at, "message", f"Warning: {text}")
            )
        for number in range(self.assignment.finished, len(self.assignment.opcodes)):
            begun = fold(journal.known, number).plan is not None  # then there may be much to undo
            if not begun:
                await passed_or(self.server.going, self.server.cancelled)
            if self.server.cancelled.is_set() and not begun:
                self._end_from(number, "canceled", CANCELLED_TEXT)
                return
            if not await self._one(number, journal, OpcodeRun.run):
                if self.server.cancelled.is_set():
                    self._end_from(number + 1, "canceled", CANCELLED_TEXT)
                else:
                    self._end_from(number + 1, "error", OpExecError(PRECEDING_FAILED).encoded)
                return

    async def _roll_back(self, journal: StepJournal) -> None:
        """Undo the opcode at which the earlier process died; those after it never began."""
        number = self.assignment.finished
        died = died_text(self.assignment.attempt)
        if number < len(self.assignment.opcodes):
            await self._one(number, journal, lambda run: run.roll_back(died))
        self._end_from(number + 1, "error", OpExecError(died).encoded)

    async def _one(
        self, number: int, journal: StepJournal, how: Callable[[OpcodeRun], Awaitable[bool]]
    ) -> bool:
        run = self._prepare(number, journal)
        self.server.current, self.server.locks = run, run.locks
        try:
            return await how(run)
        finally:
            self.server.current = None

    def _prepare(self, number: int, journal: StepJournal) -> OpcodeRun:
        job, server = self.assignment, self.server
        intent = _intent(job.opcodes[number])
        secrets = job.secrets[number] if number < len(job.secrets) else {}
        performer = Performer(
            job=job.job,
            attempt=job.attempt,
            epoch=job.epoch,
            opcode=number,
            wconfd=self.wconfd,
            nodes=self.nodes,
            outbox=server.outbox,
            replies=server.replies,
            secrets=secrets,
            lost_secrets=[name for name in _secrets_of(intent) if name not in secrets],
            now=self.env.clock.now,
        )
        owner = LockOwner(job.job, job.attempt)
        world = JobWorld(self.env, owner, self.wconfd, self.nodes, performer.say)
        now, priority = self.env.clock.now, server.priority
        return OpcodeRun(
            number=number,
            is_last=number == len(job.opcodes) - 1,
            intent=intent,
            world=world,
            locks=LockTaker(
                self.wconfd,
                owner,
                server.outbox,
                self.nursery,
                priority,
                number,
                now,
                world.locked_at,
            ),
            stepper=Stepper(
                opcode=number,
                attempt=job.attempt,
                nursery=self.nursery,
                journal=journal,
                outbox=server.outbox,
                performer=performer,
                decisions=server.decisions,
                cancelled=server.cancelled,
                permit=server.permit,
                going=server.going,
            ),
            outbox=server.outbox,
            cancelled=server.cancelled,
        )

    # --- opcodes that never begin ----------------------------------------------------------------

    def _end(self, number: int, status: OpcodeStatus, result: Json) -> None:
        self.server.outbox.put(OpcodeChanged(number, status, self.env.clock.now(), result))

    def _end_from(self, number: int, status: OpcodeStatus, result: Json) -> None:
        for each in range(number, len(self.assignment.opcodes)):
            self._end(each, status, result)


def _intent(opcode: Mapping[str, Json]) -> Intent | GanetiError:
    """Return how this version carries an opcode out, or why it can not."""
    try:
        parsed = parse_opcode(dict(opcode))
        return Intent(parsed, operation(parsed.op_id()))
    except GanetiError as error:
        return error
    except Malformed as error:
        return OpPrereqError(str(error))


def _secrets_of(intent: Intent | GanetiError) -> Iterable[str]:
    """Name the secrets that an opcode was submitted with."""
    return lost_secrets(intent.opcode) if isinstance(intent, Intent) else ("of that opcode",)
