"""Locks: modes, sets, order, the line, attempts."""

from __future__ import annotations

from typing import Literal

import pytest
from typing_extensions import override

from gantry.core.locking.waiting import (
    Locks,
    adopt,
    blockers,
    drop_job,
    release,
    request,
    restored,
    set_priority,
    states,
    try_request,
    withdraw,
)
from gantry.protocols.errors import BadCall, StaleAttempt
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.locks import (
    BGL,
    Blocked,
    Granted,
    Held,
    LockName,
    LockOwner,
    LockRequest,
    LockState,
    LockWait,
    lock_name,
    lock_set,
)
from gantry.protocols.wconfd import LockOrderViolated

ONE, TWO, THREE = JobId(1), JobId(2), JobId(3)
A, B = lock_name("instance", "a"), lock_name("instance", "b")
ALL = lock_set("instance")
NODE = lock_name("node", "x")

Asked = tuple[LockName, Literal["shared", "exclusive", "release"]]


def owner(job: JobId, attempt: int = 1) -> LockOwner:
    return LockOwner(job, Attempt(attempt))


def ask(locks: Locks, job: JobId, *asked: Asked, priority: int = 0) -> tuple[Locks, object]:
    requests = [LockRequest(*each) for each in asked]
    locks, _, answer = request(locks, owner(job), requests, priority)
    return locks, answer


def given(locks: Locks, job: JobId, *asked: Asked, priority: int = 0) -> Locks:
    locks, answer = ask(locks, job, *asked, priority=priority)
    assert isinstance(answer, Granted), answer
    return locks


def waits(locks: Locks, job: JobId, *asked: Asked, priority: int = 0) -> Locks:
    locks, answer = ask(locks, job, *asked, priority=priority)
    assert isinstance(answer, Blocked), answer
    return locks


@pytest.mark.parametrize(
    ("held", "wanted", "fits"),
    [
        ((A, "shared"), (A, "shared"), True),
        ((A, "shared"), (A, "exclusive"), False),
        ((A, "exclusive"), (A, "shared"), False),
        ((A, "exclusive"), (B, "exclusive"), True),
        ((ALL, "shared"), (A, "shared"), True),
        ((ALL, "shared"), (A, "exclusive"), False),
        ((ALL, "exclusive"), (A, "shared"), False),
        ((A, "shared"), (ALL, "shared"), True),
        ((A, "shared"), (ALL, "exclusive"), False),
        ((A, "exclusive"), (ALL, "shared"), False),
        ((ALL, "exclusive"), (NODE, "exclusive"), True),
        ((BGL, "exclusive"), (LockName("cluster/config"), "exclusive"), True),
        ((lock_set("cluster"), "exclusive"), (BGL, "shared"), False),
        ((lock_set("cluster"), "exclusive"), (LockName("cluster/config"), "shared"), True),
    ],
)
def test_which_locks_two_jobs_may_have(held: Asked, wanted: Asked, *, fits: bool) -> None:
    _, answer = ask(given(Locks(), ONE, held), TWO, wanted)
    assert isinstance(answer, Granted) == fits
    if not fits:
        assert answer == Blocked((ONE,))


def test_all_or_nothing() -> None:
    locks = waits(given(Locks(), ONE, (B, "exclusive")), TWO, (A, "exclusive"), (B, "exclusive"))
    assert locks.allocation.held(TWO) == ()
    locks, granted = release(locks, owner(ONE), None)
    assert granted == (TWO,)
    assert locks.allocation.held(TWO) == (Held(A, "exclusive"), Held(B, "exclusive"))


def test_a_set_implies_its_members() -> None:
    locks = given(Locks(), ONE, (ALL, "exclusive"))
    locks = given(locks, ONE, (A, "exclusive"), (B, "shared"))
    locks = given(locks, ONE, (ALL, "release"))
    assert locks.allocation.held(ONE) == (Held(A, "exclusive"), Held(B, "shared"))
    assert isinstance(ask(locks, TWO, (B, "shared"))[1], Granted)


@pytest.mark.parametrize(
    ("held", "asked", "lower"),
    [
        ((B, "exclusive"), (A, "shared"), B),
        ((A, "exclusive"), (ALL, "shared"), A),
        ((NODE, "shared"), (BGL, "shared"), NODE),
        ((LockName("cluster/config"), "shared"), (NODE, "shared"), LockName("cluster/config")),
        ((ALL, "shared"), (A, "exclusive"), ALL),
    ],
)
def test_locks_are_asked_for_in_order(held: Asked, asked: Asked, lower: LockName) -> None:
    with pytest.raises(LockOrderViolated) as caught:
        ask(given(Locks(), ONE, held), ONE, asked)
    assert (caught.value.asked, caught.value.held) == (asked[0], lower)


def test_what_one_has_already_may_be_asked_for_again() -> None:
    locks = given(Locks(), ONE, (BGL, "shared"), (ALL, "exclusive"), (NODE, "exclusive"))
    for asked in ((BGL, "shared"), (A, "exclusive"), (NODE, "shared"), (ALL, "shared")):
        given(locks, ONE, asked)


def test_sharing_becomes_exclusive_only_at_once() -> None:
    locks = given(Locks(), ONE, (A, "shared"))
    assert given(locks, ONE, (A, "exclusive")).allocation.of(ONE)[A] == "exclusive"
    both = given(locks, TWO, (A, "shared"))
    with pytest.raises(LockOrderViolated):
        ask(both, ONE, (A, "exclusive"))
    _, _, answer = try_request(both, owner(ONE), [LockRequest(A, "exclusive")])
    assert answer == Blocked((TWO,))


def test_a_lock_in_two_modes_and_a_name_of_nothing_are_bad_calls() -> None:
    with pytest.raises(BadCall, match="in two modes at once"):
        ask(Locks(), ONE, (A, "shared"), (A, "exclusive"))
    for name in ("instance", "instance/", "planet/x", "config/x", ""):
        with pytest.raises(BadCall, match="is not the name of a lock"):
            ask(Locks(), ONE, (LockName(name), "shared"))


def test_the_line_is_by_priority_then_age() -> None:
    locks = given(Locks(), ONE, (A, "exclusive"))
    locks = waits(locks, TWO, (A, "exclusive"), priority=5)
    locks = waits(locks, THREE, (A, "exclusive"), priority=0)
    assert blockers(locks, TWO) == (ONE, THREE)
    locks, granted = release(locks, owner(ONE), "instance")
    assert granted == (THREE,)

    locks = waits(locks, ONE, (A, "exclusive"), priority=5)
    locks, granted = release(locks, owner(THREE), None)
    assert granted == (TWO,)


def test_a_stream_of_sharers_does_not_starve_one_who_wants_it_alone() -> None:
    locks = given(Locks(), ONE, (A, "shared"))
    locks = waits(locks, TWO, (A, "exclusive"))
    locks = waits(locks, THREE, (A, "shared"))
    assert blockers(locks, THREE) == (TWO,)
    assert try_request(locks, owner(JobId(4)), [LockRequest(A, "shared")])[2] == Blocked((TWO,))
    locks, granted = withdraw(locks, TWO)
    assert granted == (THREE,)


def test_nobody_waits_for_one_who_waits_for_him() -> None:
    locks = given(Locks(), ONE, (A, "exclusive"))
    locks = waits(locks, TWO, (A, "exclusive"), (B, "exclusive"))
    locks = given(locks, ONE, (B, "exclusive"))
    assert blockers(locks, TWO) == (ONE,)


def test_priority_can_be_changed_while_waiting() -> None:
    locks = given(Locks(), ONE, (A, "exclusive"))
    locks = waits(locks, TWO, (A, "exclusive"))
    locks = waits(locks, THREE, (A, "exclusive"))
    locks, _ = set_priority(locks, THREE, -1)
    assert blockers(locks, TWO) == (ONE, THREE)
    assert set_priority(locks, ONE, 3) == (locks, ())


def test_the_same_request_again_keeps_its_place() -> None:
    locks = given(Locks(), ONE, (A, "exclusive"))
    locks = waits(locks, TWO, (A, "exclusive"))
    locks = waits(locks, THREE, (A, "exclusive"))
    assert blockers(waits(locks, TWO, (A, "exclusive")), TWO) == (ONE,)
    assert blockers(waits(locks, TWO, (A, "shared")), TWO) == (ONE, THREE)


def test_a_new_attempt_has_the_locks_and_an_old_one_nothing() -> None:
    locks = given(Locks(), ONE, (A, "exclusive"))
    locks, _ = adopt(locks, owner(ONE, 2))
    assert locks.allocation.held(ONE) == (Held(A, "exclusive"),)
    for act in (
        lambda: adopt(locks, owner(ONE, 1)),
        lambda: release(locks, owner(ONE, 1), None),
        lambda: request(locks, owner(ONE, 1), [], 0),
        lambda: try_request(locks, owner(ONE, 1), []),
    ):
        with pytest.raises(StaleAttempt):
            act()


def test_what_an_old_attempt_waited_for_is_taken_back() -> None:
    locks = given(Locks(), ONE, (A, "exclusive"))
    locks = waits(locks, TWO, (A, "shared"))
    locks, _ = adopt(locks, owner(TWO, 2))
    assert TWO not in locks.waiting


def test_a_dropped_job_leaves_nothing() -> None:
    locks = waits(given(Locks(), ONE, (A, "exclusive")), TWO, (A, "exclusive"))
    locks, granted = drop_job(locks, ONE)
    assert granted == (TWO,)
    locks, _ = drop_job(locks, TWO)
    assert locks == Locks(requests=locks.requests)


def test_stored_locks_are_restored() -> None:
    locks = restored([(owner(ONE, 3), {A: "exclusive", BGL: "shared"})])
    assert locks.allocation.held(ONE) == (Held(BGL, "shared"), Held(A, "exclusive"))
    with pytest.raises(StaleAttempt):
        adopt(locks, owner(ONE, 2))


def test_who_has_what_is_shown_in_the_order_of_locks() -> None:
    locks = given(Locks(), ONE, (BGL, "shared"), (A, "exclusive"))
    locks = given(locks, TWO, (BGL, "shared"))
    locks = waits(locks, TWO, (A, "shared"), (B, "exclusive"))
    assert states(locks) == (
        LockState(BGL, "shared", (ONE, TWO), ()),
        LockState(A, "exclusive", (ONE,), (LockWait(TWO, "shared", (ONE,)),)),
        LockState(B, None, (), (LockWait(TWO, "exclusive", (ONE,)),)),
    )


def test_sharing_what_was_exclusive_lets_others_in() -> None:
    locks = given(Locks(), ONE, (ALL, "exclusive"))
    locks = waits(locks, TWO, (A, "shared"))
    locks, granted, _ = request(locks, owner(ONE), [LockRequest(ALL, "shared")], 0)
    assert granted == (TWO,)


class CountedJob(int):
    """A job id that counts how often anybody is looked up by one: each visit does that."""

    visits = 0

    @override
    def __hash__(self) -> int:
        CountedJob.visits += 1
        return int.__hash__(self)

    __eq__ = int.__eq__


def visits_of_a_release(waiters: int) -> int:
    """Let go of the one lock that so many wait for; the first of them gets it."""
    holder, first, *more = (JobId(CountedJob(number)) for number in range(waiters + 1))
    locks = given(Locks(), holder, (A, "exclusive"))
    for job in (first, *more):
        locks, answer = ask(locks, job, (A, "exclusive"))
        assert isinstance(answer, Blocked)
    CountedJob.visits = 0
    locks, granted = release(locks, owner(holder), None)
    assert granted == (first,)
    assert len(locks.waiting) == len(more)
    return CountedJob.visits


def test_a_release_goes_along_the_line_once() -> None:
    """Each of 500 waits for all before it: to look at each pair a few times is all there is."""
    waiters = 500
    pairs = waiters * (waiters - 1) // 2
    assert visits_of_a_release(waiters) <= 4 * pairs
