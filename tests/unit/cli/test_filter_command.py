"""``gnt-filter``: what it asks for, and what it prints."""

from __future__ import annotations

import json

import pytest
from tests.unit.cli.fake_luxid import Command, FakeLuxid, Refusal, Sample, query_from

from gantry.cli.gnt_filter import FIELDS, PROGRAM

UUID = "9890915d-7541-4cee-8a39-e715ef345907"
RULE: list[object] = [
    UUID,
    349,
    0,
    [["jobid", [">", "id", 1000000]]],
    "ACCEPT",
    [["luxid", "", 1795249867484251000]],
]


def test_info_is_printed_as_ganeti_does(
    command: Command, luxid: FakeLuxid, printed: dict[str, Sample]
) -> None:
    luxid.answers["QueryFilters"] = lambda _: [RULE]
    ended = command(PROGRAM, "info")
    assert (ended.code, ended.out) == (0, printed["gnt-filter info"]["stdout"])
    assert luxid.calls("QueryFilters") == [[None, list(FIELDS)]]
    machine = command(PROGRAM, "info", "--format", "json", UUID)
    assert json.loads(machine.out) == [dict(zip(FIELDS, RULE, strict=True))]


def test_a_rule_that_is_not_there_is_a_failure(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["QueryFilters"] = lambda _: []
    ended = command(PROGRAM, "info", "nosuch")
    assert (ended.code, ended.out) == (1, "")
    assert "there is no filter rule nosuch" in ended.err


def test_rules_are_listed_by_uuid(
    command: Command, luxid: FakeLuxid, luxi_samples: dict[str, Sample]
) -> None:
    luxid.answers["Query"] = query_from(luxi_samples["query_all_fields_filter"])
    ended = command(PROGRAM, "list", "--no-headers", "-o", "uuid,priority")
    assert (ended.code, len(ended.out.splitlines())) == (0, 1)
    command(PROGRAM, "list", UUID)
    assert luxid.calls("Query")[-1] == ["filter", list(FIELDS), ["|", ["=", "uuid", UUID]]]


def test_add_and_replace_print_the_uuid(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["ReplaceFilter"] = lambda _: UUID
    ended = command(PROGRAM, "add")
    assert (ended.code, ended.out) == (0, f"{UUID}\n")
    words = ["--priority", "7", "--action", "RATE_LIMIT 3", "--reason", "night"]
    predicates = [["opcode", ["=~", "OP_ID", "BACKUP"]]]
    command(PROGRAM, "replace", *words, "--predicates", json.dumps(predicates), UUID)
    plain, full = luxid.calls("ReplaceFilter")
    assert plain == [None, 0, [], "CONTINUE", []]
    assert full[:4] == [UUID, 7, predicates, ["RATE_LIMIT", 3]]
    match full[4]:
        case [["gnt:user", "night", int()]]:
            pass
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--action", "NOSUCH"], "none of ACCEPT"),
        (["--action", "RATE_LIMIT 0"], "at least 1"),
        (["--action", "RATE_LIMIT"], "none of ACCEPT"),
        (["--predicates", "["], "not JSON"),
        (["--priority", "-1"], "at least 0"),
        (["--priority", "x"], "not a whole number"),
    ],
)
def test_what_is_no_rule_is_not_sent(
    command: Command, luxid: FakeLuxid, words: list[str], said: str
) -> None:
    ended = command(PROGRAM, "add", *words)
    assert ended.code != 0
    assert said in ended.err
    assert luxid.requests == []


def test_a_rule_is_deleted(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["DeleteFilter"] = lambda _: None
    assert command(PROGRAM, "delete", UUID).code == 0
    assert luxid.calls("DeleteFilter") == [[UUID]]

    def refuse(_: list[object]) -> object:
        raise Refusal(["GenericError", [f"there is no filter rule with the UUID {UUID}"]])

    luxid.answers["DeleteFilter"] = refuse
    ended = command(PROGRAM, "delete", UUID)
    assert ended.code == 1
    assert "no filter rule" in ended.err
