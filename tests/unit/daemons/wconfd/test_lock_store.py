"""Locks on disk: what a job was given it has, whatever dies; what nobody owns is freed."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import trio
import trio.testing
from tests.unit.core.config.small_cluster import sample_state
from tests.unit.daemons.wconfd.running_wconfd import lock_store, master_files

from gantry.daemons.wconfd import lock_store as module
from gantry.daemons.wconfd.lock_store import LockStore
from gantry.protocols.errors import BadCall, StaleAttempt
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.locks import (
    BGL,
    Blocked,
    Granted,
    Held,
    LockOwner,
    LockRequest,
    lock_name,
)
from gantry.protocols.wconfd import LivingJob, NotDurable, NotReady, Reserved, Taken, Want
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.testing.files import MemoryFiles, PowerLost

ONE, TWO, THREE = JobId(1), JobId(2), JobId(3)
A, B = lock_name("instance", "a"), lock_name("instance", "b")
SHOWN = Path("/var/lib/ganeti/locks.data")


def owner(job: JobId, attempt: int = 1) -> LockOwner:
    return LockOwner(job, Attempt(attempt))


async def take(store: LockStore, job: JobId, *names: str, attempt: int = 1) -> Granted:
    requests = tuple(LockRequest(lock_name("instance", name), "exclusive") for name in names)
    return await store.lock(owner(job, attempt), requests, 0)


def held(store: LockStore, job: JobId) -> set[str]:
    return {lock.name for lock in store.locks.allocation.held(job)}


async def test_nothing_is_given_before_the_unfinished_jobs_are_named() -> None:
    async with lock_store(master_files(), ready=False) as store, open_plain_nursery() as nursery:
        with pytest.raises(NotReady):
            await store.try_lock(owner(ONE), ())
        nursery.start_soon(take, store, ONE, "a")
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, ONE) == set()
        await store.name_jobs([LivingJob(owner(ONE))], sample_state())
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, ONE) == {A}


async def test_a_job_waits_for_its_turn() -> None:
    async with lock_store(master_files()) as store, open_plain_nursery() as nursery:
        assert await take(store, ONE, "a") == Granted((Held(A, "exclusive"),))
        nursery.start_soon(take, store, TWO, "a", "b")
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, TWO) == set()
        assert await store.try_lock(owner(THREE), (LockRequest(B, "shared"),)) == Blocked((TWO,))
        store.release(owner(ONE), "instance")
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, TWO) == {A, B}


async def test_who_gives_up_leaves_the_line() -> None:
    async with lock_store(master_files()) as store, open_plain_nursery() as nursery:
        await take(store, ONE, "a")
        async with open_plain_nursery() as waiting:
            waiting.start_soon(take, store, TWO, "a", "b")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(take, store, THREE, "b")
            await trio.testing.wait_all_tasks_blocked()
            assert held(store, THREE) == set()
            waiting.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, THREE) == {B}
        assert not store.locks.waiting


async def test_locks_of_several_levels_are_taken_in_their_order_with_one_flush() -> None:
    node = lock_name("node", "n")
    both = (LockRequest(node, "exclusive"), LockRequest(A, "exclusive"))
    async with lock_store(master_files()) as store, open_plain_nursery() as nursery:
        await store.lock(owner(ONE), (LockRequest(node, "exclusive"),), 0)
        nursery.start_soon(store.lock, owner(TWO), both, 0)
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, TWO) == {A}
        flushes = store.journal.figures.flushes
        store.release(owner(ONE), None)
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, TWO) == {A, node}
        assert store.journal.figures.flushes == flushes + 1
        await store.lock(owner(THREE), (LockRequest(BGL, "shared"), LockRequest(B, "shared")), 0)
        assert store.journal.figures.flushes == flushes + 2


async def test_what_was_got_at_a_lower_level_is_kept_through_a_restart() -> None:
    node, files = lock_name("node", "n"), master_files()
    both = (LockRequest(A, "exclusive"), LockRequest(node, "exclusive"))
    async with lock_store(files) as store, open_plain_nursery() as nursery:
        await store.lock(owner(ONE), (LockRequest(node, "exclusive"),), 0)
        nursery.start_soon(store.lock, owner(TWO), both, 0)
        await trio.testing.wait_all_tasks_blocked()
        await take(store, THREE, "b")
        nursery.cancel_scope.cancel()
    async with lock_store(files, ready=False) as store:
        await store.name_jobs([LivingJob(owner(job)) for job in (ONE, TWO, THREE)], sample_state())
        assert held(store, TWO) == {A}


async def test_a_new_priority_counts_at_the_next_level_too() -> None:
    node = lock_name("node", "n")
    both = (LockRequest(A, "exclusive"), LockRequest(node, "exclusive"))
    async with lock_store(master_files()) as store, open_plain_nursery() as nursery:
        await store.lock(owner(ONE), (LockRequest(A, "exclusive"),), 0)
        await store.lock(owner(THREE), (LockRequest(node, "exclusive"),), 0)
        nursery.start_soon(store.lock, owner(TWO), both, 0)
        await trio.testing.wait_all_tasks_blocked()
        store.set_priority(TWO, -7)
        store.drop_job(ONE)
        await trio.testing.wait_all_tasks_blocked()
        assert store.locks.waiting[TWO].priority == -7
        nursery.cancel_scope.cancel()


async def test_a_second_call_of_a_job_takes_the_place_of_its_first() -> None:
    async with lock_store(master_files()) as store, open_plain_nursery() as nursery:
        await take(store, ONE, "a")
        refused: list[str] = []

        async def first() -> None:
            try:
                await take(store, TWO, "a")
            except BadCall as error:
                refused.append(error.message)

        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(take, store, TWO, "a")
        await trio.testing.wait_all_tasks_blocked()
        assert refused == ["the waiting request of job 2 was taken back"]
        store.drop_job(ONE)
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, TWO) == {A}


async def test_a_new_attempt_ends_the_wait_of_the_old_one() -> None:
    async with lock_store(master_files()) as store, open_plain_nursery() as nursery:
        await take(store, ONE, "a")
        stale: list[StaleAttempt] = []

        async def old() -> None:
            try:
                await take(store, TWO, "a")
            except StaleAttempt as error:
                stale.append(error)

        nursery.start_soon(old)
        await trio.testing.wait_all_tasks_blocked()
        await store.adopt(owner(TWO, 2))
        await trio.testing.wait_all_tasks_blocked()
        assert [(error.attempt, error.newest) for error in stale] == [(1, 2)]
        with pytest.raises(StaleAttempt):
            await take(store, TWO, "b")


async def test_after_a_restart_living_jobs_have_what_they_had_and_others_nothing() -> None:
    files = master_files()
    async with lock_store(files) as store:
        await take(store, ONE, "a")
        await store.adopt(owner(ONE, 2))
        await take(store, TWO, "b")
        for job in (ONE, TWO):
            name = Want("instance name", f"new{job}")
            assert isinstance(
                await store.reserve(owner(job, 3 - job), (name,), sample_state()), Reserved
            )

    async with lock_store(files, ready=False) as store:
        await store.name_jobs([LivingJob(owner(ONE, 2))], sample_state())
        assert held(store, ONE) == {A}
        assert held(store, TWO) == set()
        with pytest.raises(StaleAttempt):
            await take(store, ONE, "b", attempt=1)
        want = Want("instance name", "new1")
        taken = await store.reserve(owner(THREE), (want,), sample_state())
        assert taken == Taken("instance name", "new1", "job 1")
        free = await store.reserve(owner(THREE), (Want("instance name", "new2"),), sample_state())
        assert free == Reserved(("new2",))


KNOWN = LivingJob(
    owner(ONE, 2),
    (Held(A, "exclusive"),),
    (Want("instance name", "new1"), Want("mac", "aa:00:00:00:00:01")),
)
"""A job as the queue knows it."""


async def assert_given_back(store: LockStore) -> None:
    """Whether the first job has what the queue says, before anybody else gets anything."""
    async with open_plain_nursery() as nursery:
        nursery.start_soon(take, store, TWO, "a")
        nursery.start_soon(store.adopt, owner(ONE, 2))
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, ONE) == held(store, TWO) == set()
        await store.name_jobs([KNOWN, LivingJob(owner(TWO))], sample_state())
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, ONE) == {A}
        assert held(store, TWO) == set()
        taken = await store.reserve(owner(TWO), (KNOWN.reserved[0],), sample_state())
        assert taken == Taken("instance name", "new1", "job 1")
        store.release(owner(ONE, 2), None)
        await trio.testing.wait_all_tasks_blocked()
        assert held(store, TWO) == {A}


async def test_a_wconfd_that_knows_nothing_gives_back_what_the_queue_knows() -> None:
    async with lock_store(master_files(), ready=False) as store:
        await assert_given_back(store)


async def test_what_an_earlier_reign_left_in_the_journal_is_over() -> None:
    files = master_files()
    async with lock_store(files) as store:
        await take(store, TWO, "a")  # it had it then; the other one has it now
    async with lock_store(files, ready=False, epoch=Epoch(2)) as store:
        await assert_given_back(store)
    async with lock_store(files, ready=False, epoch=Epoch(2)) as store:
        await store.name_jobs([LivingJob(owner(TWO))], sample_state())
        assert held(store, TWO) == {A}


async def test_what_wconfd_knows_counts_more_than_what_the_queue_knows() -> None:
    """A grant is on the disk before the job hears of it, and thus before the queue does."""
    files = master_files()
    async with lock_store(files) as store:
        await take(store, ONE, "b")
    async with lock_store(files, ready=False) as store:
        await store.name_jobs([KNOWN], sample_state())
        assert held(store, ONE) == {B}


async def test_release_of_all_ends_reservations_too() -> None:
    async with lock_store(master_files()) as store:
        await take(store, ONE, "a")
        want = Want("instance name", "new")
        await store.reserve(owner(ONE), (want,), sample_state())
        store.release(owner(ONE), None)
        assert not store.reservations.holders
        assert not store.locks.allocation.owned


async def test_a_release_costs_no_flush() -> None:
    async with lock_store(master_files()) as store:
        await take(store, ONE, "a")
        flushes = store.journal.figures.flushes
        store.release(owner(ONE), None)
        store.drop_job(ONE)
        await trio.testing.wait_all_tasks_blocked()
        assert store.journal.figures.flushes == flushes
        await take(store, TWO, "a")
        assert store.journal.figures.flushes == flushes + 1


async def test_a_grant_that_can_not_be_stored_is_said_and_stays() -> None:
    files = master_files()
    async with lock_store(files) as store:
        files.fault = lambda operation, _: (
            OSError(errno.ENOSPC, "full") if operation == "append" else None
        )
        with pytest.raises(NotDurable, match="full"):
            await take(store, ONE, "a")
        files.fault = None
        assert await take(store, ONE, "a") == Granted((Held(A, "exclusive"),))
    async with lock_store(files, ready=False) as store:
        assert held(store, ONE) == {A}


async def test_the_journal_is_kept_short_and_locks_data_has_ganetis_form(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "JOURNAL_BYTES_MAX", 2000)
    files = master_files()
    async with lock_store(files) as store, open_plain_nursery() as nursery:
        nursery.start_soon(store.keep_short)
        await take(store, ONE, "a")
        for number in range(50):
            await take(store, TWO, f"x{number:02}")
        await trio.sleep(module.COMPACT_SECONDS + 1)
        assert store.journal.figures.records == 1
        nursery.start_soon(take, store, THREE, "a")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    first = json.loads(files.content(SHOWN))[0][0]
    assert first == [[1, "attempt 1", 0], [["instance/a", "exclusive"]]]
    async with lock_store(files, ready=False) as store:
        assert held(store, ONE) == {A}
        assert len(held(store, TWO)) == 50


# --- power lost anywhere -------------------------------------------------------------------------


class Known:
    """What jobs have heard of: granted, and not let go since."""

    def __init__(self) -> None:
        self.granted: dict[JobId, set[str]] = {}

    async def take(self, store: LockStore, job: JobId, *names: str) -> None:
        await take(store, job, *names)
        mine = self.granted.setdefault(job, set())
        mine.update(f"instance/{name}" for name in names)

    def release(self, store: LockStore, job: JobId) -> None:
        self.granted.pop(job, None)
        store.release(owner(job), None)


async def history(files: MemoryFiles, known: Known) -> None:
    async with lock_store(files) as store, open_plain_nursery() as nursery:
        await known.take(store, ONE, "a", "b")
        nursery.start_soon(known.take, store, TWO, "b")
        nursery.start_soon(known.take, store, THREE, "c")
        await trio.testing.wait_all_tasks_blocked()
        known.release(store, ONE)
        await trio.testing.wait_all_tasks_blocked()
        await store._compact()
        await known.take(store, ONE, "d")


def clashes(store: LockStore, jobs: Iterable[JobId]) -> bool:
    names = [name for job in jobs for name in held(store, job)]
    return len(names) != len(set(names))


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["lost", "torn", "kept"])
async def test_power_lost_at_any_operation_takes_no_granted_lock(share: float, late: bool) -> None:
    whole = master_files()
    await history(whole, Known())
    jobs = (ONE, TWO, THREE)
    for number in range(whole.operations):
        files, known = master_files(), Known()
        files.power_lost_at, files.power_lost_late = number, late
        with pytest.RaisesGroup(PowerLost, flatten_subgroups=True, allow_unwrapped=True):
            await history(files, known)

        after = files.survivors(lambda unsynced: int(unsynced * share))
        async with lock_store(after, ready=False) as store:
            await store.name_jobs([LivingJob(owner(job)) for job in jobs], sample_state())
            assert not clashes(store, jobs)
            for job, names in known.granted.items():
                assert names <= held(store, job), f"power lost at operation {number}"


async def test_it_is_shown_since_when_and_for_whom(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    async with lock_store(master_files()) as store, open_plain_nursery() as nursery:
        await take(store, ONE, "a")
        began = store._env.clock.now()
        await trio.sleep(5)
        await take(store, ONE, "b")
        nursery.start_soon(take, store, TWO, "a")
        await trio.sleep(5)
        first, second = await store.states()
        assert (first.owners, first.since) == ((ONE,), (began,))
        assert second.since == (began + 5,)
        (wait,) = first.waits
        assert (wait.job, wait.mode, wait.behind, wait.since) == (
            TWO,
            "exclusive",
            (ONE,),
            began + 5,
        )

        store.release(owner(ONE), None)
        await trio.sleep(5)
        (first,) = await store.states()
        assert (first.owners, first.since, first.waits) == ((TWO,), (began + 10,), ())
        nursery.cancel_scope.cancel()


async def test_what_was_held_at_the_start_is_held_since_who_knows_when() -> None:
    files = master_files()
    async with lock_store(files) as store:
        await take(store, ONE, "a")
    async with lock_store(files, ready=False) as store:
        (state,) = await store.states()
        assert (state.owners, state.since) == ((ONE,), (None,))
