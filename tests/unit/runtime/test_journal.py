"""The journal: shared flushes, failing disks, and power lost at every single operation."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gantry.protocols.codec import Json
from gantry.protocols.identity import Epoch
from gantry.protocols.records import ORIGIN, Checksum, CorruptRecord, Index, Position, Record
from gantry.runtime.journal import AppendFailed, Journal, JournalGap
from gantry.runtime.testing.files import MemoryFiles, Operation, PowerLost

PATH = Path("/data/journal")
EPOCH = Epoch(1)


def machine() -> MemoryFiles:
    files = MemoryFiles()
    files.put(Path("/data/other"), b"")
    return files


@asynccontextmanager
async def opened(
    files: MemoryFiles, snapshot: Position = ORIGIN
) -> AsyncIterator[tuple[Journal, tuple[Record, ...]]]:
    journal, records = await Journal.open(files, PATH, EPOCH, snapshot)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        yield journal, records
        nursery.cancel_scope.cancel()


async def replayed(files: MemoryFiles, snapshot: Position = ORIGIN) -> list[Json]:
    async with opened(files, snapshot) as (_, records):
        return [record.payload for record in records]


async def test_what_was_appended_is_replayed_in_order() -> None:
    files = machine()
    async with opened(files) as (journal, records):
        assert records == ()
        assert await journal.append(["a"]) == (1,)
        assert await journal.append(["b", {"c": 1}]) == (2, 3)

    assert await replayed(files) == ["a", "b", {"c": 1}]


async def test_concurrent_appends_share_a_flush() -> None:
    async with opened(machine()) as (journal, _):
        await journal.append(["first"])
        flushes = journal.figures.flushes
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(journal.append, [number])

        assert journal.figures.flushes == flushes + 1
        assert journal.figures.records == 101


async def test_a_cancelled_append_is_still_written() -> None:
    files = machine()
    async with opened(files) as (journal, _):
        with trio.CancelScope() as scope:
            scope.cancel()
            await journal.append(["kept"])

        await journal.append(["next"])

    assert await replayed(files) == ["kept", "next"]


async def test_what_is_in_line_is_written_before_the_journal_ends() -> None:
    files = machine()
    outcomes: list[object] = []
    async with opened(files) as (journal, _):
        journal.submit(["last"], outcomes.append)

    assert len(outcomes) == 1
    assert await replayed(files) == ["last"]


async def test_records_up_to_a_snapshot_are_forgotten() -> None:
    files = machine()
    async with opened(files) as (journal, _):
        for payload in "abc":
            await journal.append([payload])
        before = journal.figures.file_bytes
        await journal.start_over(Index(2))
        assert journal.figures.file_bytes < before
        at_two = Position(Index(2), journal._marks[0].position.checksum)
        assert await journal.append(["d"]) == (4,)

    assert await replayed(files, at_two) == ["c", "d"]
    with pytest.raises(JournalGap, match="does not continue the snapshot, which was taken at 0"):
        await Journal.open(files, PATH, EPOCH, ORIGIN)


async def test_a_new_journal_continues_its_snapshot() -> None:
    files = machine()
    snapshot = Position(Index(7), ORIGIN.checksum)
    async with opened(files, snapshot) as (journal, _):
        assert await journal.append(["x"]) == (8,)


def once(operation: Operation, number: int = errno.ENOSPC) -> Callable[..., OSError | None]:
    """Make one operation fail, once."""
    left = [operation]

    def fault(happening: Operation, path: Path) -> OSError | None:
        if path == PATH and happening in left:
            left.remove(happening)
            return OSError(number, "no room" if number == errno.ENOSPC else "broken disk")
        return None

    return fault


@pytest.mark.parametrize("operation", ["append", "sync"])
async def test_a_full_disk_fails_all_in_line_and_the_journal_goes_on(operation: Operation) -> None:
    files = machine()
    failed: list[int] = []

    async def append(journal: Journal, number: int) -> None:
        try:
            await journal.append([number])
        except AppendFailed:
            failed.append(number)

    async with opened(files) as (journal, _):
        await journal.append(["before"])
        files.fault = once(operation)
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(append, journal, number)
        assert sorted(failed) == [0, 1, 2]
        assert await journal.append(["after"]) == (2,)

    assert await replayed(files) == ["before", "after"]


async def test_the_journal_repairs_itself_when_the_disk_is_back() -> None:
    files = machine()
    async with opened(files) as (journal, _):
        await journal.append(["before"])
        files.fault = lambda _, path: OSError(errno.EIO, "broken") if path == PATH else None
        for _ in range(2):
            with pytest.raises(AppendFailed, match="broken"):
                await journal.append(["lost"])
        files.fault = None
        await journal.append(["after"])

    assert await replayed(files) == ["before", "after"]


async def test_a_failed_start_over_changes_nothing() -> None:
    files = machine()
    async with opened(files) as (journal, _):
        await journal.append(["a", "b"])
        files.fault = once("write")
        with pytest.raises(AppendFailed, match="no room"):
            await journal.start_over(Index(1))
        await journal.append(["c"])

    assert await replayed(files) == ["a", "b", "c"]


async def test_a_journal_whose_file_was_removed_goes_on_until_it_ends() -> None:
    files = machine()
    async with opened(files) as (journal, _):
        await journal.append(["a"])
        await journal.start_over(Index(1))
        await files.remove(PATH)
        assert await journal.append(["b"]) == (2,)
    assert PATH not in files.paths()


async def test_damage_is_not_started_over() -> None:
    files = machine()
    async with opened(files) as (journal, _):
        await journal.append(["a", "b"])
    files.put(PATH, files.content(PATH).replace(b'"a"', b'"x"'))

    with pytest.raises(CorruptRecord, match=f"^{PATH}: record 1 at byte"):
        await Journal.open(files, PATH, EPOCH)


async def work(files: MemoryFiles, acknowledged: list[int]) -> None:
    """Append, start over and append again; list what was acknowledged."""
    async with opened(files) as (journal, records):
        next_number = len(records)
        for _ in range(3):
            numbers = [next_number, next_number + 1]
            next_number += 2
            await journal.append(numbers)
            acknowledged += numbers
        await journal.start_over(Index(4))
        await journal.append([next_number])
        acknowledged.append(next_number)


async def operations_of_work() -> int:
    files = machine()
    await work(files, [])
    return files.operations


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0], ids=["lost", "torn", "kept"])
async def test_power_lost_at_any_operation_loses_nothing_acknowledged(
    share: float, late: bool
) -> None:
    for number in range(await operations_of_work()):
        files = machine()
        files.power_lost_at, files.power_lost_late = number, late
        acknowledged: list[int] = []
        with pytest.RaisesGroup(PowerLost, flatten_subgroups=True, allow_unwrapped=True):
            await work(files, acknowledged)

        after = files.survivors(lambda unsynced: int(unsynced * share))

        start = ORIGIN
        if after._entries.get(PATH) and b"gantry-log 1 4 " in after.content(PATH):
            start = Position(Index(4), _checksum_of_first_line(after.content(PATH)))
        payloads = await replayed(after, start)
        expected = list(range(start.index, start.index + len(payloads)))
        assert payloads == expected, f"power lost at operation {number}"
        assert acknowledged == list(range(len(acknowledged)))
        assert len(acknowledged) <= start.index + len(payloads) <= len(acknowledged) + 2


def _checksum_of_first_line(data: bytes) -> Checksum:
    return Checksum(data.split(b"\n")[0].split()[-1].decode())
