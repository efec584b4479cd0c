"""What the recorded answers do not show: DRBD, roles, pointers, and the bounds."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from gantry.core.confd.answers import _QUESTIONS
from gantry.core.confd.book import AnswerBook
from gantry.core.confd.view import ConfdView
from gantry.protocols.codec import Json, Malformed
from gantry.protocols.rconfd import (
    REQUESTS,
    DetailedQuery,
    LogOrder,
    Query,
    Reply,
    Request,
    RequestType,
    Status,
    markdown,
    parse_reply,
)

Document = dict[str, Any]

CONFIG = Path(__file__).parents[3] / "facts" / "samples" / "config.data"
NODE1, NODE2, NODE3 = (f"node{number}.gnt.test" for number in (1, 2, 3))


@pytest.fixture
def document() -> Document:
    loaded: Document = json.loads(CONFIG.read_bytes())
    return loaded


def ask(
    document: Document, type_: RequestType, query: Query = None, *, order: bool = False
) -> Reply:
    return said(AnswerBook(ConfdView.of(document)), Request(type_, query, "r", order))


def said(book: AnswerBook, request: Request) -> Reply:
    begun, end = book.answer(request)
    return parse_reply((begun.plain + end.plain).decode())


def named(document: Document, kind: str, name: str) -> Document:
    found: Document = next(each for each in document[kind].values() if each["name"] == name)
    return found


def items(reply: Reply) -> list[Any]:
    assert isinstance(reply.answer, list)
    return reply.answer


def test_every_type_has_a_form_and_an_answer() -> None:
    assert set(RequestType) == REQUESTS.keys() == _QUESTIONS.keys()
    assert markdown().count("\n") == len(RequestType) + 1


@pytest.mark.parametrize(
    ("flags", "role"),
    [
        ({"master_candidate": False}, 4),
        ({"master_candidate": False, "drained": True}, 3),
        ({"master_candidate": False, "offline": True}, 2),
        ({}, 1),
    ],
)
def test_roles(document: Document, flags: dict[str, bool], role: int) -> None:
    named(document, "nodes", NODE3).update(flags)
    assert ask(document, RequestType.NODE_ROLE, NODE3) == Reply(Status.OK, role, 68)


def with_drbd(document: Document) -> Document:
    """Turn the instance with a disk into one that is mirrored between two nodes."""
    node1, node2 = named(document, "nodes", NODE1), named(document, "nodes", NODE2)
    (uuid,) = named(document, "instances", "inst2.gnt.test")["disks"]
    disk = document["disks"][uuid]
    disk["dev_type"] = "drbd"
    disk["logical_id"] = [node1["uuid"], node2["uuid"], 11000, 0, 3, "secret"]
    disk["nodes"] = [node1["uuid"], node2["uuid"]]
    return document


def test_drbd_devices_are_told_from_both_ends(document: Document) -> None:
    with_drbd(document)

    assert ask(document, RequestType.NODE_DRBD, NODE1).answer == [
        [NODE1, 0, "inst2.gnt.test", "disk/0", "primary", NODE2]
    ]
    assert ask(document, RequestType.NODE_DRBD, "node2").answer == [
        [NODE2, 3, "inst2.gnt.test", "disk/0", "secondary", NODE1]
    ]


def test_a_mirrored_instance_is_a_secondary_one_elsewhere(document: Document) -> None:
    reply = ask(with_drbd(document), RequestType.NODE_INSTANCES, NODE2)

    primary, secondary = items(reply)
    assert [each["name"] for each in primary] == ["tmpl.gnt.test"]
    assert [each["name"] for each in secondary] == ["inst2.gnt.test"]


def test_disks_come_with_their_secrets(document: Document) -> None:
    (disk,) = items(ask(with_drbd(document), RequestType.INSTANCE_DISKS, "inst2"))
    assert disk["logical_id"][-1] == "secret"


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/cluster/enabled_hypervisors/0", "fake"),
        ("/cluster/osparams/a~1b~0c", {"x": "y"}),
    ],
)
def test_pointers_go_through_lists_and_escapes(
    document: Document, pointer: str, value: Json
) -> None:
    document["cluster"]["osparams"]["a/b~c"] = {"x": "y"}
    assert ask(document, RequestType.CONFIG_VALUE, pointer) == Reply(Status.OK, value, 68)


@pytest.mark.parametrize(
    "pointer", ["/cluster/enabled_hypervisors/" + index for index in ("1", "-", "-1", "00", "x")]
)
def test_bad_indexes_are_argument_errors(document: Document, pointer: str) -> None:
    assert ask(document, RequestType.CONFIG_VALUE, pointer) == Reply(Status.ERROR, 2, 0)


def test_a_value_beyond_a_datagram_is_refused(document: Document) -> None:
    document["cluster"]["osparams"]["many"] = {str(number): "" for number in range(40_000)}
    reply = ask(document, RequestType.CONFIG_VALUE, "/cluster/osparams")
    assert reply.status is Status.ERROR
    assert "point deeper" in str(reply.answer)


def test_empty_detailed_queries_have_empty_answers(document: Document) -> None:
    nothing = DetailedQuery()
    assert ask(document, RequestType.CLUSTER_MASTER, nothing).answer == []
    assert ask(document, RequestType.NODE_IP_BY_INSTANCE_IP, nothing).answer == []


def test_a_link_that_nobody_uses_has_no_addresses(document: Document) -> None:
    assert ask(document, RequestType.INSTANCE_IPS, "br9") == Reply(Status.OK, [], 68)


def test_the_place_in_the_log_is_told_to_who_asks(document: Document) -> None:
    document["gantry"] = {"log": {"epoch": 2, "index": 77, "checksum": "ab", "jobs": []}}

    assert ask(document, RequestType.PING, order=True).order == LogOrder(2, 77)
    assert ask(document, RequestType.PING).order is None


def test_what_is_no_configuration_is_refused(document: Document) -> None:
    broken = copy.deepcopy(document)
    del broken["cluster"]["master_ip"]
    with pytest.raises(Malformed, match="master_ip"):
        ConfdView.of(broken)
