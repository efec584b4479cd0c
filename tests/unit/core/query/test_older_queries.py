"""LUXI's older calls, compared with what Ganeti's LuxiD answered."""

from collections.abc import Mapping
from typing import Any

import pytest

from gantry.core.query.live import LiveData, NodeLive
from gantry.core.query.older import (
    NamedResource,
    job_values,
    plan_exports,
    plan_filters,
    plan_jobs,
    plan_named,
)
from gantry.core.query.view import View
from gantry.protocols.errors import GenericError, OpPrereqError
from gantry.protocols.identity import JobId, NodeUuid
from gantry.protocols.jobs import Job, QueuedOpcode

NODE1 = NodeUuid("4d80e271-c4ae-4394-aae9-c634f98eb05e")
NODE2 = NodeUuid("30969da0-a282-463d-aea9-c0c473b1cad6")
INST2 = "6ae7d516-e9f6-40a6-9718-229b12567466"


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("instances_legacy_named", "instance"),
        ("instances_legacy_missing", "instance"),
        ("groups_legacy", "group"),
        ("networks_legacy", "network"),
    ],
)
def test_we_answer_as_ganeti_did(
    name: str, resource: NamedResource, view: View, recorded: Mapping[str, Any]
) -> None:
    names, fields, use_locking = recorded[name]["request"]["args"]
    plan = plan_named(resource, names, fields, view, use_locking=use_locking).chosen()
    assert plan.plain() == recorded[name]["response"]["result"]


def test_objects_are_found_by_uuid_and_shown_in_their_own_order(view: View) -> None:
    names = ["tmpl", INST2, "nosuch", "inst1.gnt.test"]
    plan = plan_named("instance", names, ["name"], view, use_locking=False).chosen()
    assert plan.plain() == [["inst1.gnt.test"], ["inst2.gnt.test"], ["tmpl.gnt.test"]]


def test_missing_live_data_is_null(view: View) -> None:
    plan = plan_named("node", [], ["name", "role", "mfree"], view, use_locking=False).chosen()
    assert plan.plain()[0] == ["node1.gnt.test", "M", None]


def test_queries_take_no_locks(view: View) -> None:
    with pytest.raises(OpPrereqError, match="do not take locks") as caught:
        plan_named("instance", [], ["name"], view, use_locking=True)
    assert caught.value.args[1] == "wrong_input"
    with pytest.raises(OpPrereqError, match="do not take locks"):
        plan_exports([], view, use_locking=True)


def test_unknown_fields_are_named(view: View) -> None:
    with pytest.raises(OpPrereqError, match="no output fields this, that") as caught:
        plan_named("node", [], ["this", "name", "that"], view, use_locking=False)
    assert caught.value.args[1] == "wrong_input"
    with pytest.raises(OpPrereqError, match="no output fields reason"):
        plan_filters(None, ["uuid", "reason"], view)
    with pytest.raises(OpPrereqError, match="no output fields nosuch"):
        plan_jobs([377], ["nosuch"], view, {})


def test_exports_are_pairs(view: View, recorded: Mapping[str, Any]) -> None:
    live = LiveData({NODE1: NodeLive(exports=("inst2.gnt.test",)), NODE2: NodeLive(exports=())})
    plan = plan_exports([], view, use_locking=False).chosen()
    assert plan.plain(live) == recorded["exports_legacy"]["response"]["result"]
    assert plan_exports(["node1"], view, use_locking=False).chosen().needs.exports == {NODE1}
    assert plan_exports(["nosuch"], view, use_locking=False).chosen().plain() == []


def test_filters_are_found_by_uuid_only(view: View) -> None:
    (rule,) = view.filter_rules
    assert plan_filters([rule.uuid], ["uuid", "priority"], view).chosen().plain() == [
        [rule.uuid, 0]
    ]
    assert plan_filters(["00000000"], ["uuid"], view).chosen().plain() == []
    assert len(plan_filters(None, ["uuid"], view).chosen().plain()) == 1


JOBS = {
    JobId(each): Job(JobId(each), (QueuedOpcode({"OP_ID": "OP_X"}, "success"),))
    for each in (377, 1000, 38)
}


def test_jobs(view: View) -> None:
    assert plan_jobs(None, ["id"], view, JOBS).chosen().plain() == [[38], [377], [1000]]
    assert plan_jobs([], ["id"], view, JOBS).chosen().plain() == [[38], [377], [1000]]
    assert plan_jobs(["377"], ["id", "status"], view, JOBS).chosen().plain() == [[377, "success"]]
    missing = plan_jobs([999999, 38], ["id", "status", "summary"], view, JOBS).chosen()
    assert missing.plain() == [[999999, None, None], [38, "success", ["X"]]]
    assert missing.needs.archived == frozenset({JobId(999999)})
    with pytest.raises(GenericError, match="not a job id"):
        plan_jobs(["a"], ["id"], view, JOBS)


def test_the_values_of_one_job() -> None:
    job = JOBS[JobId(377)]
    assert job_values(job, ["status", "end_ts", "summary"]) == ["success", None, ["X"]]
    with pytest.raises(OpPrereqError, match="no output fields x"):
        job_values(job, ["x"])
