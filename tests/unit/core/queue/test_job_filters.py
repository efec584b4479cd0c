"""What job filter rules match, and what can not be a rule."""

from __future__ import annotations

import pytest

from gantry.core.queue.fold import replay
from gantry.core.queue.job_filters import JobFilters, parse_action, parse_predicates
from gantry.core.queue.schedule import schedule
from gantry.core.queue.state import rate_limits
from gantry.protocols.codec import Json, Malformed
from gantry.protocols.identity import Attempt, FilterUuid, JobId
from gantry.protocols.jobs import Job, QueuedOpcode
from gantry.protocols.objects.filter import FilterAction, FilterRule
from gantry.protocols.queue_records import AttemptBegun, JobsSubmitted, NewJob

JOB = Job(
    JobId(7),
    (
        QueuedOpcode({"OP_ID": "OP_CLUSTER_VERIFY", "verbose": True, "reason": []}),
        QueuedOpcode({
            "OP_ID": "OP_INSTANCE_CREATE", "instance_name": "web1", "tags": ["a", "b"],
            "beparams": {"maxmem": 512}, "disks": [], "comment": None,
            "reason": [["gnt:user", "tidy up", 5], ["gnt:client", "add", 9]],
        }),
    ),
)  # fmt: skip


def rule(
    *predicates: Json, action: FilterAction = "PAUSE", priority: int = 0, watermark: int = 5,
    letter: str = "a",
) -> FilterRule:  # fmt: skip
    return FilterRule(
        watermark=JobId(watermark), priority=priority,
        predicates=parse_predicates(list(predicates)), action=action, reason_trail=(),
        uuid=FilterUuid(letter),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("predicate", "holds"),
    [
        (["jobid", ["=", "id", 7]], True),
        (["jobid", [">", "id", "watermark"]], True),
        (["jobid", ["<=", "id", "watermark"]], False),
        (["jobid", ["!", ["&", [">", "id", 2], ["<", "id", 7]]]], True),
        (["jobid", ["|", ["=", "id", 1], ["!=", "id", 1]]], True),
        (["jobid", ["=", "id", "seven"]], False),
        (["jobid", ["!", ["=", "id", "seven"]]], False),
        (["jobid", ["=", "number", 7]], False),
        (["jobid", ["=~", "id", "7"]], False),
        (["jobid", ["!", ["?", "id"]]], False),
        (["opcode", ["=", "OP_ID", "OP_CLUSTER_VERIFY"]], True),
        (["opcode", ["=", "OP_ID", "OP_NODE_ADD"]], False),
        (["opcode", ["=~", "OP_ID", "^OP_INSTANCE_"]], True),
        (["opcode", ["?", "verbose"]], True),
        (["opcode", ["!", ["?", "verbose"]]], False),
        (["opcode", ["=[]", "tags", "b"]], True),
        (["opcode", ["=[]", "tags", 1]], False),
        (["opcode", [">", "beparams.maxmem", 500]], True),
        (["opcode", [">", "beparams.minmem", 500]], False),
        (["opcode", ["=", "beparams", 500]], False),
        (["opcode", ["=", "comment", "x"]], False),
        (["opcode", ["&", ["=", "instance_name", "web1"], ["?", "verbose"]]], False),
        (["reason", ["=", "source", "gnt:client"]], True),
        (["reason", [">=", "timestamp", 9]], True),
        (["reason", ["&", ["=", "source", "gnt:user"], ["=", "timestamp", 9]]], False),
        (["reason", ["=", "reason", "tidy up"]], True),
        (["reason", ["=~", "reason", "tidy"]], False),
        (["reason", ["=", "user", "x"]], False),
    ],
)
def test_predicates(predicate: Json, holds: bool) -> None:
    assert (JobFilters.of([rule(predicate)]).decide(JOB) is not None) == holds


def test_a_rule_without_predicates_matches_every_job() -> None:
    assert JobFilters.of([rule()]).decide(JOB) is not None
    assert JobFilters.of([]).decide(JOB) is None


def test_all_predicates_have_to_hold() -> None:
    both = rule(["jobid", ["=", "id", 7]], ["opcode", ["=", "OP_ID", "OP_NODE_ADD"]])
    assert JobFilters.of([both]).decide(JOB) is None


def test_the_first_rule_that_does_not_say_continue_decides() -> None:
    never = ["jobid", ["=", "id", 0]]
    filters = JobFilters.of([
        rule(action="REJECT", priority=2, letter="a"),
        rule(action="ACCEPT", priority=1, watermark=3, letter="c"),
        rule(action="PAUSE", priority=1, watermark=3, letter="d"),
        rule(action="PAUSE", priority=1, watermark=9, letter="b"),
        rule(never, action="PAUSE", letter="e"),
        rule(action="CONTINUE", letter="f"),
    ])  # fmt: skip
    assert [each.uuid for each in filters.rules] == ["e", "f", "c", "d", "b", "a"]
    decision = filters.decide(JOB)
    assert decision is not None
    assert (decision.rule, decision.action) == ("c", "ACCEPT")


def test_filters_are_equal_if_their_rules_are() -> None:
    one, other = JobFilters.of([rule()]), JobFilters.of([rule()])
    one.decide(JOB)
    assert one == other
    assert one != JobFilters.of([rule(priority=1)])


def test_a_stored_rule_that_can_not_be_read_matches_nothing() -> None:
    odd = FilterRule(
        watermark=JobId(1), priority=0, predicates=(("jobid", ["%%", 1]),), action="REJECT",
        reason_trail=(), uuid=FilterUuid("a"),
    )  # fmt: skip
    assert JobFilters.of([odd]).decide(JOB) is None


@pytest.mark.parametrize(
    "written",
    [None, "x", [[]], ["jobid"], [["nosuch", []]], [["jobid", None]], [["jobid", ["=", "id"]]],
     [["opcode", ["=~", "OP_ID", "("]]], [["jobid", ["=", "id", 1], 2]]],
)  # fmt: skip
def test_what_is_no_predicate(written: Json) -> None:
    with pytest.raises(Malformed):
        parse_predicates(written)


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ("ACCEPT", "ACCEPT"), ("CONTINUE", "CONTINUE"), ("PAUSE", "PAUSE"), ("REJECT", "REJECT"),
        (["RATE_LIMIT", 3], ("RATE_LIMIT", 3)),
    ],
)  # fmt: skip
def test_actions(written: Json, action: FilterAction) -> None:
    assert parse_action(written) == action


@pytest.mark.parametrize(
    "written",
    ["NOSUCH", None, 1, [], ["RATE_LIMIT"], ["RATE_LIMIT", 0], ["RATE_LIMIT", True],
     ["RATE_LIMIT", "1"], ["ACCEPT", 1]],
)  # fmt: skip
def test_what_is_no_action(written: Json) -> None:
    with pytest.raises(Malformed):
        parse_action(written)


def test_rate_limits_are_read_from_all_trails() -> None:
    limits = ["rate-limit:2:x", "rate-limit:02:x", "rate-limit:3:", "rate-limit:4:a:b"]
    texts = [*limits, "rate-limit:0:x", "rate-limit:-1:x", "rate-limit:", "a rate-limit:1:x"]
    ops = tuple(QueuedOpcode({"reason": [["s", text, 1]]}) for text in texts)
    assert rate_limits(Job(JobId(1), ops)) == {(2, "x"), (3, ""), (4, "a:b")}


def test_a_job_at_work_counts_for_its_limit_although_a_rule_would_pause_it_now() -> None:
    limited: dict[str, Json] = {"OP_ID": "OP_A", "reason": [["me", "rate-limit:1:x", 1]]}
    jobs = tuple(NewJob(JobId(job), (limited,)) for job in (1, 2))
    at = (10**9, 0)
    begun = AttemptBegun(JobId(1), Attempt(1), "run", at)
    queue = replay([JobsSubmitted(jobs, at, None, None), begun])
    pausing = JobFilters.of([rule(["jobid", ["=", "id", 1]])])
    assert schedule(queue, 9, pausing, at) == ()
    assert schedule(queue, 9, JobFilters(), at) == ()
