"""A job's own step journal: on this disk before a step acts, and handed to LuxiD meanwhile.

LuxiD commits the records to the queue. Until it has, this file may be the only place where they
are; until the flush here is over, the queue may be. A later attempt merges both. LuxiD removes
the file when the job is over, since the process may die just before it could.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

import trio
from attrs import define, field

from gantry.protocols.identity import Epoch, JobId
from gantry.protocols.records import came_to_nothing
from gantry.protocols.steps import StepRecord, dump_record, load_record
from gantry.runtime.environment import Environment
from gantry.runtime.journal import AppendFailed, Durable, Failed, Journal

BEHIND_SECONDS: Final = 0.5
"""LuxiD makes a job's last record durable sooner than that; if it is away, this file does."""


@define
class StepJournal:
    """The step records of a job, those of earlier attempts included."""

    _journal: Journal
    _nursery: trio.Nursery
    known: list[StepRecord]
    is_whole: bool = True
    """Whether all that was begun is in it; a new master has only what was committed."""
    unheard: Sequence[StepRecord] = ()
    """What LuxiD did not know of earlier attempts when this one began."""
    _written: int = field(init=False)
    """How many of the known records are in the file, or in line for it."""
    _is_due: bool = field(default=False, init=False)
    """Whether a task waits for its time to write what was noted."""

    def __attrs_post_init__(self) -> None:
        self._written = len(self.known)

    def note(self, *records: StepRecord) -> None:
        """Keep records for the next flush: that of :meth:`add`, or one a moment later."""
        self.known.extend(records)
        if not self._is_due:
            self._is_due = True
            self._nursery.start_soon(self._write_behind)

    async def _write_behind(self) -> None:
        """Write what was noted if nothing else does."""
        await trio.sleep(BEHIND_SECONDS)
        self._is_due = False
        if self._written < len(self.known):
            await self._write()

    async def add(self, *records: StepRecord) -> None:
        """Make records durable, and all that were noted before.

        Raises:
            gantry.runtime.journal.AppendFailed: no space, or a broken disk.
        """
        self.known.extend(records)
        outcome = await self._write()
        if isinstance(outcome, Failed):
            raise AppendFailed(outcome.reason)

    async def _write(self) -> Durable | Failed:
        first, self._written = self._written, len(self.known)
        outcomes: list[Durable | Failed] = []
        lines = [dump_record(record) for record in self.known[first:]]
        self._journal.submit(lines, outcomes.append)
        await self._journal.flush()
        if isinstance(outcomes[0], Failed):  # so the next flush has them in it, in their order
            self._written = min(self._written, first)
        return outcomes[0]


@asynccontextmanager
async def opened(
    env: Environment,
    nursery: trio.Nursery,
    job: JobId,
    epoch: Epoch,
    committed: Sequence[StepRecord],
) -> AsyncIterator[StepJournal]:
    """Open a job's journal and merge it with what LuxiD has committed of it.

    Args:
        env: the world.
        nursery: where what was noted is written a moment later.
        job: whose journal.
        epoch: the present reign.
        committed: the records that LuxiD knows.

    Raises:
        gantry.protocols.records.CorruptRecord: the file is damaged.
    """
    journal, found = await _open(env, job, epoch)
    async with aclosing(journal):
        unheard = [record for record in found if record not in committed]
        whole = bool(found or not committed)
        opened_journal = StepJournal(journal, nursery, found, whole, unheard)
        # What this file lacks was either under way when the process died, or the file was lost
        # with its disk or its master: then the queue's records are all there are.
        missing = [record for record in committed if record not in found]
        if missing:
            await opened_journal.add(*missing)
        yield opened_journal


async def _open(env: Environment, job: JobId, epoch: Epoch) -> tuple[Journal, list[StepRecord]]:
    path = env.paths.step_journal(job)
    try:
        data = await env.files.read(path)
    except FileNotFoundError:
        await env.files.make_folder(path.parent)
        return Journal.begin(env.files, path, epoch), []
    if not came_to_nothing(data):
        journal, records = await Journal.open(env.files, path, epoch)
        # What a former reign left here may have been taken back: its queue is not this one's.
        if all(record.epoch == epoch for record in records):
            return journal, [load_record(record.payload) for record in records]
    await env.files.remove(path)
    return Journal.begin(env.files, path, epoch), []
