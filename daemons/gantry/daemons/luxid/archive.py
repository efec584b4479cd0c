"""What LuxiD does with the archive.

Nothing of it is held in memory, and a long history is gone through part by part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Final

from attrs import frozen

from gantry.core.query.live import LiveData
from gantry.core.query.slices import parts
from gantry.core.queue.state import Queue
from gantry.protocols.codec import Malformed
from gantry.protocols.identity import JobId
from gantry.protocols.job_archive import ArchivedJob
from gantry.protocols.job_course import JobCourse
from gantry.protocols.jobs import Job, load_job
from gantry.runtime.environment import Environment
from gantry.runtime.job_archive import (
    FOLDER_JOBS,
    archive_folders,
    archived_jobs,
    archived_path,
    put_into_archive,
    read_course,
)
from gantry.runtime.logs import Log

PART_JOBS: Final = 200
"""How many jobs of a history are in memory at once."""

LOG: Final = Log("luxid.archive")


@frozen
class Archive:
    """The archive's folders and files."""

    env: Environment

    async def put(self, jobs: Sequence[ArchivedJob]) -> None:
        """Write the files of some jobs, all or some of them.

        Raises:
            OSError: one could not be written.
        """
        await put_into_archive(self.env, jobs)

    async def has(self, job: JobId) -> bool:
        """Whether a job's file is there."""
        return await self.env.files.exists(archived_path(self.env, job))

    async def read(self, jobs: Iterable[JobId]) -> dict[JobId, Job]:
        """Read archived jobs; those that are not there are missing."""
        found: dict[JobId, Job] = {}
        for job in jobs:
            try:
                found[job] = load_job(await self.env.files.read(archived_path(self.env, job)))
            except FileNotFoundError:
                continue
            except (OSError, Malformed) as error:
                LOG.warning("an archived job can not be read", job=job, reason=str(error))
        return found

    async def courses(self, jobs: Iterable[JobId]) -> dict[JobId, JobCourse]:
        """Read what archived jobs have gone through, as far as that was kept."""
        found: dict[JobId, JobCourse] = {}
        for job in jobs:
            try:
                course = await read_course(self.env, job)
            except (OSError, Malformed) as error:
                LOG.warning("a job's course can not be read", job=job, reason=str(error))
            else:
                if course is not None:
                    found[job] = course
        return found

    async def history(self, queue: Queue, *, courses: bool) -> AsyncGenerator[LiveData, None]:
        """Yield the ids of all jobs there ever were, in order and in parts."""
        queued: defaultdict[int, set[JobId]] = defaultdict(set)
        for job in queue.entries:
            queued[job // FOLDER_JOBS].add(job)
        for folder in sorted({*await archive_folders(self.env), *queued}):
            ids = sorted(queued[folder] | await archived_jobs(self.env, folder))
            for part in parts(ids, PART_JOBS):
                archived = [job for job in part if job not in queued[folder]]
                found = await self.courses(archived) if courses else {}
                yield LiveData(archived=await self.read(archived), courses=found, among=part)
