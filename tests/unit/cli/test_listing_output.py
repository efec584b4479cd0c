"""Lists, character by character as Ganeti prints them, and in forms for programs."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from tests.unit.cli.fake_luxid import Command, FakeLuxid, Sample

from gantry.cli.cell_text import time_text
from gantry.cli.command import Program
from gantry.cli.gnt_cluster.program import PROGRAM as CLUSTER
from gantry.cli.gnt_debug import PROGRAM as DEBUG
from gantry.cli.gnt_instance.program import PROGRAM as INSTANCE
from gantry.cli.gnt_job.program import PROGRAM as JOB
from gantry.cli.gnt_node.program import PROGRAM as NODE
from gantry.cli.gnt_os import PROGRAM as OS

PROGRAMS: dict[str, Program] = {
    each.name: each for each in (CLUSTER, DEBUG, INSTANCE, JOB, NODE, OS)
}


@pytest.mark.parametrize(
    "line",
    [
        "gnt-instance list -o +disk.sizes,tags",
        "gnt-instance list -o name,nosuch",
        "gnt-instance list inst1",
        "gnt-instance list --no-headers --separator=: -o name,status,oper_ram,snodes",
        "gnt-instance list nosuch",
        "gnt-debug locks",
    ],
)
def test_a_list_looks_as_in_ganeti(
    command: Command, sampled_queries: FakeLuxid, printed: dict[str, Sample], line: str
) -> None:
    program, *words = shlex.split(line)
    expected = printed[line]
    ended = command(PROGRAMS[program], *words)
    assert ended.out == expected["stdout"]
    assert ended.err == expected["stderr"]
    assert ended.code == expected["rc"]


def test_a_node_list_has_units(command: Command, sampled_queries: FakeLuxid) -> None:
    # The printed sample is of another moment: its free memory differs.
    ended = command(NODE, "list", "-o", "+tags")
    assert ended.out.splitlines()[0] == (
        "Node           DTotal DFree MTotal MNode MFree Pinst Sinst Tags"
    )
    assert ended.out.splitlines()[2] == (
        "node2.gnt.test 252.0G 73.3G  23.5G  103M 22.5G     1     0 rack1"
    )


@pytest.mark.parametrize(
    ("units", "row"),
    [("m", "258019"), ("g", "252.0"), ("t", "0.2"), ("h", "252.0G")],
)
def test_units_can_be_chosen(
    command: Command, sampled_queries: FakeLuxid, units: str, row: str
) -> None:
    ended = command(NODE, "list", "--no-headers", "--units", units, "-o", "dtotal", "node1")
    assert ended.out == f"{row}\n"


def test_a_missing_value_can_be_told_in_words(command: Command, sampled_queries: FakeLuxid) -> None:
    ended = command(INSTANCE, "list", "-v", "--no-headers", "-o", "oper_ram,nosuch", "inst1")
    assert ended.out == "(unavail) (unknown)\n"
    assert ended.code == 14


def test_a_job_list_filters_by_status(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["Query"] = lambda _: {
        "fields": [
            {"name": "id", "title": "ID", "kind": "number", "doc": ""},
            {"name": "status", "title": "Status", "kind": "text", "doc": ""},
            {"name": "summary", "title": "Summary", "kind": "other", "doc": ""},
        ],
        "data": [
            [[0, 350], [0, "error"], [0, ["BACKUP_EXPORT(inst2.gnt.test)"]]],
            [[0, 1358], [0, "error"], [0, ["TEST_DELAY(1.0e-3)", "TAGS_GET(TagKindCluster)"]]],
        ],
    }
    ended = command(JOB, "list", "--error", "350", "1358")
    assert ended.out == (
        "  ID Status Summary\n"
        " 350 error  BACKUP_EXPORT(inst2.gnt.test)\n"
        "1358 error  TEST_DELAY(1.0e-3),TAGS_GET(TagKindCluster)\n"
    )
    by_id = ["|", ["=", "id", 350], ["=", "id", 1358]]
    by_status = ["|", ["=", "status", "error"]]
    assert luxid.calls("Query") == [["job", ["id", "status", "summary"], ["&", by_id, by_status]]]


def test_archived_jobs_are_listed_by_asking_for_that_field(
    command: Command, luxid: FakeLuxid
) -> None:
    luxid.answers["Query"] = lambda _: {"fields": [], "data": []}
    command(JOB, "list", "--archived")
    command(JOB, "list", "--pending", "-o", "id")
    pending = [["=", "status", status] for status in ("queued", "waiting", "canceling")]
    assert luxid.calls("Query") == [
        ["job", ["id", "status", "summary", "archived"], None],
        ["job", ["id"], ["|", *pending]],
    ]


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        (("web*",), ["|", ["=~", "name", "^web[^.]*(\\..*)?$"]]),
        (("a", "b?"), ["|", ["=~", "name", "^a(\\..*)?$"], ["=~", "name", "^b[^.](\\..*)?$"]]),
        (('status == "running"',), ["=", "status", "running"]),
        (("-F", "tags"), ["?", "tags"]),
        (
            ("--filter", 'name =* "inst*" and not "prod" in tags'),
            ["&", ["=~", "name", "^inst[^.]*(\\..*)?$"], ["!", ["=[]", "tags", "prod"]]],
        ),
        (
            ("name =~ m/^a|b/i or oper_ram >= 64",),
            ["|", ["=~", "name", "(?i)^a|b"], [">=", "oper_ram", 64]],
        ),
    ],
)
def test_arguments_become_filters(
    command: Command, luxid: FakeLuxid, words: tuple[str, ...], condition: object
) -> None:
    luxid.answers["Query"] = lambda _: {"fields": [], "data": []}
    flags = [word for word in words if word.startswith("-")]
    rest = [word for word in words if not word.startswith("-")]
    assert command(INSTANCE, "list", *flags, *rest).code == 0
    assert luxid.calls("Query")[0][2] == condition


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-F", "bad syntax ("), "expected 'and', 'or' or the end at character 5"),
        (("-F", "a", "b"), "Exactly one argument"),
        (("name =~ m/(/",), "malformed regular expression '('"),
        (("name == ",), "expected a value at character 9"),
        (("(" * 200 + "a" + ")" * 200,), "more than 100 levels"),
        (("name =~ m/a/x",), "unknown flag 'x'"),
        (("name == 1.5",), "unexpected '1' at character 9"),
    ],
)
def test_a_malformed_filter_is_refused_before_anything_is_sent(
    command: Command, luxid: FakeLuxid, words: tuple[str, ...], message: str
) -> None:
    ended = command(INSTANCE, "list", *words)
    assert (ended.code, ended.out, luxid.requests) == (1, "", [])
    assert message in ended.err


def test_json_has_raw_values(command: Command, sampled_queries: FakeLuxid) -> None:
    ended = command(
        INSTANCE, "list", "--format", "json", "-o", "name,oper_ram,tags", "inst2", "inst1"
    )
    assert json.loads(ended.out) == [
        {"name": "inst1.gnt.test", "oper_ram": None, "tags": []},
        {"name": "inst2.gnt.test", "oper_ram": 64, "tags": ["prod", "web"]},
    ]


def test_yaml_says_the_same(command: Command, sampled_queries: FakeLuxid) -> None:
    words = ("list", "-o", "name,oper_ram,tags,nosuch")
    as_yaml = command(INSTANCE, *words, "--format", "yaml")
    as_json = command(INSTANCE, *words, "--format", "json")
    assert yaml.safe_load(as_yaml.out) == json.loads(as_json.out)
    assert as_yaml.code == as_json.code == 14


def test_fields_are_listed(command: Command, luxid: FakeLuxid) -> None:
    name = {"name": "name", "title": "Node", "kind": "text", "doc": "The host name"}
    size = {"name": "dfree", "title": "DFree", "kind": "unit", "doc": "Free disk space"}
    luxid.answers["QueryFields"] = lambda _: {"fields": [name, size]}
    ended = command(NODE, "list-fields")
    assert ended.out == (
        "Name  Type         Title Description\n"
        "name  Text         Node  The host name\n"
        "dfree Storage size DFree Free disk space\n"
    )
    assert luxid.calls("QueryFields") == [["node", None]]


def test_an_unknown_field_is_listed_and_ends_with_14(command: Command, luxid: FakeLuxid) -> None:
    unknown = {"name": "x", "title": "x", "kind": "unknown", "doc": ""}
    luxid.answers["QueryFields"] = lambda _: {"fields": [unknown]}
    ended = command(NODE, "list-fields", "--no-headers", "--separator=|", "x")
    assert (ended.code, ended.out) == (14, "x|Unknown|x|\n")
    assert ended.err == "Warning: Queried for unknown fields x\n"


def test_locks_are_listed(
    command: Command, luxid: FakeLuxid, luxi_samples: dict[str, Sample]
) -> None:
    response = luxi_samples["locks_while_waiting"]["response"]
    assert isinstance(response, dict)
    luxid.answers["Query"] = lambda _: response["result"]
    lines = command(DEBUG, "locks").out.splitlines()
    assert lines[0].split() == ["Name", "Mode", "Owner", "Pending"]
    assert lines[1].split() == ["cluster/BGL", "shared", "386,387", "-"]
    assert lines[3].split()[1:] == ["exclusive", "386", "exclusive:387"]


def test_operating_systems_are_listed_with_their_variants(
    command: Command, luxid: FakeLuxid
) -> None:
    luxid.answers["SubmitJob"] = lambda _: 1
    luxid.answers["WaitForJobChange"] = lambda _: [["success"], []]
    table = [
        ["busybox", [], True, False, False],
        ["debian", ["bookworm", "trixie"], True, False, False],
        ["broken", [], False, False, False],
        ["hidden", [], True, True, False],
        ["forbidden", [], True, False, True],
    ]
    luxid.answers["QueryJobs"] = lambda _: [["success", ["success"], [table]]]
    assert command(OS, "list").out == "Name\nbusybox\ndebian+bookworm\ndebian+trixie\n"
    assert command(OS, "list", "--no-headers").out.startswith("busybox\n")


def test_operating_systems_are_diagnosed_as_in_ganeti(
    command: Command, luxid: FakeLuxid, printed: dict[str, Sample]
) -> None:
    sample = printed["gnt-os diagnose"]
    uuids = [
        line.split()[1].rstrip(",")
        for line in str(sample["stdout"]).splitlines()
        if "Node:" in line
    ]
    entry = ["/usr/share/ganeti/os/noop", True, "", [], [], [5, 10], True]
    row = ["noop", True, [], {uuid: [entry] for uuid in uuids}, False, False]
    luxid.answers["SubmitJob"] = lambda _: 1
    luxid.answers["WaitForJobChange"] = lambda _: [["success"], []]
    luxid.answers["QueryJobs"] = lambda _: [["success", ["success"], [[row]]]]
    ended = command(OS, "diagnose")
    assert sorted(ended.out.splitlines()) == sorted(str(sample["stdout"]).splitlines())
    assert ended.code == 0


def test_a_definition_that_lacks_on_a_node_is_a_failure(command: Command, luxid: FakeLuxid) -> None:
    good = ["/srv/ganeti/os/x", True, "", [], [], [20], True]
    row = ["x", False, [], {"node1": [good], "node2": []}, False, True]
    luxid.answers["SubmitJob"] = lambda _: 1
    luxid.answers["WaitForJobChange"] = lambda _: [["success"], []]
    luxid.answers["QueryJobs"] = lambda _: [["success", ["success"], [[row]]]]
    ended = command(OS, "diagnose")
    assert ended.code == 1
    assert ended.out.startswith("OS: x [global status: partial valid] [blacklisted]\n")
    assert "  Node: node2, status: not found\n" in ended.out


def test_locks_show_since_when_and_who_waits_for_whom(command: Command, luxid: FakeLuxid) -> None:
    names = ["name", "owner", "owner_since", "waits"]
    cells = [
        "instance/a",
        ["3", "4"],
        [1795250255.0, None],
        [["7", "exclusive", 1795250256.5, ["3", "4"]]],
    ]
    luxid.answers["Query"] = lambda _: {
        "fields": [{"name": n, "title": n, "kind": "other", "doc": n} for n in names],
        "data": [[[0, cell] for cell in cells]],
    }
    ended = command(DEBUG, "locks", "--no-headers", "--separator=;", "-o", ",".join(names))
    first, second = time_text(1795250255.0), time_text(1795250256.5)
    assert ended.out == (f"instance/a;3,4;{first},?;exclusive:7 for 3|4 since {second}\n")
