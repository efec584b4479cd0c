"""Walk a plan forwards and backwards, with every move in the journal before it is made."""

from __future__ import annotations

from typing import Final

import trio
from attrs import define

from gantry.daemons.job.outbox import Outbox
from gantry.daemons.job.performer import ENDS_ATTEMPT, NodeAway, Performer
from gantry.daemons.job.progress import Progress, fold
from gantry.daemons.job.step_journal import StepJournal
from gantry.protocols.codec import Json
from gantry.protocols.errors import GanetiError
from gantry.protocols.identity import Attempt
from gantry.protocols.jobproc import EventNumber, Recorded
from gantry.protocols.steps import (
    Commit,
    Delay,
    Done,
    Leftover,
    NodeCall,
    NoUndo,
    Plan,
    Planned,
    Started,
    Step,
    StepRecord,
    Undone,
)
from gantry.runtime.nursery import cancel_when, open_plain_nursery

UNDO_TRIES: Final = 3
UNDO_RETRY_SECONDS: Final = 2.0
"""An undo that fails this often becomes a left-over, for a person to deal with."""


AWAY_SECONDS_MAX: Final = 300.0
"""How long a node is waited for where nothing may be undone: a machine has booted in this time."""

AWAY_RETRY_SECONDS: Final = 1.0
"""Each attempt has some patience of its own."""

ONLY_FORWARD: Final = (
    "nothing was undone, since step {!r} has been done, or may have been: "
    "look at the nodes and put right what is left to do"
)


class Cancelled(Exception):
    """The job was asked to stop, and this is a safe point."""


class NoWayBack(Exception):
    """A plan can neither be carried on nor undone without guessing; the text says why."""


@define
class Stepper:
    """Moves one opcode along its plan."""

    opcode: int
    attempt: Attempt
    journal: StepJournal
    outbox: Outbox
    performer: Performer
    cancelled: trio.Event

    def progress(self) -> Progress:
        """Return how far the opcode has come, in all attempts."""
        return fold(self.journal.known, self.opcode)

    async def record(self, record: StepRecord) -> EventNumber:
        """Flush a record, which LuxiD hears of meanwhile."""
        number = self.outbox.put(Recorded(record))
        await self.journal.add(record)
        return number

    def note(self, record: StepRecord) -> None:
        """Hand a record to LuxiD and to the disk; before the next step acts it is flushed."""
        self.outbox.put(Recorded(record))
        self.journal.note(record)

    def begin(self, plan: Plan) -> None:
        """Make a plan the opcode's first record."""
        self.note(Planned(self.opcode, plan))

    async def forwards(self, plan: Plan) -> None:
        """Carry out the steps that are not done yet.

        Raises:
            Cancelled: the job was asked to stop; the steps before are done.
            GanetiError: a step failed, and what was done may be undone.
            NoWayBack: a step failed, and that may not.
        """
        progress = self.progress()
        for number, step in enumerate(plan.steps):
            if number in progress.done:
                self.performer.results[step.name] = progress.done[number]
                continue
            if self.cancelled.is_set() and not self.progress().past_return:
                raise Cancelled
            await self._do(plan, number, step)

    async def _do(self, plan: Plan, number: int, step: Step) -> None:
        begun_before = number in self.progress().started
        if isinstance(step.do, NodeCall):
            self.performer.say(f"* {step.name}")
        announced = await self.record(Started(self.opcode, number, self.attempt))
        if step.kind != "idempotent":
            await self.outbox.until_committed(announced)
        try:
            result = await self._until_known(plan, number, step, begun_before=begun_before)
        except GanetiError as error:
            if not step.tolerate:
                raise
            self.performer.say(f"WARNING: {step.name}: {error}")
            result = None
        self.performer.results[step.name] = result
        # The end of the opcode's last step is durable with the opcode's own end, or not at all.
        self.note(Done(self.opcode, number, result))

    async def _until_known(
        self, plan: Plan, number: int, step: Step, *, begun_before: bool
    ) -> Json:
        """Perform a step; where there may be no way back, ask until it is known how it went.

        Raises:
            NoWayBack: it failed, or that never became known, and nothing may be undone.
        """
        patience = trio.current_time() + AWAY_SECONDS_MAX
        while True:
            try:
                return await self._interruptibly(number, step)
            except GanetiError as error:
                acted = isinstance(error, NodeAway) and (error.may_have_acted or begun_before)
                is_settled = step.name == plan.no_return and acted
                if step.tolerate or not (is_settled or self.progress().past_return):
                    raise
                over = trio.current_time() > patience or self.cancelled.is_set()
                if over or not isinstance(error, NodeAway):
                    raise NoWayBack(f"{error}; {ONLY_FORWARD.format(plan.no_return)}") from error
                self.performer.say(f"{error}; asking again")
                begun_before = True
            await trio.sleep(AWAY_RETRY_SECONDS)

    async def _interruptibly(self, number: int, step: Step) -> Json:
        """Perform a step; a wait is a safe point all along, everything else runs to its end."""
        if not isinstance(step.do, Delay):
            return await self.performer.perform(number, step.do, step.kind)
        async with open_plain_nursery() as nursery:
            nursery.start_soon(cancel_when, self.cancelled, nursery.cancel_scope)
            await self.performer.perform(number, step.do, step.kind)
            nursery.cancel_scope.cancel()
        if self.cancelled.is_set():
            raise Cancelled
        return None

    async def backwards(self, plan: Plan) -> list[str]:
        """Undo all that was begun, the last step first; return what is left over."""
        leftovers = []
        for number in self.progress().to_undo:
            step = plan.steps[number]
            problem = await self._undo(number, step)
            if problem is None:
                await self.record(Undone(self.opcode, number))
            else:
                text = f"{step.name} could not be undone: {problem}"
                await self.record(Leftover(self.opcode, number, text))
                leftovers.append(text)
        return leftovers

    async def _undo(self, number: int, step: Step) -> str | None:
        """Undo one step; return why it could not be."""
        if isinstance(step.undo, NoUndo):
            return None
        if isinstance(step.do, Commit) and not await self.performer.has_committed(number):
            return None
        self.performer.say(f"undoing: {step.name}")
        problem = ""
        for tries in range(UNDO_TRIES):
            if tries:
                await trio.sleep(UNDO_RETRY_SECONDS)
            try:
                await self.performer.perform(number, step.undo, "idempotent", undo=True)
            except ENDS_ATTEMPT:
                raise
            except GanetiError as error:
                problem = str(error)
            else:
                return None
        return problem
