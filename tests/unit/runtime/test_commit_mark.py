"""The mark beside a log: read whole or not at all, and written from time to time."""

from __future__ import annotations

import errno
from pathlib import Path

import trio

from gantry.protocols.identity import Epoch
from gantry.protocols.records import Checksum, Index
from gantry.protocols.replication import LogEnd
from gantry.runtime.commit_mark import (
    RETRY_SECONDS,
    CommitMark,
    MarkKeeper,
    read_mark,
    rendered,
)
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles, Operation

NAME = "some.committed"


def end(index: int) -> LogEnd:
    return LogEnd(Epoch(2), Index(index), Checksum(f"{index:032x}"))


def machine() -> tuple[MemoryFiles, MarkKeeper, Path]:
    files = MemoryFiles()
    env = memory_environment("node1", files)
    files.put_folder(env.paths.data)
    return files, MarkKeeper.of(env, NAME), env.paths.data / NAME


async def test_what_is_set_is_read(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    files, keeper, path = machine()
    assert await read_mark(files, path) is None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        for index in (9, 10, 11):
            keeper.set(end(index))
        await trio.sleep(1)
        mark = await read_mark(files, path)
        assert mark is not None
        assert mark.end == end(11)
        keeper.set(end(12))
        await trio.sleep(1)
        later = await read_mark(files, path)
        assert later == CommitMark(mark.keeper, end(12))
        nursery.cancel_scope.cancel()


async def test_marks_come_no_faster_than_readers_need_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    files, keeper, _ = machine()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        for index in range(1000):  # a second's changes
            keeper.set(end(index))
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert files.operations < 60


async def test_a_disk_that_fails_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    files, keeper, path = machine()

    def broken(operation: Operation, _: Path) -> OSError | None:
        return OSError(errno.EIO, "broken") if operation == "overwrite" else None

    files.fault = broken
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        keeper.set(end(1))
        await trio.sleep(1)
        assert await read_mark(files, path) is None
        files.fault = None
        await trio.sleep(RETRY_SECONDS + 1)
        assert await read_mark(files, path) is not None
        nursery.cancel_scope.cancel()


def test_all_marks_are_equally_long() -> None:
    marks = [CommitMark("0" * 16, end(index)) for index in (0, 2**63)]
    assert len({len(rendered(mark)) for mark in marks}) == 1
