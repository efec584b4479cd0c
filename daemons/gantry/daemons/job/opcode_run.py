"""One opcode from waiting to its final status, in either direction."""

from __future__ import annotations

from typing import Final, Literal

from attrs import define, field, frozen

from gantry.core.queue.outline import outline
from gantry.daemons.job.locking import LockTaker
from gantry.daemons.job.outbox import Outbox
from gantry.daemons.job.stepping import ONLY_FORWARD, Aborted, Cancelled, NoWayBack, Stepper
from gantry.daemons.job.world import JobWorld
from gantry.operations.leftovers import called_nodes, check_clean
from gantry.operations.operation import AnyOperation
from gantry.protocols.codec import Json, Malformed
from gantry.protocols.errors import GanetiError, OpExecError, OpPrereqError
from gantry.protocols.identity import Attempt
from gantry.protocols.jobproc import EventNumber, OpcodeChanged, OpcodeStatus, Shown
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.steps import Holds, Plan, TurnedBack
from gantry.protocols.wconfd import Selection
from gantry.runtime.logs import Log
from gantry.runtime.stop import Stop

CANCELLED_TEXT: Final = "Job canceled by request"

FIRST_ATTEMPT: Final = 1

LOG: Final = Log("job")


def died_text(attempt: Attempt) -> str:
    """Say why a job is rolled back in this attempt."""
    return f"the job process died in attempt {attempt - 1}"


@frozen
class Intent:
    """An opcode, and how this version carries it out."""

    opcode: Opcode
    operation: AnyOperation


@define
class OpcodeRun:
    """Carries out one opcode, or rolls it back."""

    number: int
    is_last: bool
    """Whether it is the job's last one."""
    intent: Intent | GanetiError
    world: JobWorld
    locks: LockTaker
    stepper: Stepper
    outbox: Outbox
    cancelled: Stop
    _acting: bool = field(default=False, init=False)

    @property
    def has_begun(self) -> bool:
        """Whether the opcode is past its checks, so that a cancel means undoing."""
        return self._acting

    async def run(self) -> bool:
        """Carry out the opcode, or go on where an earlier process died.

        Returns:
            Whether it succeeded.

        Raises:
            ServiceError: this attempt may not act any more.
        """
        progress = self.stepper.progress()
        if self.stepper.attempt > FIRST_ATTEMPT:
            await self.locks.adopt()
        if progress.plan is not None:
            return await self._go_on(progress.plan)
        if isinstance(self.intent, GanetiError):
            return self._fail("error", self.intent.encoded)
        return await self._begin(self.intent)

    async def _begin(self, intent: Intent) -> bool:
        if self.stepper.attempt > FIRST_ATTEMPT:  # what was taken may be no longer what is needed
            await self.locks.release()
        self._pass_through("waiting")
        try:
            plan = await self._prepare(intent)
        except Cancelled:
            return self._fail("canceled", CANCELLED_TEXT)
        except GanetiError as error:
            return self._fail("error", error.encoded)
        except Malformed as error:
            return self._fail("error", OpPrereqError(str(error)).encoded)
        if intent.opcode.dry_run:
            return await self._show(plan)
        return await self._carry_out(plan)

    async def _prepare(self, intent: Intent) -> Plan:
        """Take the locks, check and plan; a cancel ends it at any moment."""
        plan: Plan | None = None
        with self.cancelled.ends():
            opcode, operation = intent.opcode, intent.operation
            await self.locks.take(lambda: operation.locks(opcode, self.world))
            self._pass_through("running")
            made = await operation.plan(opcode, self.world)
            await self._check_clean(made)
            plan = made
        if plan is None:
            raise Cancelled
        return plan

    async def _check_clean(self, plan: Plan) -> None:
        """Refuse a plan that uses an object on a node that still has a part of it left over."""
        nodes = called_nodes(plan)
        if nodes and self.world.may_have_leftovers:
            part = await self.world.read(Selection(leftovers_of_nodes=nodes))
            check_clean(plan, part.leftovers.values())

    async def _show(self, plan: Plan) -> bool:
        self.world.say(*(f"would do: {step.name}" for step in plan.steps))
        shown = Shown(self.number, outline(plan), self.locks.held)
        self.outbox.put(shown, lingers=True)
        return await self._succeed(None)

    async def _go_on(self, plan: Plan) -> bool:
        """Go on with a plan that another process has made, in the direction in which it went."""
        self._enter_again()
        progress = self.stepper.progress()
        turned_back = progress.turned_back
        if turned_back is not None:
            return await self._undo(plan, turned_back.status, turned_back.result)
        changed = None if progress.complete else self._how_changed(plan)
        return await self._carry_out(plan, question=changed)

    def _how_changed(self, plan: Plan) -> str | None:
        """Say how this version differs from the one that made a plan; ``None``: not at all.

        What the old steps mean, and whether the new version would do the same, nobody but a
        person can tell. Undoing them is data, and always possible.
        """
        if isinstance(self.intent, GanetiError):
            how = f"this version does not know {plan.operation} ({self.intent})"
        elif self.intent.operation.version != plan.version:
            new = self.intent.operation.version
            how = f"its steps are of version {plan.version}, this version of Gantry makes {new}"
        else:
            return None
        return f"is the plan of {plan.operation} to be carried out as it was made? {how}"

    async def _carry_out(self, plan: Plan, *, question: str | None = None) -> bool:
        self._acting = True
        if plan.steps and self.stepper.progress().plan is None:
            held, reserved = self.locks.held, tuple(self.world.reserved)
            self.stepper.begin(plan, Holds(self.number, held, reserved))
        try:
            if question is not None and await self.stepper.decision(None, question) == "abort":
                raise Aborted(question)
            await self.stepper.forwards(plan)
        except Aborted as error:
            return await self._abort(plan, str(error))
        except Cancelled:
            return await self._undo(plan, "canceled", CANCELLED_TEXT)
        except NoWayBack as error:
            return self._fail("error", OpExecError(str(error)).encoded)
        except GanetiError as error:
            return await self._undo(plan, "error", error.encoded)
        return await self._succeed(self._result(plan))

    def _result(self, plan: Plan) -> Json:
        results = self.stepper.performer.results
        if plan.results_from:
            return [results[name] for name in plan.results_from]
        if plan.result_from is None:
            return plan.result
        result = results[plan.result_from]
        return result if plan.result_key is None else {plan.result_key: result}

    async def _abort(self, plan: Plan, asked: str) -> bool:
        """Undo what was begun, since a person wants so, or say why that can not be."""
        text = f"aborted by decision, after it was asked: {asked}"
        if self.stepper.progress().past_return:
            text = f"{text}; {ONLY_FORWARD.format(plan.no_return)}"
            return self._fail("error", OpExecError(text).encoded)
        return await self._undo(plan, "error", OpExecError(text).encoded)

    async def _undo(self, plan: Plan, status: Literal["canceled", "error"], result: Json) -> bool:
        if plan.steps and self.stepper.progress().turned_back is None:
            await self.stepper.record(TurnedBack(self.number, status, result))
        leftovers = await self.stepper.backwards(plan)
        return self._fail(status, _with_leftovers(result, leftovers))

    async def roll_back(self, text: str) -> bool:
        """Undo what a dead process began, or carry on where there is no way back.

        Args:
            text: why the job ends, for the opcode's result.

        Returns:
            Whether the opcode turned out to have succeeded.
        """
        progress = self.stepper.progress()
        error = OpExecError(text).encoded
        await self.locks.adopt()
        if progress.plan is None:
            return self._fail("error", error)
        plan = progress.plan
        self._acting = True
        self._enter_again()
        if progress.turned_back is not None:
            turned = progress.turned_back
            return await self._undo(plan, turned.status, turned.result)
        settled = progress.complete or progress.past_return
        interrupted = progress.interrupted
        if interrupted is not None and plan.steps[interrupted].name == plan.no_return:
            settled = True  # to ask again under the same key is the only way to know
        if not settled:
            return await self._undo(plan, "error", error)
        try:
            await self.stepper.forwards(plan)
        except Aborted as aborted:
            return await self._abort(plan, str(aborted))
        except NoWayBack as failure:
            return self._fail("error", OpExecError(str(failure)).encoded)
        except GanetiError as failure:
            LOG.warning("could not carry on", opcode=self.number, reason=str(failure))
            return await self._undo(plan, "error", error)
        return await self._succeed(self._result(plan))

    # --- statuses --------------------------------------------------------------------------------

    def _pass_through(self, status: OpcodeStatus) -> None:
        """Report a status that most jobs are in for a moment only."""
        self.outbox.put(OpcodeChanged(self.number, status, self.world.now()), lingers=True)

    def _enter_again(self) -> None:
        """Say how far the opcode was, for a LuxiD that died before it heard so.

        It takes no status without those before it; what it has heard already changes nothing.
        """
        self._pass_through("waiting")
        self._enter("running")

    def _enter(self, status: OpcodeStatus, result: Json = None) -> EventNumber:
        return self.outbox.put(OpcodeChanged(self.number, status, self.world.now(), result))

    async def _succeed(self, result: Json) -> bool:
        """Report that the opcode has succeeded; its locks go only when that is durable.

        Those of the job's last opcode are LuxiD's: it frees all that the job held as soon as the
        job's end is durable, which is told together with the opcode's.
        """
        ended = self._enter("success", result)
        if not self.is_last:
            await self.outbox.until_committed(ended)
            await self.locks.release()
        return True

    def _fail(self, status: Literal["canceled", "error"], result: Json) -> bool:
        """Report how the opcode has failed: the job ends with it, and LuxiD frees what it held."""
        self._enter(status, result)
        return False


def _with_leftovers(result: Json, leftovers: list[str]) -> Json:
    """Add what could not be undone to an opcode's result."""
    if not leftovers:
        return result
    text = "; ".join(leftovers)
    match result:
        case [str(name), [str(first), *rest]]:
            return [name, [f"{first}; left behind: {text}", *rest]]
        case _:
            return f"{result}; left behind: {text}"
