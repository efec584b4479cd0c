"""Laws of locks under random histories, and agreement with a plain second implementation."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.property.core.locking.plain_locks import PlainLocks, Waiter, clash, leads

from gantry.core.locking.names import rank
from gantry.core.locking.waiting import (
    Locks,
    blockers,
    drop_job,
    release,
    request,
    set_priority,
    settle,
    states,
    try_request,
    wait_graph,
    withdraw,
)
from gantry.protocols.errors import BadCall
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.locks import Blocked, Granted, Level, LockName, LockOwner, LockRequest
from gantry.protocols.wconfd import LockOrderViolated

JOBS = [JobId(number) for number in range(1, 6)]
NAMES = [
    LockName(name)
    for name in (
        "cluster/BGL",
        "cluster/[lockset]",
        "instance/[lockset]",
        "instance/a",
        "instance/b",
        "node/[lockset]",
        "node/x",
        "node/y",
        "cluster/config",
    )
]
ONE_REQUEST = st.builds(
    LockRequest, st.sampled_from(NAMES), st.sampled_from(["shared", "exclusive", "release"])
)
REQUESTS = st.lists(ONE_REQUEST, min_size=1, max_size=3)


def owner(job: JobId) -> LockOwner:
    return LockOwner(job, Attempt(1))


class LockHistory(RuleBasedStateMachine):
    """Random requests by five jobs; after each step both implementations must agree."""

    def __init__(self) -> None:
        super().__init__()
        self.locks = Locks()
        self.plain = PlainLocks()

    @rule(job=st.sampled_from(JOBS), requests=REQUESTS, priority=st.integers(0, 2))
    def ask(self, job: JobId, requests: list[LockRequest], priority: int) -> None:
        if job in self.locks.waiting:
            return
        upgrade = any(
            r.mode == "exclusive" and self.plain.of(job).get(r.name) == "shared" for r in requests
        )
        try:
            self.locks, _, answer = request(self.locks, owner(job), requests, priority)
        except (LockOrderViolated, BadCall):
            return
        if upgrade:
            assert isinstance(answer, Granted)
            self.plain.apply(job, requests)
        else:
            self.plain.line.append(Waiter(job, requests, priority))
        self.plain.settle()
        assert isinstance(answer, Blocked) == any(w.job == job for w in self.plain.line)

    @rule(job=st.sampled_from(JOBS), requests=REQUESTS)
    def try_to_get(self, job: JobId, requests: list[LockRequest]) -> None:
        before = self.locks
        try:
            self.locks, _, answer = try_request(self.locks, owner(job), requests)
        except (LockOrderViolated, BadCall):
            return
        if isinstance(answer, Granted):
            self.plain.apply(job, requests)
            self.plain.settle()
        else:
            assert answer.by
            assert self.locks.allocation == before.allocation
            assert self.locks.waiting == before.waiting

    @rule(job=st.sampled_from(JOBS), level=st.sampled_from([None, "instance", "node", "cluster"]))
    def let_go(self, job: JobId, level: Level | None) -> None:
        self.locks, _ = release(self.locks, owner(job), level)
        if level is None:
            self.plain.line = [w for w in self.plain.line if w.job != job]
        for name in list(self.plain.of(job)):
            of_level = "config" if name == "cluster/config" else name.partition("/")[0]
            if level in (None, of_level):
                del self.plain.of(job)[name]
        self.plain.settle()

    @precondition(lambda self: self.locks.waiting)
    @rule(data=st.data(), priority=st.integers(0, 2), gives_up=st.booleans())
    def change_the_line(self, data: st.DataObject, *, priority: int, gives_up: bool) -> None:
        job = data.draw(st.sampled_from(sorted(self.locks.waiting)))
        (waiter,) = [w for w in self.plain.line if w.job == job]
        if gives_up:
            self.locks, _ = withdraw(self.locks, job)
            self.plain.line.remove(waiter)
        else:
            self.locks, _ = set_priority(self.locks, job, priority)
            waiter.priority = priority
        self.plain.settle()

    @rule(job=st.sampled_from(JOBS))
    def end(self, job: JobId) -> None:
        self.locks, _ = drop_job(self.locks, job)
        self.plain.line = [w for w in self.plain.line if w.job != job]
        self.plain.held.pop(job, None)
        self.plain.settle()

    @invariant()
    def both_agree(self) -> None:
        mine = {job: dict(self.locks.allocation.of(job)) for job in JOBS}
        assert mine == {job: self.plain.of(job) for job in JOBS}
        assert set(self.locks.waiting) == {waiter.job for waiter in self.plain.line}
        graph = {job: set(by) for job, by in wait_graph(self.locks).items()}
        assert graph == self.plain.graph()
        assert all(blockers(self.locks, job) == tuple(sorted(by)) for job, by in graph.items())

    @invariant()
    def no_two_jobs_have_clashing_locks(self) -> None:
        for one, other in combinations(JOBS, 2):
            for lock in self.locks.allocation.of(one).items():
                for other_lock in self.locks.allocation.of(other).items():
                    assert not clash(lock, other_lock)

    @invariant()
    def everybody_who_waits_has_a_reason_and_nobody_waits_in_a_circle(self) -> None:
        graph = {job: set(by) for job, by in wait_graph(self.locks).items()}
        assert all(graph.values())
        assert settle(self.locks) == (self.locks, ())
        for job, by in graph.items():
            assert not any(leads(graph, each, job) for each in by)

    @invariant()
    def what_is_shown_is_what_is(self) -> None:
        shown = states(self.locks)
        assert [state.name for state in shown] == sorted((s.name for s in shown), key=rank)
        held = {(s.name, job) for s in shown for job in s.owners}
        assert held == {(name, job) for job in JOBS for name in self.locks.allocation.of(job)}

    @invariant()
    def the_line_is_what_is_waited_for(self) -> None:
        line = Locks().allocation
        for job, pending in self.locks.waiting.items():
            line = line.with_locks(job, {n: m for n, m in pending.wanted.items() if m is not None})
        assert self.locks.line == line

    @invariant()
    def counts_of_members_are_right(self) -> None:
        fresh = Locks().allocation
        for job in JOBS:
            fresh = fresh.with_locks(job, self.locks.allocation.of(job))
        assert fresh == self.locks.allocation


TestLockHistory = LockHistory.TestCase
TestLockHistory.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)


@given(st.lists(st.tuples(st.sampled_from(JOBS), REQUESTS), max_size=12))
def test_when_all_jobs_end_nothing_is_left(history: list[tuple[JobId, list[LockRequest]]]) -> None:
    locks = Locks()
    for job, requests in history:
        try:
            locks, _, _ = request(locks, owner(job), requests, 0)
        except (LockOrderViolated, BadCall):
            continue
    while locks.waiting:  # somebody can always go on
        running = {job for job in JOBS if job not in locks.waiting} & set(locks.allocation.owned)
        assert running
        for job in running:
            locks, _ = drop_job(locks, job)
    for job in JOBS:
        locks, _ = drop_job(locks, job)
    assert locks == Locks(requests=locks.requests)


def test_the_laws_can_fail() -> None:
    history = LockHistory()
    history.ask(JOBS[0], [LockRequest(NAMES[3], "exclusive")], 0)
    history.plain.held[JOBS[0]] = {}
    with pytest.raises(AssertionError):
        history.both_agree()
