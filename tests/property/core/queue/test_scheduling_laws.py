"""Scheduling, against a second scheduler that is as simple as the words of the reference."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from gantry.core.queue.fold import replay
from gantry.core.queue.job_filters import JobFilters
from gantry.core.queue.schedule import schedule
from gantry.core.queue.state import Queue
from gantry.protocols.identity import Attempt, FilterUuid, JobId
from gantry.protocols.jobs import Job, Timestamp
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.queue_records import (
    AttemptBegun,
    JobArchived,
    JobCanceled,
    JobFailed,
    JobsSubmitted,
    NewJob,
    QueueRecord,
)

AT: Timestamp = (10**9, 0)
STATUSES = ("success", "error", "canceled")
LABELS = ("rate-limit:1:a", "rate-limit:2:a", "rate-limit:1:b", "rate-limit:0:a", "rate-limit:x:a")


@frozen
class Drawn:
    """A job that is to be scheduled, or was begun, or is over."""

    kind: str
    priority: int
    labels: list[str]
    depends: list[tuple[int, list[str]]]
    state: str


JOBS = st.builds(
    Drawn,
    st.sampled_from(("OP_A", "OP_B")),
    st.sampled_from((-10, 0, 10)),
    st.lists(st.sampled_from(LABELS), max_size=2),
    st.lists(
        st.tuples(st.integers(1, 9), st.lists(st.sampled_from(STATUSES), unique=True)), max_size=2
    ),
    st.sampled_from(("queued", "queued", "queued", "active", "archived", *STATUSES)),
)
PREDICATES = st.sampled_from(
    (
        [],
        [("jobid", [">", "id", "watermark"])],
        [("jobid", ["<=", "id", 3])],
        [("opcode", ["=", "OP_ID", "OP_A"])],
        [("opcode", ["=", "OP_ID", "OP_B"]), ("reason", ["=", "source", "user"])],
    )
)
ACTIONS = st.sampled_from(
    ("ACCEPT", "CONTINUE", "PAUSE", "REJECT", ("RATE_LIMIT", 1), ("RATE_LIMIT", 2))
)


def rule_of(
    watermark: int,
    priority: int,
    predicates: Any,  # noqa: ANN401 - as drawn above
    action: Any,  # noqa: ANN401 - as drawn above
    letter: str,
) -> FilterRule:
    return FilterRule(
        watermark=JobId(watermark),
        priority=priority,
        predicates=tuple(predicates),
        action=action,
        reason_trail=(),
        uuid=FilterUuid(letter),
    )


RULES = st.lists(
    st.builds(
        rule_of,
        st.integers(0, 8),
        st.integers(0, 2),
        PREDICATES,
        ACTIONS,
        st.sampled_from("abcdef"),
    ),
    max_size=4,
    unique_by=lambda rule: rule.uuid,
)


def queue_of(drawn: list[Drawn]) -> Queue:
    records: list[QueueRecord] = []
    for number, each in enumerate(drawn, start=1):
        op = {
            "OP_ID": each.kind, "priority": each.priority,
            "depends": [[other, statuses] for other, statuses in each.depends],
            "reason": [["user", label, 1] for label in each.labels],
        }  # fmt: skip
        records.append(JobsSubmitted((NewJob(JobId(number), (op,)),), AT, None, None))
    for number, each in enumerate(drawn, start=1):
        records += moved(JobId(number), each.state)
    return replay(records)


def moved(job: JobId, state: str) -> list[QueueRecord]:
    match state:
        case "active":
            return [AttemptBegun(job, Attempt(1), "run", AT)]
        case "canceled":
            return [JobCanceled(job, AT)]
        case "error" | "success":  # how it went does not matter, only how it ended
            return [JobFailed(job, AT, None, None, None)]
        case "archived":
            return [JobCanceled(job, AT), JobArchived(job, "canceled")]
        case _:
            return []


# --- the second scheduler ------------------------------------------------------------------------


def plainly(queue: Queue, running_max: int, rules: list[FilterRule]) -> list[QueueRecord]:
    said: list[QueueRecord] = []
    for number in sorted(queue.entries):
        if is_queued(queue, number) and action(rules, queue.entries[number].job) == "REJECT":
            said.append(JobCanceled(number, AT))
            queue = replay([said[-1]], queue)
    while (ended := next_ended(queue)) is not None:
        said.append(ended)
        queue = replay([ended], queue)
    for number in sorted(
        (n for n in queue.entries if is_queued(queue, n)),
        key=lambda n: (queue.entries[n].job.priority, n),
    ):
        if len(queue.active) < running_max and may_begin(queue, number, rules):
            said.append(AttemptBegun(number, Attempt(1), "run", AT))
            queue = replay([said[-1]], queue)
    return said


def is_queued(queue: Queue, job: JobId) -> bool:
    return queue.entries[job].phase == "queued"


def over(queue: Queue, job: JobId) -> bool:
    return job not in queue.entries or queue.entries[job].closed


def next_ended(queue: Queue) -> QueueRecord | None:
    for number in sorted(queue.entries):
        entry = queue.entries[number]
        if not is_queued(queue, number):
            continue
        if any(not over(queue, d.job) for d in entry.depends if d.job != number):
            continue
        for dependency in entry.depends:
            status = queue.final_status(dependency.job)
            if dependency.job == number or status is None:
                return failed(number)
            if dependency.statuses and status not in dependency.statuses:
                return JobCanceled(number, AT) if status == "canceled" else failed(number)
    return None


def failed(job: JobId) -> JobFailed:
    return JobFailed(job, AT, None, None, None)


def matches(rule: FilterRule, job: Job) -> bool:
    for about, expression in rule.predicates:
        operator, _, value = cast("tuple[str, str, Any]", tuple(cast("list[Any]", expression)))
        if about == "jobid":
            bound = rule.watermark if value == "watermark" else value
            fits = job.id > bound if operator == ">" else job.id <= bound
        elif about == "opcode":
            fits = any(op.input["OP_ID"] == value for op in job.ops)
        else:
            fits = any(op.input["reason"] for op in job.ops)
        if not fits:
            return False
    return True


def deciding(rules: list[FilterRule], job: Job) -> FilterRule | None:
    for rule in sorted(rules, key=lambda each: (each.priority, each.watermark, each.uuid)):
        if rule.action != "CONTINUE" and matches(rule, job):
            return rule
    return None


def action(rules: list[FilterRule], job: Job) -> Any:  # noqa: ANN401 - an action or None
    rule = deciding(rules, job)
    return None if rule is None else rule.action


def labels(job: Job) -> set[str]:
    trails = (cast("list[Any]", op.input["reason"]) for op in job.ops)
    texts = (entry[1] for trail in trails for entry in trail)
    return {text for text in texts if text.split(":")[1].isdigit() and text.split(":")[1] != "0"}


def may_begin(queue: Queue, job: JobId, rules: list[FilterRule]) -> bool:
    entry = queue.entries[job]
    if any(not over(queue, d.job) for d in entry.depends if d.job != job):
        return False
    working = [queue.entries[each].job for each in queue.active]
    count = Counter(label for each in working for label in labels(each))
    if any(count[label] >= int(label.split(":")[1]) for label in labels(entry.job)):
        return False
    rule = deciding(rules, entry.job)
    if rule is None or rule.action == "ACCEPT":
        return True
    if isinstance(rule.action, tuple):
        return sum(deciding(rules, each) == rule for each in working) < rule.action[1]
    return False


def shown(records: Any) -> list[tuple[str, JobId]]:  # noqa: ANN401 - records that have a job
    return [(type(each).__name__, each.job) for each in records]


@given(st.lists(JOBS, max_size=8), RULES, st.integers(0, 6))
def test_both_schedulers_agree(drawn: list[Drawn], rules: list[FilterRule], most: int) -> None:
    queue = queue_of(drawn)
    ours = schedule(queue, most, JobFilters.of(rules), AT)
    theirs = plainly(queue, most, rules)
    ended = [each for each in shown(ours) if each[0] != "AttemptBegun"]
    assert sorted(ended) == sorted(e for e in shown(theirs) if e[0] != "AttemptBegun")
    begun = [each for each in shown(ours) if each[0] == "AttemptBegun"]
    assert begun == [each for each in shown(theirs) if each[0] == "AttemptBegun"]


@given(st.lists(JOBS, max_size=8), RULES, st.integers(0, 6))
def test_what_was_decided_needs_no_second_look(
    drawn: list[Drawn], rules: list[FilterRule], most: int
) -> None:
    queue, filters = queue_of(drawn), JobFilters.of(rules)
    decided = schedule(queue, most, filters, AT)
    assert schedule(replay(decided, queue), most, filters, AT) == ()
