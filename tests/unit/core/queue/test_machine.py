"""Decisions of the queue, one by one."""

from __future__ import annotations

import attrs
import pytest

from gantry.core.queue.attempts import DEATHS_MAX, ROLL_BACKS_MAX, STARTS_MAX, assignment
from gantry.core.queue.fold import replay
from gantry.core.queue.happenings import (
    Accepted,
    AnswerWanted,
    Archive,
    Asked,
    AskForPriority,
    AskToCancel,
    Cancel,
    ChangePriority,
    Decide,
    Died,
    Happening,
    Keep,
    Kill,
    NotStarted,
    Refused,
    Release,
    Reported,
    Rules,
    Said,
    SetDrained,
    Spawn,
    Step,
    Submit,
    TellDecision,
    Tick,
)
from gantry.core.queue.happenings import Started as Begun
from gantry.core.queue.machine import step
from gantry.core.queue.snapshot import restore, take
from gantry.core.queue.state import NO_JOB, SENDINGS_MIN, Queue, Sendings
from gantry.core.queue.submission import check
from gantry.protocols.errors import JobQueueFull
from gantry.protocols.identity import Attempt, Epoch, JobId, Key
from gantry.protocols.jobproc import (
    BlockedBy,
    Ended,
    Event,
    EventNumber,
    JobsWanted,
    NotSubmitted,
    Numbered,
    OpcodeChanged,
    Recorded,
    Submitted,
)
from gantry.protocols.jobs import JobStatus
from gantry.protocols.queue_records import (
    JobDecided,
    JobReported,
    JobsSubmitted,
    ReignBegun,
    Sending,
)
from gantry.protocols.steps import Asked as StepAsked
from gantry.protocols.steps import (
    Decided,
    Done,
    NoUndo,
    Plan,
    Planned,
    Say,
    Started,
    StepName,
    StepRecord,
    Undone,
)
from gantry.protocols.steps import Step as PlanStep

AVAILABLE = {"OP_TEST_DELAY", "OP_INSTANCE_CREATE", "OP_CLUSTER_VERIFY"}
RULES = Rules(running_max=2, available=AVAILABLE.__contains__)
NOW = (1_000_000_000, 0)
FIRST = Attempt(1)


def delay(**parameters: object) -> dict[str, object]:
    return {"OP_ID": "OP_TEST_DELAY", "duration": 1.0, "reason": [], **parameters}


class Bench:
    """A queue and what happened to it."""

    def __init__(self, running_max: int = 2) -> None:
        self.queue = Queue()
        self.rules = attrs.evolve(RULES, running_max=running_max)

    def do(self, event: Happening) -> Step:
        done = step(self.queue, event, self.rules)
        self.queue = done.queue
        return done

    def submit(self, *ops: dict[str, object]) -> JobId:
        answer = self.do(Submit((check(ops, self.rules.available),), NOW)).answer
        assert isinstance(answer, Accepted)
        (job,) = answer.jobs
        assert isinstance(job, int)
        return job

    def tick(self) -> list[JobId]:
        """Schedule; return which jobs begin."""
        return [e.job for e in self.do(Tick(NOW)).effects if isinstance(e, Spawn)]

    def report(self, job: JobId, *events: Event) -> Step:
        entry = self.queue.entries[job]
        numbered = tuple(
            Numbered(EventNumber(n), e) for n, e in enumerate(events, start=entry.reported + 1)
        )
        return self.do(Reported(job, entry.attempt, numbered, NOW))

    def finish(self, job: JobId, status: str = "success") -> None:
        self.report(job, OpcodeChanged(0, "waiting", 1e9), OpcodeChanged(0, "running", 1e9))
        self.report(job, OpcodeChanged(0, status, 1e9), Ended())  # type: ignore[arg-type]  # a literal

    def status(self, job: JobId) -> JobStatus | None:
        return self.queue.final_status(job)

    def results(self, job: JobId) -> list[object]:
        return [op.result for op in self.queue.entries[job].job.ops]


# --- scheduling ----------------------------------------------------------------------------------


def test_jobs_begin_by_priority_then_by_id_while_slots_are_free() -> None:
    bench = Bench(running_max=2)
    low, first, high, second = (bench.submit(delay(priority=p)) for p in (10, 0, -10, 0))
    assert bench.tick() == [high, first]
    assert bench.tick() == []
    bench.finish(high)
    assert bench.tick() == [second]
    bench.finish(first)
    assert bench.tick() == [low]


def test_a_job_waits_for_those_it_depends_on() -> None:
    bench = Bench()
    first = bench.submit(delay())
    second = bench.submit(delay(depends=[[-1, ["success"]]]))
    assert bench.tick() == [first]
    bench.finish(first)
    assert bench.tick() == [second]


@pytest.mark.parametrize(
    ("ended", "accepted", "expected"),
    [
        ("success", ["success"], "queued"),
        ("error", ["error", "success"], "queued"),
        ("error", [], "queued"),
        ("canceled", ["canceled"], "queued"),
        ("canceled", ["success"], "canceled"),
        ("error", ["success"], "error"),
        ("success", ["error"], "error"),
    ],
)
def test_how_a_dependency_ended_decides(
    ended: str, accepted: list[str], expected: JobStatus
) -> None:
    bench = Bench()
    first = bench.submit(delay())
    bench.tick()
    bench.finish(first, ended)
    bench.do(Archive(first))
    second = bench.submit(delay(depends=[[first, accepted]]))
    begun = bench.tick()
    assert bench.status(second) == expected
    assert begun == ([second] if expected == "queued" else [])


def test_a_dependency_that_does_not_exist_fails_the_job() -> None:
    bench = Bench()
    job = bench.submit(delay(depends=[[999999, []]]), delay())
    assert bench.do(Tick(NOW)).effects == (Release(job),)
    assert bench.results(job) == [
        ["OpExecError", ["Dependency error: Job 999999 not found"]],
        ["OpExecError", ["Preceding opcode failed"]],
    ]


def test_a_failed_dependency_ends_a_whole_chain_at_once() -> None:
    bench = Bench()
    jobs = [bench.submit(delay(depends=[[999, []]]))]
    jobs += [bench.submit(delay(depends=[[-1, ["success"]]])) for _ in range(3)]
    bench.tick()
    assert [bench.status(job) for job in jobs] == ["error"] * 4


def test_a_job_without_opcodes_has_succeeded() -> None:
    bench = Bench()
    job = bench.submit()
    assert bench.status(job) == "success"
    assert bench.tick() == []


# --- submission ----------------------------------------------------------------------------------


def test_a_drained_queue_takes_no_jobs_but_by_the_side_door() -> None:
    bench = Bench()
    bench.do(SetDrained(drained=True))
    refused = bench.do(Submit(((),), NOW))
    assert isinstance(refused.answer, Refused)
    assert refused.answer.error.encoded == ["GenericError", ["Queue drained"]]
    assert refused.records == ()
    assert bench.do(Submit(((),), NOW, though_drained=True)).answer == Accepted((JobId(1),))


def test_a_repeated_submission_gets_the_first_answer() -> None:
    bench = Bench()
    jobs = (check([delay()], RULES.available),) * 2

    def send(connection: str, seconds: int = 0, old_through: int = 0) -> Step:
        at, sending = (NOW[0] + seconds, 0), Sending("digest", connection)
        return bench.do(Submit(jobs, at, sending, old_through=JobId(old_through)))

    first = send("a")
    for seconds in (0, 599, 3600, -3600):  # the clock may be set meanwhile
        again = send("b", seconds)
        assert again.answer == first.answer == Accepted((JobId(1), JobId(2)))
        assert again.records == ()
    assert send("a").answer == Accepted((JobId(3), JobId(4)))
    assert send("c", old_through=3).answer == Accepted((JobId(3), JobId(4)))
    assert send("c", old_through=4).answer == Accepted((JobId(5), JobId(6)))


def test_submissions_are_remembered_however_the_clock_is_set() -> None:
    sendings = Sendings()
    for number in range(1, SENDINGS_MIN):
        at = (NOW[0] + 7200 * (-1) ** number, 0)
        sendings = sendings.add(Sending(f"digest {number}", "a"), (JobId(number),), at)
    found = [sendings.find(f"digest {n}", NO_JOB) for n in range(1, SENDINGS_MIN)]
    assert [sent.jobs[0] for sent in found if sent] == [*range(1, SENDINGS_MIN)]


def test_and_forgotten_when_they_are_many_and_long_ago() -> None:
    sendings = Sendings()
    for number in range(1, 3 * SENDINGS_MIN + 2):
        at = (NOW[0] + number, 0)
        sendings = sendings.add(Sending(f"digest {number}", "a"), (JobId(number),), at)
    assert sendings.find("digest 1", NO_JOB) is None
    assert sendings.find(f"digest {2 * SENDINGS_MIN + 1}", NO_JOB) is not None
    assert len(sendings.old) + len(sendings.young) <= 2 * SENDINGS_MIN


def test_a_job_that_depends_on_nothing_before_it_is_refused_alone() -> None:
    bench = Bench()
    bad, good = (
        check([delay(depends=[[-9, []]])], RULES.available),
        check([delay()], RULES.available),
    )
    answer = bench.do(Submit((bad, good), NOW)).answer
    assert isinstance(answer, Accepted)
    assert "can not depend" in str(answer.jobs[0])
    assert answer.jobs[1] == 2
    assert set(bench.queue.entries) == {2}


def test_a_full_queue_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.core.queue.machine.JOBS_MAX", 1)
    bench = Bench()
    bench.submit(delay())
    answer = bench.do(Submit(((),), NOW)).answer
    assert isinstance(answer, Refused)
    assert isinstance(answer.error, JobQueueFull)


def test_secrets_are_kept_in_memory_and_in_no_record() -> None:
    bench = Bench()
    create = {
        "OP_ID": "OP_INSTANCE_CREATE",
        "reason": [],
        "instance_name": "web1",
        "mode": "create",
        "disks": [],
        "nics": [],
        "osparams_secret": {"password": "planted"},
    }
    done = bench.do(Submit((check([create], RULES.available),), NOW))
    assert done.effects == (Keep(JobId(1), ({"password": "planted"},)),)
    assert "planted" not in repr(done.records)
    assert "planted" not in repr(done.effects)


# --- cancel, priority, archive -------------------------------------------------------------------


def test_a_queued_job_is_dequeued() -> None:
    bench = Bench()
    job = bench.submit(delay(), delay())
    done = bench.do(Cancel(job, kill=False, at=NOW))
    assert done.answer == Said(success=True, text=f"Dequeued job {job}")
    assert bench.results(job) == [None, None]
    assert bench.queue.entries[job].job.end_timestamp == NOW
    again = bench.do(Cancel(job, kill=False, at=NOW))
    assert again.answer == Said(success=False, text=f"Job {job} not found in queue")


def test_a_waiting_job_is_asked_and_a_running_one_is_told() -> None:
    bench = Bench()
    job = bench.submit(delay())
    bench.tick()
    asked = bench.do(Cancel(job, kill=False, at=NOW))
    assert (asked.answer, asked.effects) == (Asked(), (AskToCancel(job),))
    bench.report(job, OpcodeChanged(0, "waiting", 1e9), OpcodeChanged(0, "running", 1e9))
    told = bench.do(Cancel(job, kill=False, at=NOW))
    assert isinstance(told.answer, Said)
    assert not told.answer.success
    assert told.effects == (AskToCancel(job),)
    assert told.records == ()  # it was asked once already
    killed = bench.do(Cancel(job, kill=True, at=NOW))
    assert isinstance(killed.answer, Said)
    assert killed.answer.success
    assert killed.effects == (Kill(job),)


def test_a_queued_job_moves_in_line_with_its_priority() -> None:
    bench = Bench(running_max=1)
    first, second = bench.submit(delay()), bench.submit(delay())
    bench.do(ChangePriority(second, -10))
    assert bench.tick() == [second]
    assert bench.do(ChangePriority(second, 10)).effects == (AskForPriority(second, 10),)
    bad = bench.do(ChangePriority(first, 3))
    assert isinstance(bad.answer, Said)
    assert not bad.answer.success
    assert bad.records == ()


def test_only_what_is_over_can_be_archived() -> None:
    bench = Bench()
    job = bench.submit(delay())
    assert bench.do(Archive(job)).records == ()
    bench.do(Cancel(job, kill=False, at=NOW))
    bench.do(Archive(job))
    assert bench.queue.job(job) is None
    assert bench.status(job) == "canceled"


# --- attempts ------------------------------------------------------------------------------------


def plan(*names: str) -> Plan:
    steps = tuple(PlanStep(StepName(n), "idempotent", Say(n), NoUndo("")) for n in names)
    return Plan("OP_TEST_DELAY", 1, steps)


def running(bench: Bench, *records: StepRecord) -> JobId:
    job = bench.submit(delay(), delay())
    bench.tick()
    bench.do(Begun(job, FIRST, pid=42))
    bench.report(job, OpcodeChanged(0, "waiting", 1e9), OpcodeChanged(0, "running", 1e9))
    bench.report(job, *map(Recorded, records))
    return job


def test_a_dead_process_is_followed_by_one_that_goes_on() -> None:
    bench = Bench()
    records: tuple[StepRecord, ...] = (Planned(0, plan("one")), Started(0, 0, FIRST))
    job = running(bench, *records)
    done = bench.do(Died(job, FIRST, NOW))
    assert done.effects == (Spawn(job, Attempt(2)),)
    given = assignment(bench.queue.entries[job], Epoch(3), ())
    assert (given.mode, given.attempt, given.epoch) == ("run", 2, 3)
    assert given.records == records
    assert not given.cancelled
    assert bench.do(Died(job, FIRST, NOW)).records == ()  # old news


def modes_after(bench: Bench, job: JobId, *deaths: bool) -> list[str]:
    """Let the job's processes die, blamelessly or not; return what each next one is to do."""
    modes: list[str] = []
    for blameless in deaths:
        attempt = bench.queue.entries[job].attempt
        bench.do(Begun(job, attempt, 42))
        assert bench.do(Died(job, attempt, NOW, blameless=blameless)).effects
        modes.append(bench.queue.entries[job].mode)
    return modes


def test_after_three_deaths_a_job_is_rolled_back() -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")))
    assert modes_after(bench, job, *[False] * DEATHS_MAX) == ["run", "run", "roll back"]


def test_a_death_that_the_lease_has_caused_is_not_counted() -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")))
    assert modes_after(bench, job, *[True] * 10, False, False, True) == ["run"] * 13
    assert modes_after(bench, job, False, *[True] * 5) == ["roll back"] * 6
    assert bench.queue.entries[job].roll_backs == 1


def test_what_ends_with_its_master_is_no_death_whoever_finds_out_and_when() -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")))
    for _ in range(DEATHS_MAX + 1):
        bench.queue = restore(take(replay([ReignBegun()], bench.queue)))
        assert modes_after(bench, job, False) == ["run"]
    assert bench.queue.entries[job].deaths == 0
    assert modes_after(bench, job, *[False] * DEATHS_MAX) == ["run", "run", "roll back"]


def test_a_question_waits_for_a_person_however_often_processes_die() -> None:
    bench = Bench()
    asked = StepAsked(0, 0, "has it been done?", 1e9)
    job = running(bench, Planned(0, plan("one")), asked)
    assert modes_after(bench, job, *[False] * 2 * DEATHS_MAX) == ["run"] * 2 * DEATHS_MAX
    bench.do(Decide(job, "redo"))
    assert modes_after(bench, job, *[False] * DEATHS_MAX) == ["run", "run", "roll back"]


def test_a_cancelled_job_does_not_wait_for_a_person() -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")), StepAsked(0, 0, "has it been done?", 1e9))
    bench.do(Cancel(job, kill=False, at=NOW))
    assert modes_after(bench, job, *[False] * DEATHS_MAX) == ["run", "run", "roll back"]


def test_deaths_before_any_work_are_no_deaths_of_the_job_but_end_it_too() -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")))
    attempt = bench.queue.entries[job].attempt
    bench.do(Begun(job, attempt, 42))
    modes = []
    for _ in range(1 + STARTS_MAX):
        bench.do(Died(job, bench.queue.entries[job].attempt, NOW))
        modes.append(bench.queue.entries[job].mode)
    assert modes == ["run", "run", "run", "roll back"]


def test_a_job_that_was_told_to_stop_is_told_again_in_its_next_attempt() -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")))
    bench.do(Cancel(job, kill=True, at=NOW))
    bench.do(Died(job, FIRST, NOW))
    given = assignment(bench.queue.entries[job], Epoch(3), ())
    assert (given.mode, given.cancelled) == ("run", True)
    assert take(restore(take(bench.queue))) == take(bench.queue)


def test_what_a_job_asks_is_answered_once() -> None:
    bench = Bench()
    asked = StepAsked(0, 2, "has it been done?", 1e9)
    job = running(bench, Planned(0, plan("one", "two", "three")), asked)
    assert bench.queue.entries[job].question == asked
    made = Decided(0, 2, "redo", 1e9)
    done = bench.do(Decide(job, "redo"))
    assert done.records == (JobDecided(job, made),)
    assert done.effects == (TellDecision(job, made),)
    assert bench.queue.entries[job].question is None
    bench.do(Died(job, FIRST, NOW))
    assert assignment(bench.queue.entries[job], Epoch(3), ()).records[-1] == made
    again = bench.do(Decide(job, "skip"))
    assert again.records == ()
    assert again.answer == Said(success=False, text=f"Job {job} does not wait for a decision")


def test_a_whole_plan_can_not_be_redone() -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")), StepAsked(0, None, "go on?", 1e9))
    refused = bench.do(Decide(job, "redo"))
    assert refused.records == ()
    assert isinstance(refused.answer, Said)
    assert not refused.answer.success
    assert bench.do(Decide(job, "skip")).records


def test_nobody_decides_for_a_job_that_is_not_there() -> None:
    assert Bench().do(Decide(JobId(9), "skip")).answer == Said(
        success=False, text="Job 9 not found in queue"
    )


def test_a_job_that_can_not_be_rolled_back_says_what_is_left() -> None:
    bench = Bench()
    job = running(
        bench,
        Planned(0, plan("make disk", "start", "say")),
        Started(0, 0, FIRST),
        Done(0, 0, None),
        Started(0, 1, FIRST),
        Started(0, 2, FIRST),
        Undone(0, 2),
    )
    modes_after(bench, job, *[False] * (DEATHS_MAX - 1 + ROLL_BACKS_MAX))
    last = bench.do(Died(job, bench.queue.entries[job].attempt, NOW))
    assert last.effects == (Release(job),)
    (first, second) = bench.results(job)
    assert first == second
    assert isinstance(first, str)
    assert "step 'make disk' of opcode 0 was done" in first
    assert "step 'start' of opcode 0 may have been done" in first
    assert "'say'" not in first
    trail = bench.queue.entries[job].job.ops[0].input["reason"]
    assert isinstance(trail, list)
    assert trail[-1][0] == "gnt:daemon:luxid:deathdetection"


def test_a_roll_back_that_ends_without_a_word_is_the_death_of_the_job() -> None:
    bench = Bench()
    job = running(bench)
    bench.do(Died(job, FIRST, NOW))
    done = bench.report(job, Ended())
    assert Release(job) in done.effects
    assert bench.results(job) == ["job process died"] * 2
    assert bench.status(job) == "error"


def test_a_process_that_dies_after_its_last_word_is_no_failure() -> None:
    bench = Bench()
    job = bench.submit(delay())
    bench.tick()
    bench.report(job, OpcodeChanged(0, "waiting", 1e9), OpcodeChanged(0, "running", 1e9))
    bench.report(job, OpcodeChanged(0, "success", 1e9, 5))
    assert bench.do(Died(job, FIRST, NOW)).effects == (Release(job),)
    assert bench.status(job) == "success"


def test_a_process_that_can_not_be_made_fails_the_job() -> None:
    bench = Bench()
    job = bench.submit(delay())
    bench.tick()
    assert bench.do(NotStarted(job, FIRST, "no memory", NOW)).effects == (Release(job),)
    (result,) = bench.results(job)
    assert isinstance(result, str)
    assert "no memory" in result


def test_a_process_that_dies_without_work_is_made_again_a_few_times() -> None:
    bench = Bench()
    job = bench.submit(delay())
    bench.tick()
    for attempt in range(1, STARTS_MAX):
        spawn = Spawn(job, Attempt(attempt + 1))
        assert bench.do(Died(job, Attempt(attempt), NOW)).effects == (spawn,)
        assert bench.queue.entries[job].mode == "run"
    assert bench.do(Died(job, Attempt(STARTS_MAX), NOW)).effects == (Release(job),)
    assert bench.status(job) == "error"


def test_a_failed_opcode_ends_the_later_ones() -> None:
    bench = Bench()
    job = running(bench)
    bench.report(job, OpcodeChanged(0, "error", 1e9, ["OpExecError", ["no"]]))
    assert bench.results(job) == [
        ["OpExecError", ["no"]],
        ["OpExecError", ["Preceding opcode failed"]],
    ]


def test_waiting_for_locks_is_no_record() -> None:
    bench = Bench()
    job = running(bench)
    done = bench.report(job, BlockedBy((JobId(9),)))
    assert done.records == ()
    assert done.effects == ()


def test_the_records_of_finished_opcodes_are_forgotten() -> None:
    bench = Bench()
    job = running(bench, Planned(0, plan("one")), Done(0, 0, None))
    bench.report(job, OpcodeChanged(0, "success", 1e9), Recorded(Planned(1, plan("two"))))
    assert bench.queue.entries[job].records == (Planned(1, plan("two")),)
    assert assignment(bench.queue.entries[job], Epoch(1), ()).finished == 1


def test_jobs_that_a_job_wants_are_submitted_once_and_inherit() -> None:
    bench = Bench()
    verify = {
        "OP_ID": "OP_CLUSTER_VERIFY",
        "reason": [["gnt:client:gnt-cluster", "verify", 1]],
        "priority": 10,
    }
    parent = bench.submit(verify)
    bench.tick()
    wish = JobsWanted(
        Key(parent, 0, 1), ((delay(),), ({"OP_ID": "OP_NO"},), (delay(depends=[[-2, []]]),))
    )
    done = bench.report(parent, wish)
    (answer,) = [effect for effect in done.effects if isinstance(effect, AnswerWanted)]
    assert answer.outcomes[0] == Submitted(JobId(2))
    assert isinstance(answer.outcomes[1], NotSubmitted)
    assert answer.outcomes[2] == Submitted(JobId(4))
    assert [type(record) for record in done.records] == [JobsSubmitted, JobReported]
    child = bench.queue.entries[JobId(2)].job.ops[0]
    assert child.input["comment"] == "Submitted by OP_CLUSTER_VERIFY"
    assert child.priority == 10
    trail = child.input["reason"]
    assert isinstance(trail, list)
    assert [entry[0] for entry in trail] == [
        "gnt:client:gnt-cluster",
        "gnt:opcode:cluster_verify",
        "gnt:opcode:test_delay",
    ]
    again = bench.report(parent, wish)
    assert answer in again.effects
    assert not any(isinstance(record, JobsSubmitted) for record in again.records)
    assert set(bench.queue.entries) == {parent, 2, 4}
