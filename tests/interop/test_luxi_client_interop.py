"""Ganeti's own LUXI client, in Python: what its commands are made of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.interop.bridge import Bridge, Refused

NODES = [f"node{number}.gantry.test" for number in (1, 2, 3)]


@pytest.fixture
def long_job(luxi: Bridge) -> Iterator[int]:
    """A job that does not end by itself."""
    job = luxi.call("submit", "OpTestDelay", duration=600, on_master=True, on_nodes=[])
    yield job
    luxi.call("CancelJob", job)


def test_it_finds_the_socket_and_its_way_around(luxi: Bridge) -> None:
    info = luxi.call("QueryClusterInfo")
    assert (info["name"], info["master"]) == ("cluster.gantry.test", NODES[0])
    assert luxi.call("QueryConfigValues", ["cluster_name", "drain_flag"]) == [info["name"], False]
    assert luxi.call("QueryNodes", [], ["name", "offline"], False) == [[n, False] for n in NODES]
    assert luxi.call("QueryGroups", [], ["name"], False) == [["default"]]
    assert luxi.call("QueryInstances", [], ["name"], False) == []
    assert luxi.call("QueryNetworks", [], ["name"], False) == []
    assert luxi.call("QueryExports", [], False) == [[node, None] for node in NODES]
    answer = luxi.call("Query", "node", ["name", "role"], ["=", "role", "M"])
    assert answer["data"] == [[[0, NODES[0]], [0, "M"]]]
    fields = luxi.call("QueryFields", "instance", ["name", "nope"])["fields"]
    assert [(field["name"], field["kind"]) for field in fields] == [
        ("name", "text"),
        ("nope", "unknown"),
    ]


def test_jobs_are_submitted_waited_for_and_archived(luxi: Bridge) -> None:
    job = luxi.call("submit", "OpTestDelay", duration=0.1, on_master=True, on_nodes=[])
    seen = [None]
    while seen[0] != "success":
        seen, _ = luxi.call("WaitForJobChange", job, ["status"], seen, -1)
    [[status, result, summary]] = luxi.call("QueryJobs", [job], ["status", "opresult", "summary"])
    assert (status, result, summary) == ("success", [None], ["TEST_DELAY(0.1)"])
    assert luxi.call("ArchiveJob", job) is True
    several = luxi.call("submit_many", 3, "OpTestDelay", duration=0, on_master=True, on_nodes=[])
    assert [submitted for submitted, _ in several] == [True, True, True]


def test_a_job_is_hurried_and_cancelled(luxi: Bridge, long_job: int) -> None:
    assert luxi.call("ChangeJobPriority", long_job, -10)[0] is True
    assert luxi.call("QueryJobs", [long_job], ["priority"]) == [[-10]]
    luxi.call("CancelJob", long_job)
    seen = [None]
    while seen[0] != "canceled":
        seen, _ = luxi.call("WaitForJobChange", long_job, ["status"], seen, -1)


def test_tags_filters_and_the_watcher(luxi: Bridge) -> None:
    assert luxi.call("QueryTags", "cluster", "") == []
    rule = luxi.call("ReplaceFilter", None, 10, [["opcode", ["=", "OP_ID", "x"]]], "REJECT", [])
    assert luxi.call("QueryFilters", None, ["uuid", "action"]) == [[rule, "REJECT"]]
    luxi.call("DeleteFilter", rule)
    assert luxi.call("QueryFilters", None, ["uuid"]) == []
    assert luxi.call("SetWatcherPause", 2_000_000_000) == 2_000_000_000
    assert luxi.call("QueryConfigValues", ["watcher_pause"]) == [2_000_000_000]
    luxi.call("SetWatcherPause", None)


def test_a_drained_queue_takes_only_what_is_meant_for_it(luxi: Bridge) -> None:
    luxi.call("SetQueueDrainFlag", True)
    try:
        with pytest.raises(Refused, match="Queue drained"):
            luxi.call("submit", "OpTestDelay", duration=0, on_master=True, on_nodes=[])
    finally:
        luxi.call("SetQueueDrainFlag", False)


@pytest.mark.parametrize(
    ("method", "arguments", "error", "text"),
    [
        ("QueryTags", ("node", "nope"), "OpPrereqError", "nope is not known"),
        ("Query", ("nope", ["name"], None), "RequestError", "there is no resource 'nope'"),
        ("CallMethod", ("Nope", []), "RequestError", "Luxi has no such method"),
        ("WaitForJobChange", (99_999, ["status"], None, -1), "JobLost", "job file"),
        ("DeleteFilter", ("x",), "GenericError", "'x' is no UUID"),
    ],
)
def test_errors_come_as_the_classes_that_it_knows(
    luxi: Bridge, method: str, arguments: tuple[object, ...], error: str, text: str
) -> None:
    with pytest.raises(Refused, match=text) as refused:
        luxi.call(method, *arguments)
    assert refused.value.kind == error
