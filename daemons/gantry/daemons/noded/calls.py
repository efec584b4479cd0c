"""Changing calls: each key acts once, whoever asks and however often.

A call runs in a task of NodeD, not of the connection that asked for it: a client that goes
away does not cancel it, and whoever asks again under the same key waits for the same call. Its
deadline ends it, and so does the first call of a newer attempt of the same job.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final, TypeVar, assert_never

import trio
from attrs import define, evolve, field

from gantry.core import keys
from gantry.core.keys import Answer, Attach, Begin, Refuse, admit
from gantry.daemons.noded.failures import as_failure
from gantry.daemons.noded.key_journal import KeyJournal
from gantry.protocols.codec import Json, dump, load
from gantry.protocols.errors import StaleAttempt, StaleEpoch
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, Ticket
from gantry.protocols.job_course import StepProgress
from gantry.protocols.noded import Interrupted, ProgressReport, StepFailed
from gantry.runtime.journal import AppendFailed
from gantry.runtime.logs import Log

T = TypeVar("T")

DEADLINE_SECONDS_MAX: Final = 24 * 3600.0
"""No call lasts longer, whatever its caller allows: Ganeti's longest class of calls."""

PROGRESS_SECONDS_MAX: Final = 20.0
"""How long a question for progress waits for some; its asker hears that there is none."""

NO_ATTEMPT: Final = Attempt(0)

LOG: Final = Log("noded.calls")


@define
class _Call:
    """A call in flight."""

    scope: trio.CancelScope = field(factory=lambda: trio.CancelScope(deadline=-math.inf))
    ended: trio.Event = field(factory=trio.Event)
    not_begun: StepFailed | None = None
    """Why it could not even begin: the key was taken back."""
    report: ProgressReport = field(default=ProgressReport(0, None))
    news: trio.Event = field(factory=trio.Event)
    """Set by the next report, and by the end."""

    def last_until(self, deadline: float) -> None:
        """Give the call up at a moment of trio's clock, or later if another caller allows it."""
        latest = min(deadline, trio.current_time() + DEADLINE_SECONDS_MAX)
        self.scope.deadline = max(self.scope.deadline, latest)

    def tell(self) -> None:
        """Wake whoever waits for news."""
        self.news.set()
        self.news = trio.Event()


@define
class KeyedCalls:
    """The changing calls of one node."""

    _keys: KeyJournal
    _nursery: trio.Nursery
    """In which calls run; they end when it is cancelled."""
    _running: dict[Key, _Call] = field(factory=dict, init=False)
    _abandoned: dict[Key, Attempt] = field(factory=dict, init=False)
    """Up to which attempt nothing may begin under a key any more; who might still ask for it
    speaks over a connection to this process, so it need not outlive it."""

    @property
    def epoch(self) -> Epoch:
        """The newest epoch that has spoken to this node."""
        return self._keys.book.epoch

    async def do(
        self,
        ticket: Ticket,
        result: type[T],
        act: Callable[[], Awaitable[T]],
    ) -> T:
        """Act under a ticket, or find out how that went earlier.

        Cancellation stops the waiting, not the call; but the deadline of the cancel scopes around
        this call is the call's own: when it has passed the key counts as interrupted.

        Args:
            ticket: what the call is for.
            result: the type of the result.
            act: does it; what it raises is the call's failure.

        Raises:
            StaleAttempt, StaleEpoch, KeyConflict, Interrupted: see the NodeD protocol.
            StepFailed, Missing, Fault: the call has failed, now or earlier.
        """
        deadline = trio.current_effective_deadline()
        while True:
            if ticket.attempt <= self._abandoned.get(ticket.key, NO_ATTEMPT):
                raise Interrupted(str(ticket.key))
            self._keys.book, decision = admit(self._keys.book, ticket)
            match decision:
                case Refuse(error=error, record=record):
                    if record is not None:
                        await self._append(record)
                    raise error
                case Answer(result=done):
                    return load(result, done)
                case Attach():
                    call = await self._attach(ticket.key, decision)
                case Begin():
                    call = self._begin(ticket.key, decision, _rendering(act, result))
                case _:
                    assert_never(decision)
            call.last_until(deadline)
            await call.ended.wait()
            if call.not_begun is not None:
                raise call.not_begun
            ticket = evolve(ticket, redo=False)  # from here on this caller only asks how it went

    def needs_no_record(self, ticket: Ticket) -> bool:
        """Whether a call that has found nothing to do may be answered at once."""
        return keys.needs_no_record(self._keys.book, ticket)

    def report(self, key: Key, progress: StepProgress) -> None:
        """Note how far the call in flight under a key is."""
        call = self._running.get(key)
        if call is not None:
            call.report = ProgressReport(call.report.number + 1, progress)
            call.tell()

    async def progress(self, key: Key, after: int) -> ProgressReport | None:
        """Wait for news of the call in flight under a key; ``None`` if there is none."""
        call = self._running.get(key)
        if call is None:
            return None
        with trio.move_on_after(PROGRESS_SECONDS_MAX):
            while call.report.number <= after and not call.ended.is_set():
                await call.news.wait()
        return None if call.ended.is_set() else call.report

    async def _attach(self, key: Key, decision: Attach) -> _Call:
        call = self._running[key]
        await self._end(decision.superseded)
        if decision.record is not None:
            await self._append(decision.record)
        return call

    def _begin(self, key: Key, decision: Begin, act: Callable[[], Awaitable[Json]]) -> _Call:
        call = self._running[key] = _Call()
        self._nursery.start_soon(self._run, call, decision, act)
        return call

    async def _run(self, call: _Call, begin: Begin, act: Callable[[], Awaitable[Json]]) -> None:
        key = begin.record.ticket.key
        try:
            with call.scope:
                await self._append(begin.record)
                await self._end(begin.superseded)
                outcome = await _outcome(key, act)
                self._keys.book = keys.apply(self._keys.book, outcome)
                await self._append(outcome)
        except StepFailed as error:
            self._not_written(call, begin, error)
        finally:
            self._keys.book = keys.abort(self._keys.book, key)
            del self._running[key]
            call.ended.set()
            call.tell()

    def _not_written(self, call: _Call, begin: Begin, error: StepFailed) -> None:
        """Either nothing was done yet, or what was done is known to this process only."""
        key = begin.record.ticket.key
        LOG.error("key journal not written", key=str(key), reason=str(error))
        entry = self._keys.book.entry(key)
        if entry is not None and entry.state == "running":
            self._keys.book = keys.withdraw(self._keys.book, begin)
            call.not_begun = error

    async def _end(self, unwanted: Iterable[Key]) -> None:
        """Cancel calls and wait for their ends."""
        calls = [self._running[key] for key in unwanted if key in self._running]
        for call in calls:
            call.scope.cancel()
        for call in calls:
            await call.ended.wait()

    async def abandon(self, ticket: Ticket) -> None:
        """End the call in flight under a key, wait for its end, and let none begin there.

        Args:
            ticket: its key, or that of its undo; who asks, and in which attempt.

        Raises:
            StaleAttempt, StaleEpoch: somebody newer has spoken.
            StepFailed: that could not be noted.
        """
        self._keys.book, seen = keys.see_attempt(self._keys.book, ticket)
        match seen:
            case StaleEpoch() | StaleAttempt():
                raise seen
            case keys.AttemptSeen():
                await self._append(seen)
            case None:
                pass
        key = evolve(ticket.key, undo=False)
        self._abandoned[key] = max(ticket.attempt, self._abandoned.get(key, NO_ATTEMPT))
        await self._end([key])

    async def forget(self, jobs: Collection[JobId]) -> None:
        """Forget the keys of jobs that have ended; calls of theirs that nobody waits for end."""
        await self._end([key for key in self._running if key.job in jobs])
        self._abandoned = {k: each for k, each in self._abandoned.items() if k.job not in jobs}
        records: list[keys.KeyRecord] = []
        for job in sorted(jobs):
            self._keys.book, record = keys.forget(self._keys.book, job)
            if record is not None:
                records.append(record)
        if records:
            await self._append(*records)

    async def see_epoch(self, epoch: Epoch) -> None:
        """Note the epoch of a caller without a ticket.

        Raises:
            StaleEpoch: it is an old one.
        """
        self._keys.book, seen = keys.see_epoch(self._keys.book, epoch)
        match seen:
            case StaleEpoch():
                raise seen
            case keys.EpochSeen():
                await self._append(seen)
            case None:
                pass

    async def _append(self, *records: keys.KeyRecord) -> None:
        try:
            await self._keys.append(*records)
        except AppendFailed as error:
            text = f"the node can not write its key journal ({error}); free space and try again"
            raise StepFailed(text) from error


def _rendering(act: Callable[[], Awaitable[T]], result: type[T]) -> Callable[[], Awaitable[Json]]:
    """Return ``act`` with its result in JSON form, as the key book keeps it."""

    async def acting() -> Json:
        return dump(await act(), result)

    return acting


async def _outcome(key: Key, act: Callable[[], Awaitable[Json]]) -> keys.Finished | keys.Failed:
    try:
        return keys.Finished(key, await act())
    except Exception as error:  # noqa: BLE001 - whatever it is becomes the call's outcome
        return keys.Failed(key, as_failure(error))
