"""The log of a replica: what was answered is there after any loss of power, and nothing else."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gantry.protocols.codec import Malformed
from gantry.protocols.identity import Epoch
from gantry.protocols.records import ORIGIN, Index, Record, encode_records
from gantry.runtime.replica_log import ReplicaLog
from gantry.runtime.testing.files import MemoryFiles, PowerLost

PATH = Path("/var/lib/replica.log")


def records(count: int) -> tuple[Record, ...]:
    return encode_records(ORIGIN, Epoch(1), [f"record {number}" for number in range(count)])[1]


def machine(power_lost_at: int | None = None) -> MemoryFiles:
    files = MemoryFiles()
    files.put_folder(PATH.parent)
    files.power_lost_at = power_lost_at
    return files


async def found(files: MemoryFiles) -> tuple[Record, ...]:
    log, known = await ReplicaLog.open(files, PATH, ORIGIN)
    await log.aclose()
    return known


async def test_what_is_written_cut_and_replaced_is_found_again() -> None:
    files, new = machine(), records(5)
    log, _ = await ReplicaLog.open(files, PATH, ORIGIN)
    await log.write(ORIGIN, new[:4])
    await log.cut_after(Index(2))
    await log.write(new[1].position, new[2:])
    await log.start_over(new[2].position, new[3:])
    await log.aclose()
    again, known = await ReplicaLog.open(files, PATH, ORIGIN)
    assert (again.start, known) == (new[2].position, new[3:])
    assert again.file_bytes == log.file_bytes
    await again.aclose()


async def test_a_full_disk_changes_nothing_and_there_may_be_room_again() -> None:
    files, new = machine(), records(4)
    log, _ = await ReplicaLog.open(files, PATH, ORIGIN)
    await log.write(ORIGIN, new[:2])
    full = OSError(errno.ENOSPC, "No space left on device")
    files.fault = lambda operation, _: full if operation == "append" else None
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            await log.write(new[1].position, new[2:])
    files.fault = None
    await log.write(new[1].position, new[2:])
    await log.aclose()
    assert await found(files) == new


async def test_records_that_do_not_follow_are_not_written() -> None:
    files, new = machine(), records(3)
    log, _ = await ReplicaLog.open(files, PATH, ORIGIN)
    with pytest.raises(Malformed):
        await log.write(ORIGIN, (new[0], new[2]))
    await log.aclose()
    assert await found(files) == ()


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", range(12))
async def test_power_is_lost_at_any_operation(operation: int, late: bool) -> None:
    files, new = machine(operation), records(6)
    files.power_lost_late = late
    answered: tuple[Record, ...] = ()
    try:
        log, _ = await ReplicaLog.open(files, PATH, ORIGIN)
        for number in (2, 4):
            await log.write(
                new[len(answered) - 1].position if answered else ORIGIN, new[len(answered) : number]
            )
            answered = new[:number]
        await log.cut_after(Index(3))
        answered = new[:3]
        await log.write(new[2].position, new[3:])
        answered = new
    except PowerLost:
        pass
    for kept in (lambda size: 0, lambda size: size // 2, lambda size: size):
        known = await found(files.survivors(kept))
        assert known == new[: len(known)]
        assert len(known) >= min(len(answered), 3)
