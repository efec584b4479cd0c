"""Walk a plan forwards and backwards, with every move in the journal before it is made."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Final

import trio
from attrs import define, field, frozen

from gantry.daemons.job.outbox import Outbox
from gantry.daemons.job.performer import ENDS_ATTEMPT, Abandoned, NodeAway, Performer, Undecided
from gantry.daemons.job.progress import Progress, changes, fold, must_be_known, nodes_on
from gantry.daemons.job.replies import Replies
from gantry.daemons.job.step_journal import StepJournal
from gantry.protocols.codec import Json
from gantry.protocols.errors import GanetiError
from gantry.protocols.identity import Attempt
from gantry.protocols.jobproc import EventNumber, Recorded
from gantry.protocols.jobs import Choice
from gantry.protocols.noded import call
from gantry.protocols.steps import (
    Asked,
    Commit,
    Decided,
    Delay,
    Done,
    Holds,
    Leftover,
    NodeCall,
    NoUndo,
    Plan,
    Planned,
    RunHooks,
    Started,
    Step,
    StepRecord,
    Undone,
)
from gantry.runtime.gate import Gate
from gantry.runtime.logs import Log
from gantry.runtime.stop import Stop

UNDO_REFUSALS_MAX: Final = 3
"""An undo that its node refuses this often becomes a left-over."""

UNDO_SECONDS_MAX: Final = 15.0
"""So does one whose node does not answer for so long: the job's locks are wanted by others. A NodeD
that is only restarted is back sooner."""

UNDO_RETRY_SECONDS: Final = 2.0

AWAY_SECONDS_MAX: Final = 300.0
"""How long a node is waited for where nothing may be undone: a machine has booted in this time."""

REFUSED_SECONDS_MAX: Final = 60.0
"""How long a step is tried again there that its node refuses: a disk that is full may be so for a
moment only, and what is half done helps nobody."""

AWAY_RETRY_SECONDS: Final = 1.0
"""Each attempt has some patience of its own."""

ONLY_FORWARD: Final = (
    "nothing was undone, since step {!r} has been done, or may have been: "
    "look at the nodes and put right what is left to do"
)


LOG: Final = Log("job.steps")


class Cancelled(Exception):
    """The job was asked to stop, and this is a safe point."""


class NoWayBack(Exception):
    """A plan can neither be carried on nor undone without guessing; the text says why."""


class Aborted(Exception):
    """A person was asked and has decided that the job is undone; the text says what was asked."""


async def passed_or(gate: Gate, stop: Stop) -> None:
    """Wait until a gate is open or a stop is set."""
    if gate.is_open or stop.is_set():
        return
    with stop.ends():
        await gate.passed()


@frozen
class Question:
    """What a person was asked about: a step, or (``None``) the plan as a whole."""

    opcode: int
    step: int | None
    asked_at: float


@define
class Stepper:
    """Moves one opcode along its plan."""

    opcode: int
    attempt: Attempt
    nursery: trio.Nursery
    """Where nodes are told to end a call in flight."""
    journal: StepJournal
    outbox: Outbox
    performer: Performer
    decisions: Replies[Question, Choice]
    cancelled: Stop
    permit: Gate
    """Closed while nobody may act: the job stops before its next step."""
    going: Gate
    """Closed while the job is paused: it stands still before its next step."""
    _answered: set[int] = field(factory=set, init=False)
    """The steps whose nodes have said that they do nothing for them any more."""
    _is_known: bool = field(default=False, init=False)
    """Whether it is committed what this opcode holds and means to do."""

    @property
    def at(self) -> str | None:
        """The step that was begun and is not over, by its name."""
        progress = self.progress()
        number = progress.interrupted
        return None if progress.plan is None or number is None else progress.plan.steps[number].name

    def progress(self) -> Progress:
        """Return how far the opcode has come, in all attempts."""
        return fold(self.journal.known, self.opcode)

    async def record(self, record: StepRecord, *, lingers: bool = False) -> EventNumber:
        """Flush a record, which LuxiD hears of meanwhile; with the next event if it ``lingers``."""
        number = self.outbox.put(Recorded(record, self.performer.now()), lingers=lingers)
        await self.journal.add(record)
        return number

    def note(self, record: StepRecord) -> None:
        """Hand a record to LuxiD and to the disk; before the next step acts it is flushed."""
        self.outbox.put(Recorded(record, self.performer.now()), lingers=True)
        self.journal.note(record)

    def begin(self, plan: Plan, holds: Holds) -> None:
        """Make a plan, and what the job holds for it, the opcode's first records."""
        self.note(holds)
        self.note(Planned(self.opcode, plan))

    async def forwards(self, plan: Plan) -> None:
        """Carry out the steps that are not done yet.

        Raises:
            Cancelled: the job was asked to stop; the steps before are done.
            Aborted: a person was asked how to go on, and wants the job undone.
            GanetiError: a step failed, and what was done may be undone.
            NoWayBack: a step failed, and that may not.
        """
        progress = self.progress()
        for number, step in enumerate(plan.steps):
            if number in progress.done:
                self.performer.results[step.name] = progress.done[number]
                continue
            await self._stand_still(step)
            if not self.permit.is_open:
                await self.permit.passed()
            if self.cancelled.is_set() and not self._is_settled(plan, number):
                raise Cancelled
            try:
                while not await self._did(plan, number, step):
                    pass
            except NoWayBack as error:
                await self._note_owed(plan, number, str(error))
                raise

    async def _stand_still(self, step: Step) -> None:
        """Wait as long as the job is paused; a cancel ends the pause."""
        if self.going.is_open or self.cancelled.is_set():
            return
        self.performer.say(f"paused before: {step.name}")
        await passed_or(self.going, self.cancelled)
        if not self.cancelled.is_set():
            self.performer.say(f"resumed at: {step.name}")

    def _is_settled(self, plan: Plan, number: int) -> bool:
        """Whether the plan may not be undone at this step, or it is not known whether it may."""
        progress = self.progress()
        is_returning = plan.steps[number].name == plan.no_return and number in progress.started
        return progress.past_return or is_returning

    async def _did(self, plan: Plan, number: int, step: Step) -> bool:
        """Do a step; return whether it is settled, or was asked about and has to be seen to."""
        choice = self.progress().decided.get(number)
        match choice:
            case "skip":
                self.note(Done(self.opcode, number, step.otherwise))
                self.performer.results[step.name] = step.otherwise
                return True
            case "abort":
                raise Aborted(f"step {step.name!r} may have been done, or not")
            case "redo" | None:
                pass
        try:
            await self._do(plan, number, step, redo=choice == "redo")
        except Undecided as error:
            await self.decision(number, f"has step {step.name!r} been done? {error}")
            return False
        return True

    async def decision(self, step: int | None, question: str) -> Choice:
        """Ask a person and wait for the answer, which is remembered for later attempts.

        Raises:
            Cancelled: the job was asked to stop meanwhile.
        """
        progress = self.progress()
        if step in progress.decided:
            return progress.decided[step]
        asked = progress.asked.get(step)
        if asked is None:
            asked = Asked(self.opcode, step, question, self.performer.now())
            self.performer.say(f"waiting for a decision (gnt-job decide): {question}")
            await self.record(asked)
        choice: Choice | None = None
        with self.cancelled.ends():
            choice = await self.decisions.wait(Question(self.opcode, step, asked.at))
        if choice is None:
            raise Cancelled
        self.journal.note(Decided(self.opcode, step, choice, asked.at))
        return choice

    async def _do(self, plan: Plan, number: int, step: Step, *, redo: bool) -> None:
        begun_before = number in self.progress().started
        if isinstance(step.do, NodeCall):
            self.performer.say(f"* {step.name}")
        waits = must_be_known(plan, number) or (changes(step.do) and not self._is_known)
        announced = await self.record(Started(self.opcode, number, self.attempt), lingers=not waits)
        if waits:
            await self.outbox.until_committed(announced)
            self._is_known = True
        try:
            result = await self._until_known(
                plan, number, step, begun_before=begun_before, redo=redo
            )
        except GanetiError as error:
            if not step.tolerate:
                raise
            await self._bear(number, step, f"{step.name}: {error}")
            result = step.otherwise
        self.performer.results[step.name] = result
        # The end of the opcode's last step is durable with the opcode's own end, or not at all.
        self.note(Done(self.opcode, number, result))

    async def _bear(self, number: int, step: Step, problem: str) -> None:
        """Go on without a step; what it owes to its node is noted where it is found again."""
        if await self._is_owed(number, step, problem):
            problem = f"{problem} (noted as a left-over; it is done when the node answers)"
        self.performer.say(f"WARNING: {problem}")

    async def _is_owed(self, number: int, step: Step, problem: str) -> bool:
        """Note what a step owes to its node as a left-over; return whether it could be."""
        if not step.owed or not isinstance(step.do, NodeCall):
            return False
        return await self.performer.note_leftover(number, step.do, step.do, problem, undo=False)

    async def _note_owed(self, plan: Plan, failed: int, problem: str) -> None:
        """Note what the steps behind one that failed owe to their nodes all the same.

        They do where the step of no return is done; where that may have failed, nothing is known.
        """
        if not self.progress().past_return:
            return
        for number, step in enumerate(plan.steps[failed + 1 :], failed + 1):
            if await self._is_owed(number, step, problem):
                text = f"{step.name} was noted as a left-over; it is done when the node answers"
                self.performer.say(f"WARNING: {text}")

    async def _until_known(
        self, plan: Plan, number: int, step: Step, *, begun_before: bool, redo: bool
    ) -> Json:
        """Perform a step; where there may be no way back, ask until it is known how it went.

        There a step that fails is tried again for some time, too; a cancel changes nothing.

        Raises:
            NoWayBack: it failed, or that never became known, and nothing may be undone.
            Undecided: that is not known, and only a person may find out.
        """
        began, told = trio.current_time(), ""
        while True:
            try:
                return await self._interruptibly(plan, number, step, redo=redo)
            except GanetiError as error:
                redo = not isinstance(error, NodeAway)
                acted = isinstance(error, NodeAway) and (error.may_have_acted or begun_before)
                if not acted:
                    self._answered.add(number)
                if acted and step.kind == "once":
                    raise Undecided(str(error)) from error
                is_settled = step.name == plan.no_return and acted
                if step.tolerate or not (is_settled or self.progress().past_return):
                    raise
                patience = REFUSED_SECONDS_MAX if redo else AWAY_SECONDS_MAX
                if trio.current_time() - began > patience or step.kind == "once":
                    raise NoWayBack(f"{error}; {ONLY_FORWARD.format(plan.no_return)}") from error
                if told != str(error):
                    told = str(error)
                    self.performer.say(f"{told}; {'trying' if redo else 'asking'} again")
                begun_before = begun_before or acted
            await trio.sleep(AWAY_RETRY_SECONDS)

    async def _interruptibly(self, plan: Plan, number: int, step: Step, *, redo: bool) -> Json:
        """Perform a step; if the job is cancelled meanwhile, one that may be is broken off.

        Raises:
            Cancelled: it was.
        """
        if not self._may_be_broken_off(plan, step):
            return await self.performer.perform(number, step, redo=redo)
        results: list[Json] = []
        performing, breaking = trio.CancelScope(), trio.CancelScope()
        begin = partial(self._break_off, plan, number, step, performing, breaking)
        try:
            with (
                performing,
                suppress(Abandoned),
                self.cancelled.does(lambda: self.nursery.start_soon(begin)),
            ):
                results.append(await self.performer.perform(number, step, redo=redo))
        finally:
            breaking.cancel()
        if not results:
            raise Cancelled
        return results[0]

    def _may_be_broken_off(self, plan: Plan, step: Step) -> bool:
        """Whether it can be known what a step has done until then."""
        match step.do:
            case Delay():
                return True
            case NodeCall() | RunHooks():
                can_be_known = step.name != plan.no_return or bool(step.looks)
                return step.kind != "once" and can_be_known
            case _:  # these take no time
                return False

    async def _break_off(
        self,
        plan: Plan,
        number: int,
        step: Step,
        performing: trio.CancelScope,
        breaking: trio.CancelScope,
    ) -> None:
        """Have nodes end a step's calls when the job is cancelled; their answers say how it went.

        A node that does not answer is not waited for any longer, unless nothing may be undone
        before it does.
        """
        if self.progress().past_return:
            return
        if isinstance(step.do, Delay):
            performing.cancel()
            return
        with breaking, trio.move_on_after(UNDO_SECONDS_MAX) as patience, suppress(NodeAway):
            await self.performer.abandon(number, step.do)
            return
        if breaking.cancelled_caught:  # it is over, so there is nothing to break off
            return
        LOG.warning("not broken off", step=step.name, in_time=not patience.cancelled_caught)
        if step.name != plan.no_return:
            performing.cancel()

    async def backwards(self, plan: Plan) -> list[str]:
        """Undo all that was begun, the last step first; return what is left over."""
        for number in self.progress().to_undo(is_whole=self.journal.is_whole):
            await self.permit.passed()
            step = plan.steps[number]
            problem = await self._undo(number, step)
            if problem is None:
                await self.record(Undone(self.opcode, number))
            else:
                text = await self._leave(number, step, problem)
                await self.record(Leftover(self.opcode, number, text))
        return [
            each.text
            for each in self.journal.known
            if isinstance(each, Leftover) and each.opcode == self.opcode
        ]

    async def _leave(self, number: int, step: Step, problem: str) -> str:
        """Note what could not be undone where it is found again; return what to say about it."""
        text = f"{step.name} could not be undone: {problem}"
        if await self._is_noted(number, step, problem):
            text = f"{text} (noted as a left-over; it is cleaned up when the node answers)"
        self.performer.say(f"WARNING: {text}")
        return text

    async def _is_noted(self, number: int, step: Step, problem: str) -> bool:
        """Note what is left over; return whether all of it could be."""
        note, do, undo = self.performer.note_leftover, step.do, step.undo
        noted: list[bool] = []
        if isinstance(undo, NodeCall):
            noted.append(await note(number, undo, undo, problem))
        # An undo ends the call that it undoes, but only on the node where it is made.
        ended = isinstance(undo, NodeCall) and nodes_on(undo) == nodes_on(do)
        if isinstance(do, NodeCall) and not ended and self._may_be_at_work(number, step):
            end = call(do.node, lambda n, t: n.abandon(t))
            noted.append(await note(number, end, do, problem, undo=False))
        return bool(noted) and all(noted)

    def _may_be_at_work(self, number: int, step: Step) -> bool:
        """Whether a node may still do something for a step, for all that this process knows."""
        progress = self.progress()
        is_open = number in progress.started and number not in progress.done
        return is_open and number not in self._answered and bool(nodes_on(step.do))

    async def _undo(self, number: int, step: Step) -> str | None:
        """Undo one step, and end what is still done for it; return why that could not be."""
        if isinstance(step.undo, NoUndo) and not self._may_be_at_work(number, step):
            return None
        if isinstance(step.do, Commit) and not await self.performer.has_committed(number):
            return None
        self.performer.say(f"undoing: {step.name}")
        patience = trio.current_time() + UNDO_SECONDS_MAX
        refusals = 0
        while True:
            try:
                if self._may_be_at_work(number, step):
                    await self.performer.abandon(number, step.do)
                    self._answered.add(number)
                if not isinstance(step.undo, NoUndo):
                    await self.performer.take_back(number, step.undo)
            except ENDS_ATTEMPT:
                raise
            except GanetiError as error:
                refusals += not isinstance(error, NodeAway)
                if refusals == UNDO_REFUSALS_MAX or trio.current_time() > patience:
                    return str(error)
            else:
                return None
            await trio.sleep(UNDO_RETRY_SECONDS)
