"""A job's own step journal: flushed here before anything acts, then handed to LuxiD.

LuxiD commits the records to the queue; until it has, this file is the only place where they
are. A later attempt merges both: the queue's records and those that the queue never heard of.
LuxiD removes the file when the job is over, since the process may die just before it could.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import define

from gantry.protocols.identity import Epoch, JobId
from gantry.protocols.steps import StepRecord, dump_record, load_record
from gantry.runtime.environment import Environment
from gantry.runtime.journal import Journal


@define
class StepJournal:
    """The step records of a job, those of earlier attempts included."""

    _journal: Journal
    known: list[StepRecord]

    async def add(self, *records: StepRecord) -> None:
        """Make records durable.

        Raises:
            gantry.runtime.journal.AppendFailed: no space, or a broken disk.
        """
        await self._journal.append([dump_record(record) for record in records])
        self.known.extend(records)


@asynccontextmanager
async def opened(
    env: Environment, job: JobId, epoch: Epoch, committed: Sequence[StepRecord]
) -> AsyncIterator[StepJournal]:
    """Open a job's journal and merge it with what LuxiD has committed of it.

    Raises:
        gantry.protocols.records.CorruptRecord: the file is damaged.
    """
    path = env.paths.step_journal(job)
    await env.files.make_folder(path.parent)
    journal, found = await Journal.open(env.files, path, epoch)
    local = [load_record(record.payload) for record in found]
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        opened_journal = StepJournal(journal, local)
        # Every record is flushed here before LuxiD hears of it, so this file is never behind,
        # unless it was lost with its disk or its master: then the queue's records are all.
        if len(local) < len(committed):
            await opened_journal.add(*committed[len(local) :])
        yield opened_journal
        nursery.cancel_scope.cancel()
