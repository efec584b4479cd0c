"""What master candidates say to each other about the files of archived jobs.

The queue's stream knows of a job that has left it how it ended, and no more. A candidate that
follows the stream derives the job's file before it forgets the job; one that got a snapshot
lacks the files of jobs that were archived before, and gets them in the background.
"""

from __future__ import annotations

from typing import Final, Protocol

from attrs import field, frozen

from gantry.protocols.errors import StaleEpoch
from gantry.protocols.identity import Epoch, JobId
from gantry.protocols.job_course import NOTHING_YET, JobCourse
from gantry.protocols.jobs import Job
from gantry.protocols.noded import StepFailed
from gantry.protocols.records import Index
from gantry.protocols.service import Service, raises


@frozen
class ArchivedJob:
    """A job that leaves the queue, and what it has gone through."""

    job: Job
    course: JobCourse = NOTHING_YET


@frozen
class ArchivedFile:
    """The file of an archived job, as it is on the disk, and that of its course."""

    job: JobId
    content: str | None = field(repr=False)
    """``None``: it is not there."""
    course: str | None = field(default=None, repr=False)
    """``None``: there is none."""


class JobArchive(Protocol):
    """The archive of a master candidate, beside the NodeD protocol and like it.

    Only master candidates may call it. Everything may be repeated.
    """

    @raises(StepFailed)
    async def archive_gap(self) -> Index | None:
        """Return the record up to which files may be missing, if a snapshot has brought a gap."""

    @raises(StepFailed)
    async def archive_folders(self) -> tuple[int, ...]:
        """Return the numbers of the archive's folders, each of ten thousand jobs."""

    @raises(StepFailed)
    async def archived_jobs(self, folder: int) -> tuple[JobId, ...]:
        """Return the jobs whose files are in a folder."""

    @raises(StepFailed)
    async def read_archived(self, jobs: tuple[JobId, ...]) -> tuple[ArchivedFile, ...]:
        """Return the files of the first of these jobs, as many as make a message."""

    @raises(StaleEpoch, StepFailed)
    async def write_archived(self, epoch: Epoch, files: tuple[ArchivedFile, ...]) -> None:
        """Put files into the archive; those that are there are replaced."""

    @raises(StaleEpoch, StepFailed)
    async def close_archive_gap(self, epoch: Epoch, through: Index) -> None:
        """Take note that no file is missing any more; a later snapshot's gap stays open."""


JOB_ARCHIVE: Final = Service(JobArchive)
