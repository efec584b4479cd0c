"""LUXI's calls about jobs: submit, wait, cancel, pause, archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

import trio
from attrs import frozen

from gantry.core.query.older import job_values
from gantry.core.query.slices import parts
from gantry.core.queue.happenings import (
    Accepted,
    Answer,
    Archive,
    Asked,
    Cancel,
    ChangePriority,
    Decide,
    Refused,
    Said,
    SetDrained,
    SetLogLevel,
    SetPaused,
    SetQueuePaused,
    Submit,
)
from gantry.core.queue.machine import may_archive
from gantry.core.queue.state import Entry
from gantry.core.queue.submission import Opcodes, check, sending_of
from gantry.core.queue.transitions import moment
from gantry.daemons.luxid.calls import Calls
from gantry.operations.registry import is_available
from gantry.protocols.codec import Json, dump, from_bytes, to_bytes
from gantry.protocols.errors import GenericError, JobLost
from gantry.protocols.identity import JobId, job_id_of
from gantry.protocols.job_archive import ArchivedJob
from gantry.protocols.jobproc import LogLevel
from gantry.protocols.jobs import Choice, Job, log_entry_to_json
from gantry.protocols.luxi import WAIT_SECONDS_MAX, OpcodeJson
from gantry.runtime.nursery import open_plain_nursery

CANCEL_SECONDS_MAX: Final = 44
"""How long CancelJob waits for a waiting job to end, as in Ganeti (LUXI_CANCEL_JOB_TIMEOUT)."""

CHECKED_AT_ONCE: Final = 10
"""Jobs whose opcodes are parsed in one go: about a millisecond."""

SEEN_AT_ONCE: Final = 1_000
"""Jobs of which the age is looked at in one go: about a millisecond."""

ARCHIVE_BATCH: Final = 50
"""Jobs that are archived at once, so that they share flushes."""


@frozen
class JobCalls(Calls):
    """The calls that change the queue, and the one that waits for it to change."""

    # --- submission ------------------------------------------------------------------------------

    async def submit_job(self, ops: tuple[OpcodeJson, ...]) -> int:
        """Queue a job."""
        return await self._submit_one("SubmitJob", ops, though_drained=False)

    async def submit_job_to_drained_queue(self, ops: tuple[OpcodeJson, ...]) -> int:
        """Queue a job even though the queue is drained."""
        return await self._submit_one("SubmitJobToDrainedQueue", ops, though_drained=True)

    async def submit_many_jobs(
        self, jobs: tuple[tuple[OpcodeJson, ...], ...]
    ) -> tuple[tuple[bool, int | str], ...]:
        """Queue several jobs."""
        accepted = await self._submit("SubmitManyJobs", jobs, though_drained=False)
        return tuple((isinstance(each, int), each) for each in accepted.jobs)

    async def _submit_one(
        self, method: str, ops: tuple[OpcodeJson, ...], *, though_drained: bool
    ) -> int:
        (job,) = (await self._submit(method, (ops,), though_drained=though_drained)).jobs
        if isinstance(job, str):
            raise GenericError(job)
        return job

    async def _submit(
        self, method: str, jobs: tuple[tuple[OpcodeJson, ...], ...], *, though_drained: bool
    ) -> Accepted:
        self.view()
        checked = await _checked(jobs)
        sending = sending_of(method, self.caller.user, self.caller.connection, jobs)
        store = self.parts.store
        event = Submit(checked, store.now(), sending, though_drained, store.old_through())
        answer = await store.do(event)
        if isinstance(answer, Refused):
            raise answer.error
        if not isinstance(answer, Accepted):
            raise AssertionError(f"a submission was answered with {answer!r}")
        return answer

    # --- waiting ---------------------------------------------------------------------------------

    async def wait_for_job_change(
        self,
        job_id: int | str,
        fields: tuple[str, ...],
        prev_job_info: Json,
        prev_log_serial: int | None,
        timeout: float,
    ) -> Json:
        """Wait until the fields or the log differ from what the caller knows."""
        if fields != ("status",):
            self.view()
        with trio.move_on_after(min(max(timeout, 0.0), WAIT_SECONDS_MAX)):
            return await self._next_change(job_id, fields, prev_job_info, prev_log_serial or 0)
        return [prev_job_info, []]

    async def _next_change(
        self, wanted: int | str, fields: tuple[str, ...], known: Json, log_serial: int
    ) -> Json:
        while True:
            job = self._job(wanted)
            values = from_bytes(to_bytes(job_values(job, fields, self.parts.at_work.inside)))
            log = _log_after(job, log_serial)
            if job.is_final or log or values != known:
                return [values, log]
            await self.parts.store.changes.wait(job.id)

    def _job(self, wanted: int | str) -> Job:
        number = job_id_of(wanted)
        job = None if number is None else self.queue().job(number)
        if job is None:
            raise JobLost("Can't load job file")
        return job

    # --- cancel and priority ---------------------------------------------------------------------

    async def cancel_job(self, job_id: int | str, kill: bool = False) -> tuple[bool, str]:  # noqa: FBT001, FBT002 - LUXI's arguments are positional
        """Cancel a job."""
        self.view()
        job = job_id_of(job_id)
        if job is None:
            return False, f"Job {job_id} not found in queue"
        event = Cancel(job, kill, self.parts.store.now())
        answer = await self.parts.store.do(event)
        return await self._how_it_ended(job) if isinstance(answer, Asked) else _said(answer)

    async def _how_it_ended(self, job: JobId) -> tuple[bool, str]:
        with trio.move_on_after(CANCEL_SECONDS_MAX):
            while True:
                found = self.queue().job(job)
                if found is None or found.is_final:
                    break
                await self.parts.store.changes.wait(job)
            status = self.queue().final_status(job)
            if status == "canceled":
                return True, f"Job {job} was cancelled"
            return False, f"Job {job} could not be cancelled any more: it ended as {status}"
        return False, f"Job {job} was told to stop and has not done so yet"

    async def decide_job(self, job_id: int | str, choice: Choice) -> tuple[bool, str]:
        """Answer what a job asks."""
        self.view()
        job = job_id_of(job_id)
        if job is None:
            return False, f"Job {job_id} not found in queue"
        return _said(await self.parts.store.do(Decide(job, choice)))

    async def query_questions(self) -> tuple[tuple[int, tuple[int, int], str], ...]:
        """Return what jobs ask."""
        self.view()
        queue = self.queue()
        asked = ((job, queue.entries[job].question) for job in sorted(queue.active))
        return tuple((job, moment(each.at), each.question) for job, each in asked if each)

    async def change_job_priority(self, job_id: int | str, priority: int) -> tuple[bool, str]:
        """Change the priority of a pending job."""
        self.view()
        job = job_id_of(job_id)
        if job is None:
            return False, f"Job {job_id} not found in queue"
        return _said(await self.parts.store.do(ChangePriority(job, priority)))

    async def pause_job(self, job_id: int | str) -> tuple[bool, str]:
        """Have a job stand still."""
        return await self._set_paused(job_id, paused=True)

    async def resume_job(self, job_id: int | str) -> tuple[bool, str]:
        """Let a paused job go on."""
        return await self._set_paused(job_id, paused=False)

    async def _set_paused(self, job_id: int | str, *, paused: bool) -> tuple[bool, str]:
        self.view()
        job = job_id_of(job_id)
        if job is None:
            return False, f"Job {job_id} not found in queue"
        return _said(await self.parts.store.do(SetPaused(job, paused, self.parts.store.now())))

    async def query_job_process(self, job_id: int | str) -> Json:
        """Return what a job's process says of itself."""
        self.view()
        job = job_id_of(job_id)
        if job is None:
            return None
        return dump(await self.parts.supervisor.ask(job, lambda remote: remote.status()))

    async def set_job_log_level(self, job_id: int | str, level: str) -> tuple[bool, str]:
        """Have a job's process log more, or as usual."""
        self.view()
        chosen = _log_level(level)
        if chosen is None:
            return False, f"{level!r} is no log level; there are info and debug"
        job = job_id_of(job_id)
        if job is None:
            return False, f"Job {job_id} not found in queue"
        return _said(await self.parts.store.do(SetLogLevel(job, chosen)))

    async def set_queue_pause(self, flag: bool) -> bool:  # noqa: FBT001 - LUXI's arguments are positional
        """Let no job begin, or let jobs begin again."""
        self.view()
        await self.parts.store.do(SetQueuePaused(flag))
        return True

    async def pickup_job(self, job_id: int | str) -> None:
        """Refuse."""
        self.view()
        raise GenericError(f"PickupJob (job {job_id}) is a call between Ganeti's own daemons")

    async def set_drain_flag(self, flag: bool) -> bool:  # noqa: FBT001 - LUXI's arguments are positional
        """Open or close the queue for new jobs."""
        self.view()
        await self.parts.store.do(SetDrained(flag))
        return True

    # --- the archive -----------------------------------------------------------------------------

    async def archive_job(self, job_id: int | str) -> bool:
        """Move a finished job to the archive."""
        self.view()
        job = job_id_of(job_id)
        entry = None if job is None else self.queue().entry(job)
        return entry is not None and await self._archive([entry]) == 1

    async def auto_archive_jobs(self, age: int, timeout: int) -> tuple[int, int]:
        """Archive finished jobs older than ``age`` seconds."""
        self.view()
        old = await self._older_than(age)
        archived, left, deadline = 0, len(old), trio.current_time() + timeout
        for batch in parts(old, ARCHIVE_BATCH):
            if trio.current_time() >= deadline:
                break
            archived += await self._archive(batch)
            left -= len(batch)
        return archived, left

    async def _older_than(self, age: int) -> list[Entry]:
        if age < 0:  # as in the reference: nothing, although clients mean everything
            return []
        queue, before = self.queue(), self.parts.store.now()[0] - age
        old: list[Entry] = []
        for part in parts(sorted(queue.entries), SEEN_AT_ONCE):
            for entry in map(queue.entries.__getitem__, part):
                time = entry.job.end_timestamp or entry.job.start_timestamp
                if may_archive(entry) and time and time[0] < before:
                    old.append(entry)
            await trio.lowlevel.checkpoint()
        return old

    async def _archive(self, entries: Sequence[Entry]) -> int:
        """Put the files into the archive first: at no moment a job is nowhere."""
        ready = [entry for entry in entries if may_archive(entry)]
        try:
            await self.parts.archive.put([ArchivedJob(each.job, each.course) for each in ready])
        except OSError as error:
            ids = ", ".join(str(entry.id) for entry in ready)
            raise GenericError(f"can not be archived: job {ids}: {error}") from error
        done: list[JobId] = []

        async def leave(job: JobId) -> None:
            if _said(await self.parts.store.do(Archive(job)))[0]:
                done.append(job)

        async with open_plain_nursery() as nursery:  # together, so that they share a flush
            for entry in ready:
                nursery.start_soon(leave, entry.id)
        await self.parts.files.remove_live(done)
        return len(done)


async def _checked(jobs: tuple[tuple[OpcodeJson, ...], ...]) -> tuple[Opcodes, ...]:
    """Parse the opcodes of all jobs; others get a turn in between."""
    checked: list[Opcodes] = []
    for part in parts(jobs, CHECKED_AT_ONCE):
        if checked:
            await trio.lowlevel.checkpoint()
        checked += [check(ops, is_available) for ops in part]
    return tuple(checked)


def _log_level(word: str) -> LogLevel | None:
    match word:
        case "info" | "debug":
            return word
        case _:
            return None


def _log_after(job: Job, serial: int) -> list[Json]:
    entries = (entry for op in job.ops for entry in op.log)
    return [log_entry_to_json(entry) for entry in entries if entry.serial > serial]


def _said(answer: Answer) -> tuple[bool, str]:
    match answer:
        case Said(success, text):
            return success, text
        case None | Accepted() | Refused() | Asked():
            raise AssertionError(f"the queue answered with {answer!r}")
    assert_never(answer)
