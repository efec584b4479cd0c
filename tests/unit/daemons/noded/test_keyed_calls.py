"""Changing calls of NodeD: once per key, through disconnects, deadlines, restarts, full disks."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gantry.daemons.noded import key_journal
from gantry.daemons.noded.calls import KeyedCalls
from gantry.daemons.noded.key_journal import KeyJournal
from gantry.protocols.errors import Fault, KeyConflict, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, Ticket
from gantry.protocols.job_course import StepProgress
from gantry.protocols.noded import Interrupted, Missing, ProgressReport, StepFailed
from gantry.protocols.runtime_types import DriverFailed, MachineLacks, MissingPart
from gantry.runtime.environment import Files
from gantry.runtime.testing.files import MemoryFiles

DATA = Path("/data")


def ticket(
    job: int = 1, step: int = 0, *, attempt: int = 1, epoch: int = 1, redo: bool = False
) -> Ticket:
    key = Key(JobId(job), 0, step)
    return Ticket(key, Attempt(attempt), Epoch(epoch), f"digest {step}", redo)


@asynccontextmanager
async def noded(files: Files) -> AsyncIterator[KeyedCalls]:
    """Run NodeD's keyed calls, as one process of NodeD would; leaving kills it."""
    journal = await KeyJournal.open(files, DATA)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        async with trio.open_nursery() as calls:
            yield KeyedCalls(journal, calls)
            calls.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


class Work:
    """Something to do that counts how often it was done and waits for permission."""

    def __init__(self) -> None:
        self.begun = 0
        self.entered = trio.Event()
        self.may_end = trio.Event()
        self.cancelled = False

    async def __call__(self) -> int:
        self.begun += 1
        self.entered.set()
        try:
            await self.may_end.wait()
        except trio.Cancelled:
            self.cancelled = True
            raise
        return self.begun


async def at_once() -> int:
    return 7


async def fails() -> int:
    raise DriverFailed("disk 0", "no space")


async def test_a_repeat_is_answered_with_the_first_result() -> None:
    async with noded(MemoryFiles()) as calls:
        work = Work()
        work.may_end.set()
        assert await calls.do(ticket(), int, work) == 1
        assert await calls.do(ticket(), int, work) == 1


async def test_the_result_survives_a_restart() -> None:
    files = MemoryFiles()
    async with noded(files) as calls:
        assert await calls.do(ticket(), int, at_once) == 7
    files = files.survivors(lambda unflushed: 0)
    async with noded(files) as calls:
        assert await calls.do(ticket(), int, fails) == 7


async def test_a_failure_is_repeated_too_unless_it_is_to_be_done_again() -> None:
    files = MemoryFiles()
    async with noded(files) as calls:
        with pytest.raises(StepFailed, match="disk 0: no space"):
            await calls.do(ticket(), int, fails)
    async with noded(files) as calls:
        with pytest.raises(StepFailed, match="disk 0: no space"):
            await calls.do(ticket(), int, at_once)
        assert await calls.do(ticket(redo=True), int, at_once) == 7


async def test_a_failing_redo_fails_once() -> None:
    async with noded(MemoryFiles()) as calls:
        for _ in range(2):
            with pytest.raises(StepFailed):
                await calls.do(ticket(redo=True), int, fails)


async def test_what_a_machine_lacks_names_the_package() -> None:
    async def lacks() -> int:
        raise MachineLacks("kvm", (MissingPart("qemu-system-x86_64", "qemu-system-x86"),))

    async with noded(MemoryFiles()) as calls:
        with pytest.raises(Missing, match="apt install qemu-system-x86"):
            await calls.do(ticket(), int, lacks)


async def test_a_defect_is_a_fault() -> None:
    async def broken() -> int:
        raise ZeroDivisionError

    async with noded(MemoryFiles()) as calls:
        with pytest.raises(Fault, match="ZeroDivisionError"):
            await calls.do(ticket(), int, broken)


async def test_a_call_that_is_abandoned_ends_and_is_not_begun_again() -> None:
    async with noded(MemoryFiles()) as calls, trio.open_nursery() as nursery:
        work, answers = Work(), list[str]()

        async def ask() -> None:
            with pytest.raises(Interrupted):
                await calls.do(ticket(), int, work)
            answers.append("interrupted")

        nursery.start_soon(ask)
        await work.entered.wait()
        await calls.abandon(ticket())
        assert work.cancelled
        await trio.testing.wait_all_tasks_blocked()
        assert answers == ["interrupted"]
        with pytest.raises(Interrupted):
            await calls.do(ticket(redo=True), int, at_once)  # a straggler of that attempt
        assert await calls.do(ticket(attempt=2, redo=True), int, at_once) == 7


async def test_what_is_abandoned_before_it_arrives_never_begins() -> None:
    async with noded(MemoryFiles()) as calls:
        await calls.abandon(ticket())
        with pytest.raises(Interrupted):
            await calls.do(ticket(), int, at_once)
        assert await calls.do(ticket(step=1), int, at_once) == 7
        await calls.forget([JobId(1)])
        with pytest.raises(StaleAttempt):
            await calls.do(ticket(), int, at_once)


async def test_only_the_newest_attempt_and_epoch_abandon_anything() -> None:
    async with noded(MemoryFiles()) as calls, trio.open_nursery() as nursery:
        work = Work()
        nursery.start_soon(calls.do, ticket(attempt=2, epoch=2), int, work)
        await work.entered.wait()
        with pytest.raises(StaleAttempt):
            await calls.abandon(ticket(epoch=2))
        with pytest.raises(StaleEpoch):
            await calls.abandon(ticket(attempt=2))
        assert not work.cancelled
        work.may_end.set()


async def test_a_call_of_a_job_that_is_over_ends() -> None:
    async with noded(MemoryFiles()) as calls, trio.open_nursery() as nursery:
        work = Work()

        async def ask() -> None:
            with pytest.raises((Interrupted, StaleAttempt)):  # as it is asked
                await calls.do(ticket(), int, work)

        nursery.start_soon(ask)
        await work.entered.wait()
        await calls.forget([JobId(1)])
        assert work.cancelled


async def test_a_client_that_goes_away_does_not_cancel_the_call() -> None:
    async with noded(MemoryFiles()) as calls:
        work = Work()
        async with trio.open_nursery() as client:
            client.start_soon(calls.do, ticket(), int, work)
            await work.entered.wait()
            client.cancel_scope.cancel()
        assert not work.cancelled
        work.may_end.set()
        assert await calls.do(ticket(), int, fails) == 1


async def test_a_repeat_of_a_running_call_waits_for_it() -> None:
    async with noded(MemoryFiles()) as calls, trio.open_nursery() as nursery:
        work, results = Work(), list[int]()

        async def ask() -> None:
            results.append(await calls.do(ticket(), int, work))

        nursery.start_soon(ask)
        await work.entered.wait()
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        work.may_end.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert results == [1, 1]


async def test_a_deadline_breaks_the_call_off(autojump_clock: trio.testing.MockClock) -> None:
    async with noded(MemoryFiles()) as calls:
        work = Work()
        with trio.move_on_after(5):
            await calls.do(ticket(), int, work)
        await trio.testing.wait_all_tasks_blocked()
        assert work.cancelled
        with pytest.raises(Interrupted):
            await calls.do(ticket(), int, at_once)
        assert await calls.do(ticket(redo=True), int, at_once) == 7


async def test_a_call_begun_before_a_restart_is_interrupted() -> None:
    files = MemoryFiles()
    async with noded(files) as calls, trio.open_nursery() as client:
        work = Work()
        client.start_soon(calls.do, ticket(), int, work)
        await work.entered.wait()
        client.cancel_scope.cancel()
    files = files.survivors(lambda unflushed: 0)
    async with noded(files) as calls:
        with pytest.raises(Interrupted, match="1/0/0"):
            await calls.do(ticket(), int, at_once)


async def test_a_new_attempt_ends_the_old_ones_calls_before_it_acts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with noded(MemoryFiles()) as calls, trio.open_nursery() as nursery:
        old = Work()

        async def ask() -> None:
            with pytest.raises(StaleAttempt):
                await calls.do(ticket(step=1), int, old)

        async def new() -> int:
            assert old.cancelled
            return 8

        nursery.start_soon(ask)
        await old.entered.wait()
        assert await calls.do(ticket(step=2, attempt=2), int, new) == 8
        with pytest.raises(StaleAttempt, match="attempt 1 was replaced by attempt 2"):
            await calls.do(ticket(step=3), int, at_once)


async def test_a_new_attempt_that_asks_for_the_same_waits_for_it() -> None:
    async with noded(MemoryFiles()) as calls, trio.open_nursery() as nursery:
        work, results = Work(), list[int]()

        async def old() -> None:
            with pytest.raises(StaleAttempt):
                await calls.do(ticket(), int, work)

        async def new() -> None:
            results.append(await calls.do(ticket(attempt=2), int, work))

        nursery.start_soon(old)
        await work.entered.wait()
        nursery.start_soon(new)
        await trio.testing.wait_all_tasks_blocked()
        work.may_end.set()
    assert results == [1]


async def test_stale_epochs_and_reused_keys_are_refused_durably() -> None:
    files = MemoryFiles()
    async with noded(files) as calls:
        await calls.do(ticket(epoch=3), int, at_once)
        with pytest.raises(KeyConflict):
            await calls.do(Ticket(Key(JobId(1), 0, 0), Attempt(1), Epoch(3), "?"), int, at_once)
    async with noded(files.survivors(lambda unflushed: 0)) as calls:
        with pytest.raises(StaleEpoch):
            await calls.do(ticket(job=2, epoch=2), int, at_once)
        with pytest.raises(StaleEpoch):
            await calls.see_epoch(Epoch(2))
        await calls.see_epoch(Epoch(4))
        assert calls.epoch == 4


async def test_nothing_acts_while_the_journal_can_not_be_written() -> None:
    files = MemoryFiles()
    async with noded(files) as calls:
        files.fault = lambda operation, _: (
            OSError(errno.ENOSPC, "No space left on device") if operation == "append" else None
        )
        work = Work()
        with pytest.raises(StepFailed, match="free space and try again"):
            await calls.do(ticket(), int, work)
        assert work.begun == 0
        files.fault = None
        work.may_end.set()
        assert await calls.do(ticket(), int, work) == 1


async def test_a_forgotten_job_may_not_act_again() -> None:
    files = MemoryFiles()
    async with noded(files) as calls:
        await calls.do(ticket(), int, at_once)
        await calls.forget([JobId(1), JobId(9)])
    async with noded(files) as calls:
        with pytest.raises(StaleAttempt):
            await calls.do(ticket(), int, at_once)


async def test_a_long_journal_becomes_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_journal, "COMPACT_BYTES", 2000)
    files = MemoryFiles()
    async with noded(files) as calls:
        for step in range(30):
            await calls.do(ticket(step=step), int, at_once)
    assert len(await files.read(DATA / key_journal.JOURNAL)) < 4000
    async with noded(files.survivors(lambda unflushed: 0)) as calls:
        for step in range(30):
            assert await calls.do(ticket(step=step), int, fails) == 7


# --- progress ------------------------------------------------------------------------------------


async def test_who_asks_how_far_a_call_is_hears_each_report_once(autojump_clock: object) -> None:
    async with noded(MemoryFiles()) as calls, trio.open_nursery() as nursery:
        work, key = Work(), ticket().key
        nursery.start_soon(calls.do, ticket(), int, work)
        await work.entered.wait()
        heard: list[ProgressReport | None] = []

        async def ask(after: int) -> None:
            heard.append(await calls.progress(key, after))

        nursery.start_soon(ask, 0)
        await trio.testing.wait_all_tasks_blocked()
        half = StepProgress(1.0, 2.0, "seconds")
        calls.report(key, half)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [ProgressReport(1, half)]
        assert await calls.progress(key, 1) == ProgressReport(1, half)  # after a while, no news
        nursery.start_soon(ask, 1)
        await trio.testing.wait_all_tasks_blocked()
        work.may_end.set()
        await trio.testing.wait_all_tasks_blocked()
        assert heard[1:] == [None]
        assert await calls.progress(key, 0) is None
