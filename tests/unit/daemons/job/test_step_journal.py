"""A job's step journal: what is durable when, and what a later attempt finds."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from gantry.daemons.job import step_journal
from gantry.daemons.job.step_journal import BEHIND_SECONDS, StepJournal
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.records import ORIGIN, SECTOR_BYTES, CorruptRecord, first_line
from gantry.protocols.steps import Done, Plan, Planned, Started, StepRecord, Undone
from gantry.runtime.environment import Environment
from gantry.runtime.journal import AppendFailed
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles, Operation, PowerLost

JOB = JobId(7)
PLANNED = Planned(0, Plan("OP_TEST_DELAY", 1, ()))
RECORDS: tuple[StepRecord, ...] = (
    PLANNED,
    Started(0, 0, Attempt(1)),
    Done(0, 0, "first"),
    Started(0, 1, Attempt(1)),
    Done(0, 1, None),
)


def machine() -> tuple[MemoryFiles, Environment]:
    files = MemoryFiles()
    env = memory_environment("node1.gnt.test", files)
    files.put_folder(env.paths.queue)
    return files, env


@asynccontextmanager
async def opened(
    env: Environment, job: JobId, epoch: Epoch, committed: Sequence[StepRecord]
) -> AsyncIterator[StepJournal]:
    """Be a job's process that has nothing but its journal."""
    async with open_plain_nursery() as nursery:
        async with step_journal.opened(env, nursery, job, epoch, committed) as journal:
            yield journal
        nursery.cancel_scope.cancel()


async def found(env: Environment, committed: Sequence[StepRecord] = ()) -> list[StepRecord]:
    async with opened(env, JOB, Epoch(1), committed) as journal:
        return [*journal.known]


async def write(env: Environment, acknowledged: list[StepRecord]) -> None:
    """Write all records as a job does; list those that a step could have relied on."""
    async with opened(env, JOB, Epoch(1), ()) as journal:
        journal.note(RECORDS[0])
        await journal.add(RECORDS[1])
        acknowledged += RECORDS[:2]
        journal.note(RECORDS[2])
        await journal.add(RECORDS[3])
        acknowledged += RECORDS[2:4]
        journal.note(RECORDS[4])


async def test_what_a_job_wrote_its_next_attempt_finds() -> None:
    _, env = machine()
    await write(env, [])
    assert await found(env) == [*RECORDS[:4]]


async def test_the_last_record_is_written_behind_if_the_job_does_not_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    _, env = machine()
    async with opened(env, JOB, Epoch(1), ()) as journal:
        await journal.add(*RECORDS[:4])
        journal.note(RECORDS[4])
        await trio.sleep(2 * BEHIND_SECONDS)
    assert await found(env) == [*RECORDS]


async def test_what_is_noted_is_flushed_together_with_what_is_waited_for() -> None:
    _, env = machine()
    async with opened(env, JOB, Epoch(1), ()) as journal:
        journal.note(RECORDS[0])
        await journal.add(RECORDS[1])
        assert flushes(journal) == 1


def flushes(journal: StepJournal) -> int:
    return journal._journal.figures.flushes


@pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 1.0], ids=["lost", "begun", "torn", "kept"])
async def test_power_lost_at_any_operation_loses_nothing_that_a_step_relied_on(
    share: float,
) -> None:
    files, env = machine()
    await write(env, [])
    for number in range(files.operations):
        files, env = machine()
        files.power_lost_at = number
        acknowledged: list[StepRecord] = []
        with pytest.RaisesGroup(PowerLost, flatten_subgroups=True, allow_unwrapped=True):
            await write(env, acknowledged)

        after = files.survivors(lambda unsynced: int(unsynced * share))
        kept = await found(memory_environment("node1.gnt.test", after))

        assert kept == [*RECORDS[: len(kept)]], f"power lost at operation {number}"
        assert len(kept) >= len(acknowledged)


@pytest.mark.parametrize("operation", ["append", "sync"])
async def test_what_a_full_disk_refused_is_written_with_the_next_record(
    operation: Operation,
) -> None:
    files, env = machine()
    refused: list[object] = []

    async with opened(env, JOB, Epoch(1), ()) as journal:
        path = env.paths.step_journal(JOB)
        files.fault = lambda happening, where: (
            OSError(errno.ENOSPC, "no room") if (happening, where) == (operation, path) else None
        )
        journal.note(RECORDS[0])
        try:
            await journal.add(RECORDS[1])
        except AppendFailed as error:
            refused.append(error)
        files.fault = None
        journal.note(RECORDS[2])
        await journal.add(RECORDS[3])

    assert refused
    assert await found(env) == [*RECORDS[:4]]


async def test_records_that_only_luxid_has_are_added() -> None:
    _, env = machine()
    async with opened(env, JOB, Epoch(1), ()) as journal:
        await journal.add(*RECORDS[:2])

    assert await found(env, RECORDS[:4]) == [*RECORDS[:4]]
    assert await found(env, RECORDS[:2]) == [*RECORDS[:4]]


async def test_luxid_forgets_the_records_of_opcodes_that_have_ended() -> None:
    _, env = machine()
    later = (Planned(1, PLANNED.plan), Started(1, 0, Attempt(1)), Undone(1, 0))
    async with opened(env, JOB, Epoch(1), ()) as journal:
        await journal.add(*RECORDS, later[0])

    assert await found(env, later) == [*RECORDS, *later]


async def test_a_journal_whose_beginning_is_damaged_is_not_begun_again() -> None:
    files, env = machine()
    path = env.paths.step_journal(JOB)
    files.put(path, b"x" + first_line(ORIGIN)[1:] + b"1 1 1 aa 1\n")
    with pytest.RaisesGroup(CorruptRecord, flatten_subgroups=True, allow_unwrapped=True):
        await found(env)


async def test_a_first_flush_of_which_the_first_sector_is_missing_came_to_nothing() -> None:
    files, env = machine()
    path = env.paths.step_journal(JOB)
    async with opened(env, JOB, Epoch(1), ()) as journal:
        await journal.add(*RECORDS[:2], Done(0, 0, "x" * 2 * SECTOR_BYTES))
    whole = files.content(path)
    files.put(path, bytes(SECTOR_BYTES) + whole[SECTOR_BYTES:])
    assert await found(env) == []
    files.put(path, b"?" * SECTOR_BYTES + whole[SECTOR_BYTES:])  # no disk does that by itself
    with pytest.raises(CorruptRecord):
        await found(env)
