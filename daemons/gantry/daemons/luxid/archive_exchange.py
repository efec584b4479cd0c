"""Closes the gaps in the archives of the master and of the other candidates.

An archive has a gap where a snapshot of the queue was installed: files of jobs that were archived
before may be missing there. Folder by folder the names in two archives are compared, and what one
lacks is brought over in messages of bounded size. Nothing is remembered on the way: whoever
begins again compares again, and goes on with what is still missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol, TypeVar

import trio
from attrs import define, field

from gantry.protocols.errors import ConnectionLost, GantryError, ServiceError
from gantry.protocols.identity import Epoch, JobId, NodeUuid
from gantry.protocols.job_archive import ArchivedFile, JobArchive
from gantry.protocols.records import Index
from gantry.runtime.environment import Environment
from gantry.runtime.job_archive import (
    MESSAGE_FILES_MAX,
    archive_folders,
    archived_jobs,
    close_gap,
    read_archived,
    read_gap,
    write_archived,
)
from gantry.runtime.logs import Log

T = TypeVar("T")

AGAIN_SECONDS: Final = 10.0
"""A candidate that did not answer is asked again after this time."""

ASK_SECONDS_MAX: Final = 30.0
"""Names of ten thousand files, or a message of files: a slow disk needs some seconds for it."""

LOG: Final = Log("luxid.archive")


class Archives(Protocol):
    """The way to the archives of other nodes: what NodeLinks have."""

    async def ask_archive(
        self,
        node: NodeUuid,
        question: Callable[[JobArchive], Awaitable[T]],
        deadline_seconds: float,
    ) -> T:
        """Ask a node's archive something.

        Raises:
            ServiceError: the node's answer.
            ConnectionLost: there was none.
        """


@define
class ArchiveExchange:
    """Keeps the archives whole. :meth:`run` runs as long as LuxiD does."""

    _env: Environment
    _epoch: Epoch
    _archives: Archives
    _others: Callable[[], Collection[NodeUuid]]
    """The other voters, as of now."""
    _due: set[NodeUuid] = field(factory=set, init=False)
    _taken_from: set[NodeUuid] = field(factory=set, init=False)
    """Who has given our own archive, which has a gap, all that it has."""
    _given: dict[NodeUuid, Index] = field(factory=dict, init=False)
    """Who has got all that our archive has, and with which gap."""
    _news: trio.Event = field(factory=trio.Event, init=False)

    def see_to(self, candidate: NodeUuid) -> None:
        """Look soon whether a candidate's archive has a gap."""
        self._due.add(candidate)
        self._news.set()

    async def run(self) -> None:
        """Look at all candidates, then at those whose archive may have got a gap."""
        self._due.update(self._others())
        while True:
            await self._round()
            with trio.move_on_after(AGAIN_SECONDS if self._due else float("inf")):
                await self._news.wait()
            self._news = trio.Event()

    async def _round(self) -> None:
        for candidate in sorted(self._due & {*self._others()}):
            self._due.discard(candidate)
            try:
                is_whole = await self._exchange(candidate)
            except (ConnectionLost, ServiceError, GantryError, OSError) as error:
                LOG.debug("archive not compared", candidate=candidate, reason=str(error))
                is_whole = False
            if not is_whole:
                self._due.add(candidate)

    async def _exchange(self, candidate: NodeUuid) -> bool:
        """Close the gaps here and there; say whether there is none any more."""
        ours = await read_gap(self._env)
        theirs = await self._ask(candidate, lambda archive: archive.archive_gap())
        if ours is not None:
            await self._fetch_all(candidate)
            await self._close_ours(ours)
        if theirs is None:
            return ours is None
        if self._given.get(candidate) != theirs:
            await self._send_all(candidate)
            self._given[candidate] = theirs
        if await read_gap(self._env) is not None:
            return False  # what we lack ourselves may be what they lack
        await self._ask(candidate, lambda archive: archive.close_archive_gap(self._epoch, theirs))
        LOG.info("the archive of a candidate is whole", candidate=candidate)
        return True

    async def _close_ours(self, gap: Index) -> None:
        """Close our gap if all others have given what they have."""
        if {*self._others()} <= self._taken_from:
            await close_gap(self._env, gap)
            LOG.info("the archive is whole")

    async def _fetch_all(self, candidate: NodeUuid) -> None:
        if candidate in self._taken_from:
            return
        for folder in await self._ask(candidate, lambda archive: archive.archive_folders()):
            wanted = await self._names(candidate, folder) - await archived_jobs(self._env, folder)
            left = sorted(wanted)
            while left:
                files = await self._read(candidate, tuple(left[:MESSAGE_FILES_MAX]))
                await write_archived(self._env, files)
                del left[: max(1, len(files))]
        self._taken_from.add(candidate)
        self._given.clear()

    async def _send_all(self, candidate: NodeUuid) -> None:
        for folder in await archive_folders(self._env):
            lacking = await archived_jobs(self._env, folder) - await self._names(candidate, folder)
            left = sorted(lacking)
            while left:
                files = await read_archived(self._env, left)
                await self._write(candidate, files)
                del left[: len(files)]

    # --- questions -------------------------------------------------------------------------------

    async def _names(self, candidate: NodeUuid, folder: int) -> set[JobId]:
        return {*await self._ask(candidate, lambda archive: archive.archived_jobs(folder))}

    async def _read(self, candidate: NodeUuid, jobs: tuple[JobId, ...]) -> tuple[ArchivedFile, ...]:
        return await self._ask(candidate, lambda archive: archive.read_archived(jobs))

    async def _write(self, candidate: NodeUuid, files: tuple[ArchivedFile, ...]) -> None:
        await self._ask(candidate, lambda archive: archive.write_archived(self._epoch, files))

    async def _ask(self, candidate: NodeUuid, question: Callable[[JobArchive], Awaitable[T]]) -> T:
        return await self._archives.ask_archive(candidate, question, ASK_SECONDS_MAX)
