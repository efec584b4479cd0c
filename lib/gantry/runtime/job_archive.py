"""Where the files of archived jobs are: on the master, and on candidates that follow its queue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gantry.protocols.identity import JobId
from gantry.protocols.jobs import Job, dump_job
from gantry.runtime.environment import Environment

FOLDER_JOBS: Final = 10_000
"""How many jobs share one folder (Ganeti's JOBS_PER_ARCHIVE_DIRECTORY)."""


def archived_path(env: Environment, job: JobId) -> Path:
    """Return where the file of an archived job is."""
    return env.paths.queue / "archive" / str(job // FOLDER_JOBS) / f"job-{job}"


async def put_into_archive(env: Environment, jobs: Sequence[Job]) -> None:
    """Write the files of some jobs, all or some of them; a file that is there is replaced.

    Raises:
        OSError: one could not be written.
    """
    contents = {archived_path(env, job.id): dump_job(job) for job in jobs}
    for folder in {path.parent for path in contents}:
        await env.files.make_folder(folder)
    await env.files.write_all(contents)
