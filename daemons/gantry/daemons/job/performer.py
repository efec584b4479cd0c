"""Carry out the actions of plans: where data becomes effects, each under its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio
from attrs import define, evolve, field
from typing_extensions import override

from gantry.core.queue.outline import action_text
from gantry.daemons.job.outbox import Outbox
from gantry.daemons.job.progress import nodes_on
from gantry.daemons.job.replies import Replies
from gantry.operations.leftovers import leftover_uuid, subject_of
from gantry.protocols.changes import AddLeftover
from gantry.protocols.codec import Json, digest_of, dump
from gantry.protocols.errors import (
    ConnectionLost,
    GanetiError,
    HooksAbort,
    NoLease,
    OpExecError,
    ServiceError,
    StaleAttempt,
    StaleEpoch,
    Unreachable,
)
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, NodeUuid, Ticket
from gantry.protocols.jobproc import Advanced, JobsWanted, Logged, NotSubmitted, Submitted
from gantry.protocols.noded import Interrupted, NothingToUndo, ProgressReport
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.runtime_types import HookResult
from gantry.protocols.steps import (
    Action,
    Commit,
    Delay,
    Look,
    NodeCall,
    RunHooks,
    Say,
    Step,
    StepName,
    SubmitJobs,
    TakeBack,
)
from gantry.protocols.wconfd import Committed, NeverSeen, Refused, Selection, WConfD
from gantry.runtime.link import Link
from gantry.runtime.logs import Log
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.nursery import open_plain_nursery

PROGRESS_SECONDS: Final = 1.0
"""A call that takes longer is asked how far it is, and then no more often than this."""

PROGRESS_SECONDS_MAX: Final = 30.0
"""A node answers such a question within 20 s, with news or without."""

HOOKS_SECONDS_MAX: Final = 300.0
"""A hooks directory that takes longer counts as not run."""

ABANDON_SECONDS_MAX: Final = 60.0
"""What is broken off tidies up first; a node that takes longer is taken for dead."""

CALLS_MAX: Final = 3
"""A call that breaks off so often is one that its node can not end before the deadline."""

LAST_ATTEMPT: Final = Attempt(2**31 - 1)
"""With which a job that is over is cleaned up after: none of its own is newer."""

LOOK_SECONDS_MAX: Final = 60.0
"""As for any question: a node that takes longer is taken for dead."""

ENDS_ATTEMPT: Final = (StaleAttempt, StaleEpoch, NoLease)
"""These are no failures of a step: the process may not act any more and leaves at once."""


class NodeAway(OpExecError):
    """A node does not answer, so that it is not known how a step went."""

    may_have_acted: bool
    """Whether the node heard of it before it went away."""

    def __init__(self, text: str, *, may_have_acted: bool) -> None:
        super().__init__(text)
        self.may_have_acted = may_have_acted

    @property
    @override
    def encoded(self) -> list[object]:
        return OpExecError(*self.args).encoded


class Abandoned(Exception):
    """A call was broken off, since the job is to stop: its step did not happen as a whole."""


class Undecided(Exception):
    """Whether a step has happened is not known, and it may not be repeated: ask a person."""


LOG: Final = Log("job.steps")

Submissions = tuple[Submitted | NotSubmitted, ...]


@define
class Performer:
    """Carries out single actions for one opcode of one attempt."""

    job: JobId
    attempt: Attempt
    epoch: Epoch
    opcode: int
    wconfd: Link[WConfD]
    nodes: NodeLinks
    outbox: Outbox
    replies: Replies[Key, Submissions]
    secrets: Mapping[str, str] = field(repr=False)
    lost_secrets: Sequence[str]
    """Names of secrets that the opcode was submitted with and that nobody knows any more."""
    now: Callable[[], float]
    _abandoned: set[Key] = field(factory=set, init=False)
    """The steps that are not to be repeated."""
    results: dict[StepName, Json] = field(factory=dict, init=False)
    """The results of finished steps, for steps that take them as arguments."""

    def key(self, step: int, *, undo: bool = False) -> Key:
        """Return the key of a step or of its undo."""
        return Key(self.job, self.opcode, step, undo)

    async def perform(self, number: int, step: Step, *, redo: bool = False) -> Json:
        """Carry out a step and return its result.

        Args:
            number: of the step, for its key.
            step: what to do, and what to do about an earlier time that broke off.
            redo: do it again whatever became of it; only a person may know that.

        Raises:
            GanetiError: it failed.
            Undecided: it is one that happens once, and it is not known whether it did.
            Abandoned: :meth:`abandon` has broken it off.
            ServiceError: one of :data:`ENDS_ATTEMPT`.
        """
        key = self.key(number)
        LOG.debug("performing", key=str(key), step=step.name, action=action_text(step.do))
        if isinstance(step.do, NodeCall):
            return await self._call_node(key, step.do, step, redo=redo)
        return await self._act(key, step.do)

    async def take_back(self, number: int, undo: Action) -> None:
        """Carry out the undo of a step.

        Raises:
            GanetiError, ServiceError: as :meth:`perform`.
        """
        key = self.key(number, undo=True)
        LOG.debug("undoing", key=str(key), action=action_text(undo))
        if isinstance(undo, NodeCall):
            await self._call_node(key, undo, None)
        else:
            await self._act(key, undo)

    async def abandon(self, number: int, action: Action) -> None:
        """End what nodes are still doing for a step, and wait until they do not any more.

        Raises:
            NodeAway: a node does not answer.
            ServiceError: one of :data:`ENDS_ATTEMPT`.
        """
        key = self.key(number)
        self._abandoned.add(key)
        ticket = Ticket(key, self.attempt, self.epoch, "")

        async def one(node: NodeUuid) -> None:
            try:
                await self.nodes.ask(node, lambda n: n.abandon(ticket), ABANDON_SECONDS_MAX)
            except ENDS_ATTEMPT:
                raise
            except (ServiceError, ConnectionLost) as error:
                text = f"node {self.nodes.name(node)}: {error}"
                raise NodeAway(text, may_have_acted=True) from error

        async with open_plain_nursery() as nursery:
            for node in sorted(nodes_on(action)):
                nursery.start_soon(one, node)

    async def _act(
        self, key: Key, action: Commit | Delay | RunHooks | SubmitJobs | Say | TakeBack
    ) -> Json:
        """Do what is safe to repeat: its key, or its nature, makes it so."""
        match action:
            case Commit():
                return await self._commit(key, action)
            case Delay(seconds):
                await trio.sleep(seconds)
                return None
            case RunHooks():
                return await self._run_hooks(key, action)
            case SubmitJobs(jobs):
                self.outbox.put(JobsWanted(key, jobs))
                return [_outcome(each) for each in await self.replies.wait(key)]
            case Say(text):
                self.say(text)
                return None
            case TakeBack(left, call):
                return await self._clean_up(left, call)

    async def has_committed(self, step: int, *, undo: bool = False) -> bool:
        """Whether the configuration change of a step, or of its undo, has happened."""
        key = self.key(step, undo=undo)
        return not isinstance(await self.wconfd.call(lambda w: w.outcome(key)), NeverSeen)

    def say(self, text: str) -> None:
        """Add a line to the job's log."""
        self.outbox.put(Logged(self.opcode, self.now(), "message", text), lingers=True)

    async def _commit(self, key: Key, commit: Commit) -> Json:
        ticket = Ticket(key, self.attempt, self.epoch, digest_of(dump(commit)))
        outcome = await self.wconfd.call(lambda w: w.commit(ticket, commit.change))
        match outcome:
            case Committed(index):
                return index
            case Refused(invariant):
                raise OpExecError(f"the configuration refuses the change: {invariant.text}")

    # --- nodes -----------------------------------------------------------------------------------

    async def _call_node(
        self, key: Key, call: NodeCall, step: Step | None, *, redo: bool = False
    ) -> Json:
        """Call a node; ``step`` says what to do if the call broke off, ``None``: repeat it."""
        taken = {param: self.results[name] for param, name in call.results.items()}
        args = {**call.args, **taken}
        # Secrets are no part of the digest: that of a short secret would give it away.
        ticket = Ticket(key, self.attempt, self.epoch, digest_of([call.method, args]), redo=redo)
        if call.secrets is not None:
            args[call.secrets] = self._known_secrets()
        return await self._ask_again(call, args, ticket, step)

    async def _ask_again(
        self, call: NodeCall, args: Mapping[str, Json], ticket: Ticket, step: Step | None
    ) -> Json:
        """Make a call, and again if it broke off: the deadline may have passed, too."""
        first, problem = ticket, ""
        for _ in range(CALLS_MAX):
            try:
                return await self._ask_node(call, args, ticket)
            except NodeAway as error:
                if ticket is first:
                    raise
                raise NodeAway(str(error), may_have_acted=True) from error
            except Interrupted as error:
                problem = str(error)
                if step is not None and step.kind == "once":
                    raise Undecided(problem) from None
                if step is not None and await self._has_happened(step.looks):
                    return None
                if step is not None and ticket.key in self._abandoned:
                    raise Abandoned(step.name) from None
            ticket = evolve(ticket, redo=True)
        raise OpExecError(f"node {self.nodes.name(call.node)}: {problem}")

    async def _has_happened(self, looks: Sequence[Look]) -> bool:
        """Look for signs that a checked step has happened.

        Raises:
            NodeAway: none was seen, and a node did not answer.
        """
        away: NodeAway | None = None
        for look in looks:
            try:
                found = await self._look(look)
            except NodeAway as error:
                away = error
            else:
                if found:
                    return True
        if away is not None:
            raise away
        return False

    async def _look(self, look: Look) -> bool:
        try:
            there = await self.nodes.ask(
                look.node, lambda n: n.instances((look.hypervisor,)), LOOK_SECONDS_MAX
            )
        except ENDS_ATTEMPT:
            raise
        except (ServiceError, ConnectionLost) as error:
            text = f"node {self.nodes.name(look.node)}: {error}"
            raise NodeAway(text, may_have_acted=True) from error
        return any(
            each.name == look.instance
            and each.state in look.states
            and (look.not_since is None or each.started_at not in (None, look.not_since))
            for each in there
        )

    def _known_secrets(self) -> dict[str, Json]:
        if self.lost_secrets:
            raise OpExecError(
                f"the secret parameters {', '.join(self.lost_secrets)} are not known any more: "
                "they are kept in memory only, and LuxiD was restarted; submit the job again"
            )
        return dict(self.secrets)

    async def _ask_node(self, call: NodeCall, args: Mapping[str, Json], ticket: Ticket) -> Json:
        """Make a call, and tell how far it is if it takes long."""
        results: list[Json] = []
        async with open_plain_nursery() as nursery:
            nursery.start_soon(self._tell_progress, call.node, ticket.key)
            results.append(await self._call_once(call, args, ticket))
            nursery.cancel_scope.cancel()
        return results[0]

    async def _tell_progress(self, node: NodeUuid, key: Key) -> None:
        """Tell LuxiD how far a call is, as long as it is in flight and its node tells."""
        seen = 0
        while True:
            await trio.sleep(PROGRESS_SECONDS)
            try:
                report = await self._progress(node, key, seen)
            except (ServiceError, ConnectionLost, GanetiError):
                return  # the call itself says what is wrong
            if report is None:
                return
            if report.number > seen and report.progress is not None:
                seen = report.number
                self.outbox.put(Advanced(self.opcode, key.step, report.progress), lingers=True)

    async def _progress(self, node: NodeUuid, key: Key, after: int) -> ProgressReport | None:
        return await self.nodes.ask(node, lambda n: n.progress(key, after), PROGRESS_SECONDS_MAX)

    async def _call_once(self, call: NodeCall, args: Mapping[str, Json], ticket: Ticket) -> Json:
        sent = {**args, "ticket": dump(ticket)}
        try:
            return await self.nodes.call(call.node, call.method, sent, call.deadline_seconds)
        except (*ENDS_ATTEMPT, Interrupted):
            raise
        except NothingToUndo:
            return None
        except ConnectionLost as error:
            acted = not isinstance(error, Unreachable)
            text = f"node {self.nodes.name(call.node)}: {error}"
            raise NodeAway(text, may_have_acted=acted) from error
        except ServiceError as error:
            raise OpExecError(f"node {self.nodes.name(call.node)}: {error}") from error

    async def _clean_up(self, left: Key, call: NodeCall) -> Json:
        """Do what another job left undone, and let the node forget that job if that was all."""
        ticket = Ticket(left, LAST_ATTEMPT, self.epoch, digest_of([call.method, dict(call.args)]))
        await self._ask_again(call, call.args, evolve(ticket, redo=True), None)
        selection = Selection(leftovers_of_nodes=(call.node,))
        part = await self.wconfd.call(lambda w: w.read(selection))
        if not any(each.job == left.job and each.key != left for each in part.leftovers.values()):
            await self._have_forgotten(call.node, left.job)
        return None

    async def _have_forgotten(self, node: NodeUuid, job: JobId) -> None:
        try:
            await self.nodes.ask(node, lambda n: n.forget_keys((job,)), LOOK_SECONDS_MAX)
        except ENDS_ATTEMPT:
            raise
        except (ServiceError, ConnectionLost) as error:
            text = f"node {self.nodes.name(node)}: {error}"
            raise NodeAway(text, may_have_acted=True) from error

    async def note_leftover(
        self, number: int, call: NodeCall, about: NodeCall, problem: str, *, undo: bool = True
    ) -> bool:
        """Note in the configuration what a job leaves on a node; return whether it could be.

        It is what a step or, as a rule, its undo had to do there.
        """
        if call.results or call.secrets is not None:
            return False  # what it would take to do it later is known to nobody then
        if await self.has_committed(number, undo=undo):
            return True
        key, now = self.key(number, undo=undo), self.now()
        try:
            kind, name = subject_of(about) or ("node", self.nodes.name(call.node))
            leftover = Leftover(
                node=call.node,
                object_kind=kind,
                object_name=name,
                method=call.method,
                args=dict(call.args),
                deadline_seconds=call.deadline_seconds,
                key=key,
                reason=problem,
                ctime=now,
                mtime=now,
                uuid=leftover_uuid(key),
                serial_no=1,
            )
            await self._commit(key, Commit(AddLeftover(leftover)))
        except OpExecError as error:  # the node is no node of the cluster any more
            self.say(f"WARNING: {error}")
            return False
        return True

    async def _run_hooks(self, key: Key, hooks: RunHooks) -> Json:
        request = [hooks.path, hooks.phase, dict(hooks.environment)]
        ticket = Ticket(key, self.attempt, self.epoch, digest_of(request), redo=True)
        failures: list[list[str]] = []

        async def one(node: NodeUuid) -> None:
            try:
                ran = await self.nodes.ask(
                    node,
                    lambda n: n.run_hooks(ticket, hooks.path, hooks.phase, hooks.environment),
                    HOOKS_SECONDS_MAX,
                )
            except ENDS_ATTEMPT:
                raise
            except (ServiceError, ConnectionLost) as error:
                name = self.nodes.name(node)
                self.say(f"WARNING: hooks on node {name} did not run: {error}")
            else:
                failures.extend(_failed(self.nodes.name(node), ran))

        if len(hooks.nodes) == 1:  # of most operations in a small cluster: it needs no task
            await one(*hooks.nodes)
        else:
            async with open_plain_nursery() as nursery:
                for node in sorted(hooks.nodes):
                    nursery.start_soon(one, node)
        if failures and hooks.phase == "pre":
            raise HooksAbort(sorted(failures))
        for node_name, script, output in sorted(failures):
            self.say(f"WARNING: hook {script} on node {node_name} failed: {output}")
        return None


def _outcome(outcome: Submitted | NotSubmitted) -> list[Json]:
    match outcome:
        case Submitted(id=number):
            return [True, number]
        case NotSubmitted(reason):
            return [False, reason]


def _failed(node: str, results: tuple[HookResult, ...]) -> list[list[str]]:
    return [[node, each.script, each.output] for each in results if each.status == "fail"]
