"""Laws of the job queue, for every history that clients and processes can make."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast, get_args

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.core.queue.fold import replay
from gantry.core.queue.happenings import (
    Accepted,
    Archive,
    Cancel,
    ChangePriority,
    Decide,
    Died,
    Happening,
    NotStarted,
    Release,
    Reported,
    Rules,
    SetDrained,
    SetLogLevel,
    SetPaused,
    SetQueuePaused,
    Spawn,
    Started,
    Step,
    Submit,
    Tick,
)
from gantry.core.queue.machine import step
from gantry.core.queue.outline import outline
from gantry.core.queue.snapshot import restore, take
from gantry.core.queue.state import Queue
from gantry.core.queue.submission import check
from gantry.core.queue.transitions import ALLOWED, with_status
from gantry.protocols.identity import Attempt, JobId, Key
from gantry.protocols.job_course import LockWait
from gantry.protocols.jobproc import (
    BlockedBy,
    Ended,
    Event,
    EventNumber,
    JobsWanted,
    Logged,
    Numbered,
    OpcodeChanged,
    OpcodeStatus,
    Recorded,
    Shown,
    Waited,
)
from gantry.protocols.jobs import Choice, OpStatus, Timestamp, new_job
from gantry.protocols.queue_records import (
    AttemptBegun,
    JobDecided,
    QueueRecord,
    ReignBegun,
    dump_record,
    load_record,
)
from gantry.protocols.steps import Asked, Delay, Done, NoUndo, Plan, Planned, Say, StepName
from gantry.protocols.steps import Started as StepStarted
from gantry.protocols.steps import Step as PlanStep

RULES = Rules(running_max=2, available=lambda op_id: op_id == "OP_TEST_DELAY")
JOBS = st.integers(1, 8).map(JobId)
OPCODES = st.integers(0, 1)
TIMES = st.integers(0, 2000).map(lambda seconds: (10**9 + seconds, 0))


def delay(**parameters: object) -> dict[str, object]:
    return {"OP_ID": "OP_TEST_DELAY", "duration": 1.0, "reason": [], **parameters}


DEPENDS = st.lists(
    st.tuples(
        st.integers(-2, 9).filter(bool),
        st.lists(st.sampled_from(["success", "error", "canceled"]), unique=True).map(tuple),
    ),
    max_size=2,
)
OPS = st.builds(
    lambda depends, priority: delay(
        depends=[list(map(list_of, d)) for d in depends], priority=priority
    ),
    DEPENDS,
    st.sampled_from([-10, 0, 10]),
)


def list_of(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


SUBMITS = st.builds(
    lambda jobs, at, drained: Submit(
        tuple(check(ops, RULES.available) for ops in jobs), at, though_drained=drained
    ),
    st.lists(st.lists(OPS, max_size=2), min_size=1, max_size=3),
    TIMES,
    st.booleans(),
)
CHOICES: st.SearchStrategy[Choice] = st.sampled_from(get_args(Choice))
CHANGES = st.builds(
    OpcodeChanged,
    OPCODES,
    cast(
        "st.SearchStrategy[OpcodeStatus]",
        st.sampled_from(["waiting", "running", "success", "error", "canceled"]),
    ),
    st.floats(1e9, 2e9),
    st.none() | st.just([1]),
)
PLAN = Plan(
    "OP_TEST_DELAY",
    1,
    (
        PlanStep(StepName("wait"), "idempotent", Delay(1.0), NoUndo("nothing stays")),
        PlanStep(StepName("say"), "checked", Say("x"), Say("y")),
    ),
)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    CHANGES,
    st.builds(Logged, OPCODES, st.just(1e9), st.just("message"), st.text(max_size=3)),
    st.builds(Logged, OPCODES, st.just(1e9), st.just("message-list"), st.just(["a", "b"])),
    st.builds(Recorded, st.builds(StepStarted, OPCODES, OPCODES, st.just(Attempt(1)))),
    st.builds(Recorded, st.builds(Done, OPCODES, OPCODES, st.none())),
    st.builds(Recorded, st.builds(Asked, OPCODES, st.none() | OPCODES, st.just("?"), st.just(1e9))),
    st.builds(Recorded, st.builds(Planned, OPCODES, st.just(PLAN)), st.just(1.5e9)),
    st.builds(Shown, OPCODES, st.just(outline(PLAN)), st.just(())),
    st.just(Waited(LockWait(0, 1e9, 1.1e9, (JobId(3),)))),
    st.builds(BlockedBy, st.just(())),
    st.builds(
        lambda job, ops: JobsWanted(Key(job, 0, 0), (tuple(ops),)), JOBS, st.lists(OPS, max_size=1)
    ),
    st.just(Ended()),
)
Act = Callable[[Queue], Happening]
PLACES = st.integers(0, 7)


def some_job(queue: Queue, place: int) -> JobId:
    """Return a job of the queue; one that is at work, if there is any."""
    known = sorted(queue.active) or sorted(queue.entries) or [JobId(1)]
    return known[place % len(known)]


def newest(queue: Queue, job: JobId) -> Attempt:
    entry = queue.entry(job)
    return Attempt(1) if entry is None else entry.attempt


def report(queue: Queue, place: int, events: list[Event], skip: int, at: Timestamp) -> Reported:
    """Report events; ``skip`` repeats some that were reported before."""
    job = some_job(queue, place)
    entry = queue.entry(job)
    first = max(1, (entry.reported if entry else 0) + 1 - skip)
    numbered = tuple(Numbered(EventNumber(n), e) for n, e in enumerate(events, start=first))
    return Reported(job, newest(queue, job), numbered, at)


def progress(queue: Queue, place: int, at: Timestamp) -> Reported:
    """Report what a job that does well says next."""
    entry = queue.entry(some_job(queue, place))
    ops = entry.job.ops if entry else ()
    index = next((i for i, op in enumerate(ops) if not op.is_final), None)
    if index is None:
        return report(queue, place, [Ended()], 0, at)
    onward: dict[str, OpcodeStatus] = {"queued": "waiting", "waiting": "running"}
    status = onward.get(ops[index].status, "success")
    return report(queue, place, [OpcodeChanged(index, status, 1.5e9)], 0, at)


def always(event: Happening) -> Act:
    return lambda _: event


PROGRESS = st.builds(lambda place, at: lambda q: progress(q, place, at), PLACES, TIMES)
TICKS = TIMES.map(lambda at: always(Tick(at)))
ACTS: st.SearchStrategy[Act] = st.one_of(
    SUBMITS.map(always),
    PROGRESS,
    TICKS,
    st.builds(Cancel, JOBS, st.booleans(), TIMES).map(always),
    st.builds(ChangePriority, JOBS, st.sampled_from([-10, 0, 10, 99])).map(always),
    st.builds(SetDrained, st.booleans()).map(always),
    st.builds(SetPaused, JOBS, st.booleans(), TIMES).map(always),
    st.builds(SetQueuePaused, st.booleans()).map(always),
    st.builds(SetLogLevel, JOBS, st.sampled_from(["info", "debug"])).map(always),
    st.builds(Archive, JOBS).map(always),
    st.builds(
        lambda place, at, blameless: (
            lambda q: Died(job := some_job(q, place), newest(q, job), at, blameless)
        ),
        PLACES,
        TIMES,
        st.booleans(),
    ),
    st.builds(
        lambda place, choice: lambda q: Decide(some_job(q, place), choice),
        PLACES,
        CHOICES,
    ),
    st.builds(lambda p: lambda q: Started(job := some_job(q, p), newest(q, job), 42), PLACES),
    st.builds(
        lambda p, at: lambda q: NotStarted(job := some_job(q, p), newest(q, job), "no", at),
        PLACES,
        TIMES,
    ),
    st.builds(
        lambda place, events, skip, at: lambda q: report(q, place, events, skip, at),
        PLACES,
        st.lists(EVENTS, min_size=1, max_size=4),
        st.integers(0, 2),
        TIMES,
    ),
)
HISTORIES = st.builds(
    lambda submit, tick, rest: [always(submit), tick, *rest],
    SUBMITS,
    TICKS,
    st.lists(ACTS, max_size=40),
)


def steps(history: list[Act]) -> list[tuple[Queue, Step]]:
    """Run a history; for each event the queue before it and what it led to."""
    queue, taken = Queue(), []
    for act in history:
        after = step(queue, act(queue), RULES)
        taken.append((queue, after))
        queue = after.queue
    return taken


def final(history: list[Act]) -> tuple[Queue, list[QueueRecord]]:
    taken = steps(history)
    queue = taken[-1][1].queue if taken else Queue()
    return queue, [record for _, each in taken for record in each.records]


@settings(max_examples=200)
@given(HISTORIES)
def test_the_records_give_the_queue_back(history: list[Act]) -> None:
    queue, records = final(history)
    stored = [load_record(dump_record(record)) for record in records]
    assert replay(stored) == queue


@given(HISTORIES, st.integers(0, 100))
def test_a_snapshot_stands_for_all_records_before_it(history: list[Act], cut: int) -> None:
    queue, records = final(history)
    snapshot = take(replay(records[:cut]))
    restored = restore(snapshot)
    assert take(restored) == snapshot
    assert take(replay(records[cut:], restored)) == take(queue)


@given(HISTORIES)
def test_opcodes_move_only_along_the_allowed_ways(history: list[Act]) -> None:
    reachable: dict[OpStatus, frozenset[OpStatus]] = {}
    for status in reversed(list(ALLOWED)):
        reachable[status] = ALLOWED[status].union(
            {status}, *(reachable.get(s, ()) for s in ALLOWED[status])
        )
    for before, after in steps(history):
        for job, entry in before.entries.items():
            now = after.queue.job(job)
            if now is not None:
                for old, new in zip(entry.job.ops, now.ops, strict=True):
                    assert new.status in reachable[old.status]
                    if old.is_final:
                        assert attrs.evolve(new, log=()) == attrs.evolve(old, log=())


@given(HISTORIES)
def test_an_accepted_job_stays_until_it_is_archived(history: list[Act]) -> None:
    accepted: set[JobId] = set()
    for before, after in steps(history):
        if isinstance(after.answer, Accepted):
            accepted |= {job for job in after.answer.jobs if isinstance(job, int)}
        assert accepted <= {*after.queue.entries, *after.queue.archived.status}
        assert after.queue.serial >= before.serial


@given(HISTORIES)
def test_the_indexes_say_what_the_entries_say(history: list[Act]) -> None:
    queue, _ = final(history)
    entries = queue.entries.values()
    queued = [e for e in entries if e.phase == "queued" and not e.paused]
    on_hold = {e.id for e in entries if e.phase == "queued" and e.paused}
    assert set(queue.on_hold) == on_hold
    ready = [(e.job.priority, e.id) for e in queued if not e.depends]
    assert list(queue.ready.in_order()) == sorted(ready)
    assert {*queue.held, *queue.released} == {e.id for e in queued if e.depends}
    assert set(queue.held).isdisjoint(queue.released)
    for job, others in queue.held.items():
        assert others
        assert others <= {d.job for d in queue.entries[job].depends}
        assert all(map(queue.is_unfinished, others))
    pairs = {(other, job) for job, others in queue.held.items() for other in others}
    assert {(other, job) for other, them in queue.dependents.items() for job in them} == pairs
    assert set(queue.active) == {e.id for e in entries if e.phase == "active"}


@given(HISTORIES)
def test_a_job_is_released_exactly_once_and_only_when_it_is_over(history: list[Act]) -> None:
    released: list[JobId] = []
    for _, after in steps(history):
        for effect in after.effects:
            if isinstance(effect, Release):
                released.append(effect.job)
                entry = after.queue.entries[effect.job]
                assert entry.closed
                assert entry.job.is_final
    assert len(released) == len(set(released))


@given(HISTORIES)
def test_a_process_is_spawned_for_a_recorded_attempt_and_within_the_limit(
    history: list[Act],
) -> None:
    for before, after in steps(history):
        spawned = [effect for effect in after.effects if isinstance(effect, Spawn)]
        for effect in spawned:
            assert after.queue.entries[effect.job].attempt == effect.attempt
            assert effect.attempt == (before.entries[effect.job].attempt) + 1
            assert not before.entries[effect.job].job.is_final
        fresh = [effect for effect in spawned if effect.attempt == 1]
        assert not fresh or len(after.queue.active) <= RULES.running_max


@given(HISTORIES)
def test_what_was_reported_is_not_counted_twice(history: list[Act]) -> None:
    queue = Queue()
    for act in history:
        event = act(queue)
        after = step(queue, event, RULES)
        if isinstance(event, Reported):
            assert step(after.queue, event, RULES).records == ()
        queue = after.queue


@given(st.lists(CHANGES, max_size=20), st.integers(1, 3))
def test_a_job_follows_its_opcodes(changes: list[OpcodeChanged], opcodes: int) -> None:
    job = new_job(JobId(1), [delay()] * opcodes, (1, 0))
    for change in changes:
        before, at = job, (int(change.at), 0)
        job = with_status(job, change.opcode, change.status, at, change.result)
        for old, new in zip(before.ops, job.ops, strict=True):
            if old.status != new.status:
                assert new.status in ALLOWED[old.status]
            if old.is_final:
                assert new == old
        if job.is_final:
            assert all(op.is_final for op in job.ops)
            assert job.end_timestamp is not None


@given(HISTORIES)
def test_log_entries_are_numbered_without_gaps(history: list[Act]) -> None:
    for _, after in steps(history):
        for job in after.queue.jobs():
            serials = [entry.serial for op in job.ops for entry in op.log]
            assert sorted(serials) == list(range(1, len(serials) + 1))


@given(SUBMITS, st.lists(CHANGES, max_size=12), TIMES)
def test_the_death_of_a_process_ends_or_rolls_back(
    submit: Submit, changes: list[Event], at: Timestamp
) -> None:
    queue = step(Queue(), submit, RULES).queue
    queue = step(queue, Tick(at), RULES).queue
    for job in list(queue.active):
        queue = step(queue, Started(job, Attempt(1), 42), RULES).queue
        queue = step(queue, report(queue, 0, changes, 0, at), RULES).queue
        was_final = queue.entries[job].job.is_final
        for _ in range(4):
            died = step(queue, Died(job, newest(queue, job), at), RULES)
            assert bool(died.effects) == (not queue.entries[job].closed)
            queue = died.queue
        assert queue.entries[job].closed
        assert queue.entries[job].job.is_final
        assert was_final == (queue.entries[job].attempt == 1)


@given(HISTORIES)
def test_nothing_that_is_paused_begins(history: list[Act]) -> None:
    for before, after in steps(history):
        begun = {e.job for e in after.effects if isinstance(e, Spawn) and e.attempt == 1}
        assert not begun or not before.paused
        assert not any(before.entries[job].paused for job in begun)


@given(HISTORIES)
def test_pausing_and_resuming_changes_nothing_else(history: list[Act]) -> None:
    """A job that is paused and resumed has the opcodes, steps and place that it had before."""
    for before, _ in steps(history):
        for job, entry in before.entries.items():
            paused = step(before, SetPaused(job, not entry.paused, (10**9, 0)), RULES).queue
            back = step(paused, SetPaused(job, entry.paused, (10**9, 0)), RULES).queue
            same = attrs.evolve(back.entries[job], paused=entry.paused, course=entry.course)
            assert same == entry
            unpaused = attrs.evolve(entry, paused=False)
            if not back.entries[job].paused and not entry.paused:
                assert back.put(unpaused) == before


@given(HISTORIES)
def test_an_answer_ends_a_question_and_nothing_else_is_answered(history: list[Act]) -> None:
    for before, after in steps(history):
        for record in after.records:
            if isinstance(record, JobDecided):
                asked = before.entries[record.job].question
                assert asked is not None
                assert record.decided.asked_at == asked.at
                assert after.queue.entries[record.job].question is None


@given(HISTORIES)
def test_a_job_is_turned_back_for_its_own_deaths_only(history: list[Act]) -> None:
    for before, after in steps(history):
        for record in after.records:
            if isinstance(record, AttemptBegun) and record.blameless:
                entry, now = before.entries[record.job], after.queue.entries[record.job]
                assert (now.mode, now.deaths) == (entry.mode, entry.deaths)
                assert now.roll_backs == entry.roll_backs


@given(HISTORIES)
def test_a_new_master_inherits_no_deaths(history: list[Act]) -> None:
    queue = replay([ReignBegun()], final(history)[0])
    assert not queue.drained
    for job in queue.active:
        entry = queue.entries[job]
        after = step(queue, Died(job, entry.attempt, (10**9, 0)), RULES).queue.entries[job]
        assert (after.deaths, after.roll_backs) == (entry.deaths, entry.roll_backs)
        assert after.closed or (after.mode == entry.mode and not after.is_orphan)
