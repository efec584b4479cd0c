"""The processes of jobs: made, given their work, listened to, adopted after a restart, buried.

One task attends each attempt, from the moment it is committed until its process is gone. What
the process says goes to the queue; what the queue wants of the process comes as effects.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar, assert_never

import trio
from attrs import define, evolve, field

from gantry.core.queue.attempts import assignment
from gantry.core.queue.happenings import (
    AnswerWanted,
    AskForPriority,
    AskToCancel,
    AskToLog,
    AskToPause,
    Died,
    Effect,
    Happening,
    Keep,
    Kill,
    NotStarted,
    Release,
    Reported,
    Spawn,
    Started,
    TellDecision,
)
from gantry.core.queue.state import NO_ATTEMPT, Entry
from gantry.core.queue.submission import Secrets
from gantry.daemons.luxid.at_work import AtWork
from gantry.daemons.luxid.launcher import Child, Launcher
from gantry.daemons.luxid.mirror import Mirror
from gantry.daemons.luxid.standing import warnings
from gantry.daemons.luxid.store import QueueStore
from gantry.protocols.errors import ConnectionLost, GenericError, ServiceError
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.jobproc import (
    JOB_PROCESS,
    JobProcess,
    NotAssigned,
    NotSpawned,
    Numbered,
    SpawnRequest,
    socket_name,
)
from gantry.protocols.locks import LockOwner
from gantry.protocols.steps import Decided
from gantry.protocols.wconfd import LivingJob
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log
from gantry.runtime.rpc import connect

LEAVE_SECONDS_MAX: Final = 10.0
"""A process whose end is committed leaves in this time, or is killed."""

TELL_SECONDS_MAX: Final = 10.0
"""A process that does not take a message in this time is stuck; it is told all again."""

RETRY_SECONDS: Final = 0.2
"""Between attempts to reach a process that lives and does not answer."""

REMOVE_SECONDS: Final = 0.5
"""How long the files of a job that is over wait for those of others, to be removed at once."""

DISK_RETRY_SECONDS: Final = 2.0
"""Between attempts to commit what a process said, while the journal can not be written."""

ASK_AGAIN_SECONDS: Final = 1.0
"""Before a job that waits for a person gets another process, or one whose last process left since
nobody may act: it has time, and the next one may be gone at once."""

_JOB_FILE: Final = re.compile(r"job-([1-9][0-9]*)(\.left)?")
"""The name of a job's socket, of its step journal, and of what a process leaves that goes."""

LOG: Final = Log("luxid.jobs")

T = TypeVar("T")

Message = Callable[[JobProcess], Awaitable[object]]


@define
class Attended:
    """An attempt that is being attended to."""

    job: JobId
    attempt: Attempt
    child: Child | None = None
    remote: JobProcess | None = None
    """The connection, while there is one."""
    conversation: trio.CancelScope = field(factory=trio.CancelScope)
    """Around what goes over that connection; when it is cancelled, another one is made."""
    kill: bool = False
    is_new: bool = False
    """Whether the attempt was just begun, so that its process can not have its work yet."""
    noted: bool = False
    """Whether the queue knows of the process; it is told with what the process says first."""


@define
class Supervisor:
    """Carries out the queue's effects. :meth:`run` must run while it is used."""

    env: Environment
    store: QueueStore
    launcher: Launcher
    mirror: Mirror
    at_work: AtWork
    secrets: dict[JobId, Secrets] = field(factory=dict, init=False, repr=False)
    _attended: dict[JobId, Attended] = field(factory=dict, init=False)
    _left: set[JobId] = field(factory=set, init=False)
    """Jobs whose last process left since nobody may act."""
    _over: list[JobId] = field(factory=list, init=False)
    """Jobs whose files are to be removed."""
    _some_over: trio.Event = field(factory=trio.Event, init=False)
    _leased: bool = field(default=False, init=False)
    """Whether the processes may act, as they were told last; they are not told of short gaps."""
    _nursery: trio.Nursery | None = field(default=None, init=False)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Adopt the jobs that were begun, then attend to them and to new ones."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.launcher.run)
            nursery.start_soon(self._follow_lease)
            nursery.start_soon(self._remove_files)
            await self._sweep(nursery)
            for job in self.store.head.active:
                nursery.start_soon(self._adopt, job, self.store.head.entries[job].attempt)
            task_status.started()
            await trio.sleep_forever()

    async def _follow_lease(self) -> None:
        """Have jobs stop before their next step while the lease is lost."""
        while True:
            await self.store.until_leased(held=not self._leased)
            self._leased = not self._leased
            self._tell_all(lambda remote: remote.set_lease(self._leased))

    def living(self) -> tuple[LivingJob, ...]:
        """Name the jobs that may hold something."""
        return tuple(_living(self.store.head.entries[job]) for job in self.store.head.active)

    def act(self, effect: Effect) -> None:  # noqa: C901 - one case per kind
        """Carry out an effect of a committed decision, in the background."""
        match effect:
            case Spawn(job, attempt):
                self._soon(lambda: self._begin(job, attempt))
            case AnswerWanted(job, _, key, outcomes):
                self._tell(job, lambda remote: remote.submitted(key, outcomes))
            case AskToCancel(job):
                self._tell(job, lambda remote: remote.cancel())
            case AskToPause(job, paused):
                self._tell(job, lambda remote: remote.pause() if paused else remote.resume())
            case AskToLog(job, level):
                self._tell(job, lambda remote: remote.set_log_level(level))
            case TellDecision(job, decision):
                self._tell(job, lambda remote: remote.decided(decision))
            case AskForPriority(job, priority):
                self._tell(job, lambda remote: remote.set_priority(priority))
            case Kill(job):
                self._kill(job)
            case Keep(job, secrets):
                self.secrets[job] = secrets
            case Release(job):
                self._soon(lambda: self._release(job))
            case _:
                assert_never(effect)

    def _soon(self, work: Callable[[], Awaitable[object]]) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(work)

    # --- messages to a process -------------------------------------------------------------------

    def _tell(self, job: JobId, message: Message) -> None:
        attended = self._attended.get(job)
        if attended is not None and attended.remote is not None:
            remote = attended.remote
            self._soon(lambda: self._deliver(attended, remote, message))

    async def ask(self, job: JobId, question: Callable[[JobProcess], Awaitable[T]]) -> T | None:
        """Ask a job's process something; ``None``: it has none that answers."""
        attended = self._attended.get(job)
        if attended is None or attended.remote is None:
            return None
        try:
            with trio.move_on_after(TELL_SECONDS_MAX):
                return await question(attended.remote)
        except (ConnectionLost, ServiceError) as error:
            LOG.debug("no answer", job=job, reason=str(error))
        return None

    def _tell_all(self, message: Message) -> None:
        for job in self._attended:
            self._tell(job, message)

    async def _deliver(self, attended: Attended, remote: JobProcess, message: Message) -> None:
        try:
            with trio.move_on_after(TELL_SECONDS_MAX) as patience:
                await message(remote)
        except (ConnectionLost, ServiceError) as error:
            LOG.debug("a message did not arrive", job=attended.job, reason=str(error))
        else:
            if patience.cancelled_caught and attended.remote is remote:
                LOG.warning("a job's process takes no message", job=attended.job)
                attended.conversation.cancel()  # the next one begins with all that it must know

    def _kill(self, job: JobId) -> None:
        attended = self._attended.get(job)
        if attended is not None:
            attended.kill = True
            if attended.child is not None:
                attended.child.kill()

    async def _release(self, job: JobId) -> None:
        """Free what a job held; a WConfD that is away frees it when it hears who still lives."""
        self.secrets.pop(job, None)
        self._left.discard(job)
        try:
            await self.mirror.ask(lambda wconfd: wconfd.drop_job(job))
        except ConnectionLost:
            LOG.debug("nothing was dropped: WConfD is away", job=job)
        if job not in self._attended:  # else its process finds out first, and is seen off
            self._let_go(job)

    def _let_go(self, job: JobId) -> None:
        """Have removed what only a process of the job needs, or one that comes after it."""
        self._over.append(job)
        self._some_over.set()

    async def _remove_files(self) -> None:
        """Remove the files of jobs that are over, of many at once; a restart sees to the rest."""
        while True:
            await self._some_over.wait()
            await trio.sleep(REMOVE_SECONDS)
            over, self._over, self._some_over = self._over, [], trio.Event()
            await self._remove(over)

    async def _remove(self, jobs: Iterable[JobId]) -> None:
        await self.env.files.remove_all(path for job in jobs for path in self._files(job))

    def _files(self, job: JobId) -> tuple[Path, ...]:
        paths = self.env.paths
        return self._path(job), paths.step_journal(job), paths.farewell(job)

    async def _sweep(self, nursery: trio.Nursery) -> None:
        """Remove what is left of jobs that were over before an earlier LuxiD could do so."""
        names: set[str] = set()
        for folder in (self.env.paths.step_journals, self.env.paths.sockets):
            names.update(await self.env.files.list(folder))
        found = {JobId(int(match[1])) for match in map(_JOB_FILE.fullmatch, names) if match}
        for job in sorted(found - {*self.store.head.active}):
            nursery.start_soon(self._end_late, job)

    async def _end_late(self, job: JobId) -> None:
        """End a process that was not told any more that its job's end is committed."""
        child = await self._find(job)
        if child is not None:
            LOG.info("ended late", job=job, pid=child.pid)
            child.kill()
            await self._see_off(child)
        await self._remove((job,))

    # --- the life of an attempt ------------------------------------------------------------------

    def _path(self, job: JobId) -> Path:
        return self.env.paths.socket(socket_name(job))

    def _current(self, job: JobId, attempt: Attempt) -> Entry | None:
        """Return the queue's entry as long as this attempt counts."""
        entry = self.store.committed.entry(job)
        if entry is None or entry.closed or entry.attempt != attempt:
            return None
        return entry

    def _is_over(self, job: JobId) -> bool:
        entry = self.store.committed.entry(job)
        return entry is None or entry.closed

    async def _commit(self, *events: Happening) -> None:
        """Have the queue decide, however long the journal can not be written."""
        while True:
            try:
                await self.store.do(*events, patient=True)
            except GenericError as error:
                LOG.error("waiting for the disk", reason=str(error))
                await trio.sleep(DISK_RETRY_SECONDS)
            else:
                return

    async def _begin(self, job: JobId, attempt: Attempt) -> None:
        attended = self._attended[job] = Attended(job, attempt, is_new=True)
        await self.mirror.named()
        entry = self.store.head.entry(job)
        if job in self._left or (entry is not None and entry.waits_for_a_person):
            self._left.discard(job)
            await trio.sleep(ASK_AGAIN_SECONDS)
        made = await self._make(SpawnRequest(job, attempt, str(self._path(job))))
        if isinstance(made, NotSpawned):
            LOG.error("no process", job=job, attempt=attempt, reason=made.reason)
            del self._attended[job]
            await self._commit(NotStarted(job, attempt, made.reason, self.store.now()))
            return
        attended.child = made
        await self._attend(attended, made)

    async def _make(self, request: SpawnRequest) -> Child | NotSpawned:
        while True:
            try:
                return await self.launcher.spawn(request)
            except ConnectionLost:
                found = await self._find(request.job)  # it may have been made all the same
                if found is not None:
                    return found

    async def _adopt(self, job: JobId, attempt: Attempt) -> None:
        attended = self._attended[job] = Attended(job, attempt)
        child = await self._find(job)
        if child is None:
            LOG.warning("a job's process is gone", job=job, attempt=attempt)
            del self._attended[job]
            await self._end(attended)
            return
        LOG.info("adopted", job=job, attempt=attempt, pid=child.pid)
        attended.child = child
        await self.store.shown.passed()  # what is not shown yet is no reason to let it go
        await self._attend(attended, child)

    async def _find(self, job: JobId) -> Child | None:
        """Find the process that listens on a job's socket.

        It is spoken with first: before it has reached its own code the socket still names the
        fork server as the listener.
        """
        while True:
            try:
                async with connect(JOB_PROCESS, self.env.network, self._path(job)) as remote:
                    await _assigned(remote)
                    return await self.launcher.adopt(self._path(job))
            except (ConnectionLost, ServiceError):
                if await self._refuses(job):
                    return None
            await trio.sleep(RETRY_SECONDS)

    async def _refuses(self, job: JobId) -> bool:
        """Whether nobody listens on a job's socket."""
        try:
            stream = await self.env.network.connect_unix(self._path(job))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            return False
        await trio.aclose_forcefully(stream)
        return False

    async def _attend(self, attended: Attended, child: Child) -> None:
        job, attempt = attended.job, attended.attempt
        if attended.kill:
            child.kill()
        try:
            while self._current(job, attempt) is not None:
                try:
                    with trio.CancelScope() as attended.conversation:
                        await self._converse(attended)
                except (ConnectionLost, ServiceError) as error:
                    LOG.debug("no conversation", job=job, attempt=attempt, reason=str(error))
                finally:
                    attended.remote = None
                if self._current(job, attempt) is not None and await self._is_dead(job, child):
                    await self._bury(attended, child)
        finally:
            self.at_work.forget(job)
            await self._see_off(child)
            if self._attended.get(job) is attended:
                del self._attended[job]
                if self._is_over(job):
                    self._let_go(job)

    async def _note(self, attended: Attended, happening: Happening) -> None:
        """Commit what was heard of a process, which the queue may not know of yet."""
        child = attended.child
        if attended.noted or attended.is_new or child is None:  # new: it can not have its work
            await self._commit(happening)
        else:
            attended.noted = True
            await self._commit(Started(attended.job, attended.attempt, child.pid), happening)

    async def _converse(self, attended: Attended) -> None:
        """Give a process its work and commit what it says, until it leaves."""
        job, attempt = attended.job, attended.attempt
        async with connect(JOB_PROCESS, self.env.network, self._path(job)) as remote:
            at_work = await self._is_at_work(remote, attended)
            epoch = await self.mirror.named()
            attended.remote = remote  # from now on it hears of what changes
            await self._repeat(remote, attended, at_work=at_work)
            entry = self._current(job, attempt)
            if entry is None:
                return
            after = entry.reported
            if at_work:
                said = await remote.events(after)
            else:
                said = await self._assign(remote, entry, epoch)
            while True:
                if said:
                    after = said[-1].number
                    self.at_work.hear(job, said)
                    await self._note(attended, Reported(job, attempt, said, self.store.now()))
                if self._current(job, attempt) is None:
                    break
                said = await remote.events(after)
            with trio.move_on_after(LEAVE_SECONDS_MAX):
                await remote.events(after)  # until it has heard that it may leave

    async def _repeat(self, remote: JobProcess, attended: Attended, *, at_work: bool) -> None:
        """Say again what the process may have missed while there was no connection.

        What else there is to know a process that is not ``at_work`` learns with its work.
        """
        entry = self._current(attended.job, attended.attempt)
        if at_work or not self._leased:
            await remote.set_lease(self._leased)
        if entry is None:
            return
        if at_work:
            if entry.cancel_wanted:
                await remote.cancel()
            await (remote.pause() if entry.paused else remote.resume())
            if entry.log_level is not None:
                await remote.set_log_level(entry.log_level)
            await remote.set_priority(entry.job.priority)
        for key, outcomes in entry.wanted.items():
            await remote.submitted(key, outcomes)
        for record in entry.records:
            if isinstance(record, Decided):
                await remote.decided(record)

    async def _is_at_work(self, remote: JobProcess, attended: Attended) -> bool:
        """Whether a process has its work."""
        known = None if attended.is_new else await _assigned(remote)
        attended.is_new = False
        if known not in (None, (attended.job, attended.attempt)) and attended.child is not None:
            attended.child.kill()
            raise ConnectionLost(f"the process works on {known}")
        return known is not None

    async def _assign(self, remote: JobProcess, entry: Entry, epoch: Epoch) -> tuple[Numbered, ...]:
        """Give a process its work and return what it says first."""
        work = assignment(entry, epoch, self.secrets.get(entry.id, ()))
        return await remote.assign(evolve(work, warnings=warnings(self.store, self.mirror)))

    async def _is_dead(self, job: JobId, child: Child) -> bool:
        if await self._refuses(job):
            return True
        with trio.move_on_after(RETRY_SECONDS):
            await child.ended()
            return True
        return False

    async def _bury(self, attended: Attended, child: Child) -> None:
        """Make sure that a process is dead, and have the queue decide what follows."""
        child.kill()
        await child.ended()
        LOG.warning("died", job=attended.job, attempt=attended.attempt, pid=child.pid)
        await self._end(attended)

    async def _end(self, attended: Attended) -> None:
        """Have the queue decide what follows from the end of a process."""
        job, attempt = attended.job, attended.attempt
        try:
            left = int(await self.env.files.read(self.env.paths.farewell(job)))
        except (FileNotFoundError, ValueError):
            left = NO_ATTEMPT
        blameless = left == attempt
        if blameless:
            self._left.add(job)
        await self._note(attended, Died(job, attempt, self.store.now(), blameless=blameless))

    async def _see_off(self, child: Child) -> None:
        """Watch a process leave whose job is over; kill it if it stays."""
        try:
            with trio.move_on_after(LEAVE_SECONDS_MAX) as patience:
                await child.ended()
            if patience.cancelled_caught:
                child.kill()
        finally:
            child.close()


def _living(entry: Entry) -> LivingJob:
    """Name an unfinished job, with what it is known to hold."""
    owner, holds = LockOwner(entry.id, entry.attempt), entry.holds
    return LivingJob(owner) if holds is None else LivingJob(owner, holds.locks, holds.reserved)


async def _assigned(remote: JobProcess) -> tuple[JobId, Attempt] | None:
    """Return what a process works on, if it has been told."""
    try:
        return await remote.assignment()
    except NotAssigned:
        return None
