"""The archive: files of jobs that have left the queue, ten thousand to a folder, as in Ganeti.

It is on the master and on the candidates that follow its queue. Where a snapshot of the queue was
installed, files of jobs that were archived before it may be missing: that is the archive's *gap*,
which stands in a file until somebody has closed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from gantry.protocols.codec import Malformed, dump, from_bytes, load, to_bytes
from gantry.protocols.identity import JobId
from gantry.protocols.job_archive import ArchivedFile, ArchivedJob
from gantry.protocols.job_course import NOTHING_YET, JobCourse
from gantry.protocols.jobs import dump_job
from gantry.protocols.records import Index
from gantry.runtime.environment import Environment

FOLDER_JOBS: Final = 10_000
"""How many jobs share one folder (Ganeti's JOBS_PER_ARCHIVE_DIRECTORY)."""

MESSAGE_BYTES: Final = 1024 * 1024
"""A message of files is full with this: it takes a moment, and little memory on both sides."""

MESSAGE_FILES_MAX: Final = 100
"""Each is flushed where it is written."""

GAP_FILE: Final = "queue.archive-gap"

JOB_FILE: Final = re.compile(r"job-([1-9][0-9]*)")


def archived_path(env: Environment, job: JobId) -> Path:
    """Return where the file of an archived job is."""
    return archive_folder(env, job // FOLDER_JOBS) / f"job-{job}"


def course_path(env: Environment, job: JobId) -> Path:
    """Return where the course of an archived job is: job files are Ganeti's, and have none."""
    return archive_folder(env, job // FOLDER_JOBS) / f"course-{job}"


def archive_folder(env: Environment, folder: int) -> Path:
    """Return where the files of ten thousand jobs are."""
    return env.paths.queue / "archive" / str(folder)


async def archive_folders(env: Environment) -> tuple[int, ...]:
    """Return the numbers of the folders that there are, in order."""
    names = await env.files.list(env.paths.queue / "archive")
    return tuple(sorted(int(name) for name in names if name.isascii() and name.isdigit()))


async def archived_jobs(env: Environment, folder: int) -> set[JobId]:
    """Return the jobs whose files are in a folder."""
    names = await env.files.list(archive_folder(env, folder))
    return await env.offload(lambda: job_files(names))


def job_files(names: Iterable[str]) -> set[JobId]:
    """Return the numbers of the jobs whose files are among these names."""
    return {JobId(int(match[1])) for match in map(JOB_FILE.fullmatch, names) if match}


# --- jobs that leave the queue here --------------------------------------------------------------


async def put_into_archive(env: Environment, jobs: Sequence[ArchivedJob]) -> None:
    """Write the files of some jobs, all or some of them; a file that is there is replaced.

    Raises:
        OSError: one could not be written.
    """
    contents: dict[Path, bytes] = {}
    for each in jobs:
        if each.course != NOTHING_YET:
            contents[course_path(env, each.job.id)] = to_bytes(dump(each.course))
        contents[archived_path(env, each.job.id)] = dump_job(each.job)
    await _write(env, contents)


async def read_course(env: Environment, job: JobId) -> JobCourse | None:
    """Return what an archived job has gone through; ``None``: that was not kept.

    Raises:
        OSError: it could not be read.
        Malformed: it is of an unknown form.
    """
    try:
        return load(JobCourse, from_bytes(await env.files.read(course_path(env, job))))
    except FileNotFoundError:
        return None


async def _write(env: Environment, placed: dict[Path, bytes]) -> None:
    for folder in {path.parent for path in placed}:
        await env.files.make_folder(folder)
    # Daemons that start do not look through the archive, which may be large.
    await env.files.write_all(placed, by_way_of=env.paths.queue)


# --- files that come from elsewhere --------------------------------------------------------------


async def read_archived(env: Environment, jobs: Sequence[JobId]) -> tuple[ArchivedFile, ...]:
    """Return the files of the first of these jobs, as many as make a message; one at least.

    Raises:
        OSError: one could not be read.
        UnicodeDecodeError: one holds no text.
    """
    found: list[ArchivedFile] = []
    size = 0
    for job in jobs[:MESSAGE_FILES_MAX]:
        try:
            content = (await env.files.read(archived_path(env, job))).decode()
        except FileNotFoundError:
            found.append(ArchivedFile(job, None))
            continue
        try:
            course = (await env.files.read(course_path(env, job))).decode()
        except FileNotFoundError:
            course = None
        found.append(ArchivedFile(job, content, course))
        size += len(content) + len(course or "")
        if size >= MESSAGE_BYTES:
            break
    return tuple(found)


async def write_archived(env: Environment, files: Sequence[ArchivedFile]) -> None:
    """Write files that another candidate had.

    Raises:
        OSError: one could not be written.
    """
    there: dict[Path, bytes] = {}
    for file in files:
        if file.course is not None:
            there[course_path(env, file.job)] = file.course.encode()
        if file.content is not None:
            there[archived_path(env, file.job)] = file.content.encode()
    await _write(env, there)


# --- the gap -------------------------------------------------------------------------------------


@frozen
class _Gap:
    """What the gap's file holds."""

    through: Index


async def open_gap(env: Environment, through: Index) -> None:
    """Note that files of jobs may be missing that were archived up to a record.

    Raises:
        OSError: the disk failed.
    """
    await env.files.write(env.paths.data / GAP_FILE, to_bytes(dump(_Gap(through))))


async def read_gap(env: Environment) -> Index | None:
    """Return up to which record files may be missing; ``None``: none is.

    Raises:
        OSError: the disk failed.
    """
    try:
        return load(_Gap, from_bytes(await env.files.read(env.paths.data / GAP_FILE))).through
    except FileNotFoundError:
        return None
    except Malformed:  # written by nobody who is known here: what it means is not known either
        return Index(0)


async def close_gap(env: Environment, through: Index) -> None:
    """Note that nothing is missing any more of what was archived up to a record.

    Raises:
        OSError: the disk failed.
    """
    gap = await read_gap(env)
    if gap is not None and gap <= through:
        await env.files.remove(env.paths.data / GAP_FILE)
