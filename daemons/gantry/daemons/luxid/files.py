"""Job files, serial, version, drain flag and archive, as Ganeti has them: derived from the queue.

They are written in the background, a second behind, so that a short job's file is written once.
They are never waited for, but in one case: a job leaves the queue for the archive only when its
file is there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

import attrs
import trio
from attrs import define, field

from gantry.core.queue.state import NO_ATTEMPT, NO_EVENT, NO_JOB, Queue
from gantry.core.queue.transitions import failed, moment
from gantry.daemons.luxid.archive import Archive
from gantry.daemons.luxid.store import touched
from gantry.protocols.codec import Malformed
from gantry.protocols.identity import JobId
from gantry.protocols.jobs import Job, dump_job, job_to_json, load_job
from gantry.protocols.queue_records import QueueRecord, QueueSnapshot, StoredEntry
from gantry.runtime.environment import Environment
from gantry.runtime.job_archive import job_files
from gantry.runtime.logs import Log

QUEUE_VERSION: Final = b"1\n"

BEHIND_SECONDS: Final = 1.0
"""How far the files may be behind the queue, as ``config.data`` is behind its journal."""

BATCH_JOBS: Final = 20
"""How many files are written at once: rendering them holds the event loop for some milliseconds."""

RETRY_SECONDS: Final = 5.0

LOG: Final = Log("luxid.files")


def live_path(env: Environment, job: JobId) -> Path:
    """Return where the file of a job in the queue is."""
    return env.paths.queue / f"job-{job}"


@define
class QueueFiles:
    """Writes the derived files of :attr:`queue`, coalescing changes."""

    env: Environment
    queue: Callable[[], Queue]
    """Gives the committed queue."""
    _dirty: set[JobId] = field(factory=set, init=False)
    _wake: trio.Event = field(factory=trio.Event, init=False)
    _disk: trio.Lock = field(factory=trio.Lock, init=False)
    _written: dict[str, bytes | None] = field(factory=dict, init=False)
    """What was last written into the small files; ``None``: removed."""

    def mark(self, jobs: Iterable[JobId]) -> None:
        """Note that the files of these jobs are out of date."""
        self._dirty.update(jobs)
        self._wake.set()

    def follow(self, records: tuple[QueueRecord, ...]) -> None:
        """Note what committed records change."""
        self.mark(job for record in records for job in touched(record))

    async def run(self) -> None:
        """Write what is out of date, until cancelled; then write it a last time."""
        try:
            while True:
                await self._wake.wait()
                await trio.sleep(BEHIND_SECONDS)
                self._wake = trio.Event()
                if not await self._try_to_flush():
                    await trio.sleep(RETRY_SECONDS)
                    self._wake.set()
        finally:
            with trio.CancelScope(shield=True):  # small files, bounded by the stop's own deadline
                await self._try_to_flush()

    async def _try_to_flush(self) -> bool:
        try:
            await self.flush()
        except OSError as error:
            LOG.error("job files can not be written", reason=str(error))
            return False
        return True

    async def flush(self) -> None:
        """Write everything that is out of date.

        Raises:
            OSError: a file could not be written; what is left stays out of date.
        """
        async with self._disk:
            queue = self.queue()
            await self._write_small(queue)
            while self._dirty:
                await self._write_jobs(sorted(self._dirty)[:BATCH_JOBS])

    async def _write_jobs(self, jobs: list[JobId]) -> None:
        queue = self.queue()
        self._dirty.difference_update(jobs)
        found = {job: queue.job(job) for job in jobs}
        contents = {live_path(self.env, job): dump_job(each) for job, each in found.items() if each}
        try:
            await self.env.files.write_all(contents)
        except BaseException:
            self._dirty.update(jobs)
            raise

    async def _write_small(self, queue: Queue) -> None:
        await self._write_if_changed("version", QUEUE_VERSION)
        await self._write_if_changed("serial", b"%d\n" % queue.serial)
        await self._write_if_changed("drain", b"" if queue.drained else None)

    async def _write_if_changed(self, name: str, data: bytes | None) -> None:
        if name in self._written and self._written[name] == data:
            return
        path = self.env.paths.queue / name
        if data is None:
            await self.env.files.remove(path)
        else:
            await self.env.files.write(path, data)
        self._written[name] = data

    # --- the archive -----------------------------------------------------------------------------

    async def remove_live(self, jobs: Collection[JobId]) -> None:
        """Remove the files of jobs that are not in the queue any more."""
        async with self._disk:
            self._dirty.difference_update(jobs)
            for job in jobs:
                await self.env.files.remove(live_path(self.env, job))

    async def sweep(self, archive: Archive) -> None:
        """Remove the files of archived jobs that an earlier LuxiD did not come to remove."""
        names = await self.env.files.list(self.env.paths.queue)
        left = await self.env.offload(lambda: job_files(names) - {*self.queue().entries})
        await self.remove_live([job for job in sorted(left) if await archive.has(job)])


# --- a queue that Ganeti has left ----------------------------------------------------------------


async def take_over(env: Environment) -> QueueSnapshot:
    """Return the queue that the job files make; without any, an empty one.

    Jobs that were at work are failed: their processes were another program's.
    """
    files, folder = env.files, env.paths.queue
    await files.make_folder(folder / "archive")
    now, entries, serial = moment(env.clock.now()), [], await _serial(env)
    for job in sorted(job_files(await files.list(folder))):
        try:
            found = load_job(await files.read(folder / f"job-{job}"))
        except Malformed as error:
            LOG.error("a job file can not be read and is left alone", job=job, reason=str(error))
            continue
        entries.append(_taken_over(found, now))
        serial = max(serial, found.id)
    drained = await files.exists(folder / "drain")
    return QueueSnapshot(serial, drained, tuple(entries), (), ())


async def _serial(env: Environment) -> JobId:
    try:
        return JobId(int(await env.files.read(env.paths.queue / "serial")))
    except (FileNotFoundError, ValueError):
        return NO_JOB


def _taken_over(job: Job, now: tuple[int, int]) -> StoredEntry:
    began = any(op.status != "queued" for op in job.ops)
    if began and not job.is_final:
        text = f"job {job.id} was at work when the queue was taken over"
        job = failed(job, now, text, text)
    job = attrs.evolve(job, livelock=None)
    return StoredEntry(
        job=job_to_json(job),
        attempt=NO_ATTEMPT,
        mode="run",
        roll_backs=0,
        has_process=False,
        reported=NO_EVENT,
        records=(),
        wanted=(),
        closed=job.is_final,
    )
