"""A plan says what a query needs, and asks for nothing that it does not."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from gantry.core.query.engine import plan_query
from gantry.core.query.live import NOTHING, LiveData, Needs, NodeLive
from gantry.core.query.plan import Chosen
from gantry.core.query.view import View
from gantry.protocols.codec import Json
from gantry.protocols.errors import GenericError, OpPrereqError
from gantry.protocols.identity import InstanceUuid, JobId, NodeUuid
from gantry.protocols.jobs import Job, QueuedOpcode
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.query import parse_query

NODE1 = NodeUuid("4d80e271-c4ae-4394-aae9-c634f98eb05e")
NODE2 = NodeUuid("30969da0-a282-463d-aea9-c0c473b1cad6")
NODE3 = NodeUuid("fb4ce8e8-3edd-40b9-9013-a988345fbfbe")
INST1 = InstanceUuid("05ade776-15c6-402e-9ba6-2d42e6431fde")

JOBS: Mapping[JobId, Job] = {
    JobId(12): Job(JobId(12), (QueuedOpcode({"OP_ID": "OP_CLUSTER_VERIFY"}, "running"),)),
    JobId(9): Job(JobId(9), ()),
}
OLD = Job(JobId(3), (QueuedOpcode({"OP_ID": "OP_CLUSTER_VERIFY"}, "error"),))


def plan(view: View, what: str, fields: list[str], qfilter: Json = None) -> Chosen:
    return plan_query(parse_query(what, fields, qfilter), view, JOBS).chosen()


def with_node(
    configuration: Configuration,
    uuid: NodeUuid,
    **change: Any,  # noqa: ANN401 - any of the node's attributes
) -> View:
    node = attrs.evolve(configuration.nodes[uuid], **change)
    return View(attrs.evolve(configuration, nodes=configuration.nodes.set(uuid, node)))


@pytest.mark.parametrize(
    ("what", "fields", "qfilter", "needs"),
    [
        ("instance", ["name", "pnode", "be/maxmem"], None, NOTHING),
        ("instance", ["name"], ["=", "pnode", "node1"], NOTHING),
        ("instance", ["status"], None, Needs(instances=frozenset({NODE1, NODE2}))),
        ("instance", ["name"], ["?", "oper_state"], Needs(instances=frozenset({NODE1, NODE2}))),
        ("instance", ["status"], ["=", "name", "tmpl"], Needs(instances=frozenset({NODE2}))),
        (
            "instance",
            ["name"],
            ["&", ["=", "status", "running"], ["=", "pnode", "node2"]],
            Needs(instances=frozenset({NODE2})),
        ),
        ("instance", ["console"], ["=", "name", "inst1"], Needs(consoles=frozenset({INST1}))),
        ("node", ["name", "ndparams", "role"], None, NOTHING),
        ("node", ["mfree"], None, Needs(info=frozenset({NODE1, NODE2, NODE3}))),
        ("node", ["mfree"], ["=", "name", "node2"], Needs(info=frozenset({NODE2}))),
        ("node", ["name"], ["<", "mfree", 100], Needs(info=frozenset({NODE1, NODE2, NODE3}))),
        ("group", ["name", "pinst_list"], None, NOTHING),
        ("network", ["name", "map"], None, NOTHING),
        ("filter", ["uuid"], None, NOTHING),
        ("lock", ["name"], None, Needs(locks=True)),
        ("export", ["node"], ["=", "node", "node2"], Needs(exports=frozenset({NODE2}))),
        ("job", ["id", "status"], None, NOTHING),
        ("job", ["status"], ["|", ["=", "id", 9], ["=", "id", 3]],
         Needs(archived=frozenset({JobId(3)}))),
        ("job", ["id"], ["=", "id", 3], NOTHING),
        ("job", ["archived"], None, Needs(archived="all")),
        ("job", ["archived"], ["=", "id", 12], NOTHING),
    ],
)  # fmt: skip
def test_needs(view: View, what: str, fields: list[str], qfilter: Json, needs: Needs) -> None:
    found = plan(view, what, fields, qfilter).needs
    assert found == needs
    assert bool(found) == (needs != NOTHING)


def test_nodes_that_can_not_answer_are_not_asked(configuration: Configuration) -> None:
    view = with_node(configuration, NODE2, offline=True)
    assert plan(view, "instance", ["status", "console"]).needs.instances == {NODE1}
    assert len(plan(view, "instance", ["console"]).needs.consoles) == 2
    assert plan(view, "node", ["mfree"]).needs.info == {NODE1, NODE3}
    assert plan(view, "export", ["node"]).needs.exports == {NODE1, NODE3}
    storage_only = with_node(configuration, NODE2, vm_capable=False)
    assert plan(storage_only, "node", ["mfree"]).needs.info == {NODE1, NODE3}


def test_live_fields_of_nodes_say_why_they_are_missing(configuration: Configuration) -> None:
    assert plan(View(configuration), "node", ["mfree"], ["=", "name", "node2"]).cells(
        LiveData()
    ) == [[(2, None)]]
    offline = with_node(configuration, NODE2, offline=True)
    assert plan(offline, "node", ["mfree"], ["=", "name", "node2"]).cells(LiveData()) == [
        [(4, None)]
    ]
    storage_only = with_node(configuration, NODE2, vm_capable=False)
    assert plan(storage_only, "node", ["mfree"], ["=", "name", "node2"]).cells(LiveData()) == [
        [(3, None)]
    ]


@pytest.mark.parametrize(
    ("change", "role"),
    [
        ({}, "C"),
        ({"master_candidate": False}, "R"),
        ({"master_candidate": False, "drained": True}, "D"),
        ({"master_candidate": False, "offline": True}, "O"),
    ],
)
def test_roles_of_nodes(configuration: Configuration, change: dict[str, Any], role: str) -> None:
    view = with_node(configuration, NODE2, **change)
    assert plan(view, "node", ["role"], ["=", "name", "node2"]).plain() == [[role]]


def test_power_is_shown_where_it_can_be_switched(configuration: Configuration) -> None:
    view = with_node(configuration, NODE2, ndparams={"oob_program": "/sbin/power"})
    assert plan(view, "node", ["powered"]).plain() == [[None], [True], [None]]


def test_objects_asked_for_by_name_come_in_that_order(view: View) -> None:
    names = ["|", ["=", "name", "tmpl"], ["=", "name", "inst1"], ["=", "name", "tmpl"]]
    rows = plan(view, "instance", ["name"], names).plain()
    assert rows == [["tmpl.gnt.test"], ["inst1.gnt.test"], ["tmpl.gnt.test"]]


@pytest.mark.parametrize(
    ("what", "name"),
    [("instance", "inst"), ("node", "node1.gnt.test.org"), ("group", "Default"), ("network", "x")],
)
def test_a_name_that_is_nobodys_is_an_error(view: View, what: str, name: str) -> None:
    with pytest.raises(OpPrereqError, match="is not known") as caught:
        plan(view, what, ["name"], ["=", "name", name])
    assert caught.value.args[1] == "unknown_entity"


def test_an_ambiguous_beginning_of_a_name_is_nobodys(configuration: Configuration) -> None:
    view = with_node(configuration, NODE2, name="node1.other.test")
    assert view.find_node("node1") is None
    found = view.find_node("node1.other")
    assert found is not None
    assert found.uuid == NODE2


def test_a_missing_job_is_a_row_with_its_number(view: View) -> None:
    wanted = plan(view, "job", ["id", "status", "archived"], ["=", "id", 3])
    assert wanted.cells(LiveData()) == [[(0, 3), (3, None), (3, None)]]
    archived = LiveData(archived={OLD.id: OLD})
    assert wanted.cells(archived) == [[(0, 3), (0, "error"), (0, True)]]


def test_jobs_are_sorted_by_number(view: View) -> None:
    assert plan(view, "job", ["id", "status"]).plain() == [[9, "success"], [12, "running"]]
    archived = LiveData(archived={OLD.id: OLD})
    rows = plan(view, "job", ["id", "archived"]).plain(archived)
    assert rows == [[3, True], [9, False], [12, False]]


def test_jobs_are_filtered_by_what_they_are(view: View) -> None:
    assert plan(view, "job", ["id"], ["=", "status", "running"]).plain() == [[12]]
    assert plan(view, "job", ["id"], ["=[]", "summary", "CLUSTER_VERIFY"]).plain() == [[12]]


def test_a_job_id_is_a_number(view: View) -> None:
    with pytest.raises(GenericError, match="'x' is not a job id"):
        plan(view, "job", ["id"], ["=", "id", "x"])


def test_each_export_is_a_row(configuration: Configuration) -> None:
    view = with_node(configuration, NODE3, offline=True)
    live = LiveData({
        NODE1: NodeLive(exports=("web10", "web9")),
        NODE2: NodeLive(exports=()),
    })  # fmt: skip
    assert plan(view, "export", ["node", "export"]).cells(live) == [
        [(0, "node1.gnt.test"), (0, "web9")],
        [(0, "node1.gnt.test"), (0, "web10")],
        [(0, "node2.gnt.test"), (2, None)],
        [(0, "node3.gnt.test"), (4, None)],
    ]
    by_name = plan(view, "export", ["export"], ["=", "export", "web9"])
    assert by_name.plain(live) == [["web9"], [None], [None]]
