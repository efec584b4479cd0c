"""The node's archive of jobs, for the candidate that compares it with its own."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from typing_extensions import override

from gantry.daemons.noded.failures import told
from gantry.protocols.identity import Epoch, JobId
from gantry.protocols.job_archive import ArchivedFile, JobArchive
from gantry.protocols.records import Index
from gantry.runtime import job_archive
from gantry.runtime.environment import Environment


@frozen
class ArchiveService(JobArchive):
    """What NodeD does with the archive on its node."""

    _env: Environment
    _check: Callable[[Epoch], None]
    """Raises StaleEpoch for a reign that is over."""

    @override
    async def archive_gap(self) -> Index | None:
        async with told():
            return await job_archive.read_gap(self._env)

    @override
    async def archive_folders(self) -> tuple[int, ...]:
        async with told():
            return await job_archive.archive_folders(self._env)

    @override
    async def archived_jobs(self, folder: int) -> tuple[JobId, ...]:
        async with told():
            return tuple(sorted(await job_archive.archived_jobs(self._env, folder)))

    @override
    async def read_archived(self, jobs: tuple[JobId, ...]) -> tuple[ArchivedFile, ...]:
        async with told():
            return await job_archive.read_archived(self._env, jobs)

    @override
    async def write_archived(self, epoch: Epoch, files: tuple[ArchivedFile, ...]) -> None:
        async with told():
            self._check(epoch)
            await job_archive.write_archived(self._env, files)

    @override
    async def close_archive_gap(self, epoch: Epoch, through: Index) -> None:
        async with told():
            self._check(epoch)
            await job_archive.close_gap(self._env, through)
