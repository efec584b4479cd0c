"""A book that follows the log answers like one that is made anew, whatever was asked before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.core.config.histories import a_change
from tests.unit.core.config.small_cluster import sample_state, ticket

from gantry.core.confd.book import AnswerBook
from gantry.core.confd.view import ConfdView
from gantry.core.config.reservations import Reservations
from gantry.core.config.state import State
from gantry.core.config.transaction import Transacted, to_file, transact
from gantry.protocols.objects.configuration import dump_configuration
from gantry.protocols.rconfd import DetailedQuery, MasterField, Request, RequestType
from gantry.protocols.records import ORIGIN, Position

UNORDERED = {RequestType.NODE_IPS, RequestType.CANDIDATE_IPS, RequestType.INSTANCE_IPS}


def made_anew(state: State) -> AnswerBook:
    position = Position(state.index, ORIGIN.checksum)
    return AnswerBook(ConfdView.of(dump_configuration(to_file(state, position))))


def questions(state: State) -> Iterator[Request]:
    configuration = state.configuration
    nodes = [*configuration.nodes.values()]
    names = [part for node in nodes for part in (node.name, node.name[:5], node.uuid)]
    for name in (*names, "nobody"):
        for type_ in (RequestType.NODE_ROLE, RequestType.NODE_DRBD, RequestType.NODE_INSTANCES):
            yield Request(type_, name, "r", order=True)
    for instance in configuration.instances.values():
        for name in (instance.name, instance.name.partition(".")[0], instance.uuid):
            yield Request(RequestType.INSTANCE_DISKS, name, "r")
        for nic in instance.nics:
            link = str(nic.nicparams.get("link", "br0"))
            yield Request(RequestType.INSTANCE_IPS, link, "r")
            if nic.ip is not None:
                yield Request(
                    RequestType.NODE_IP_BY_INSTANCE_IP, DetailedQuery(link=link, ip=nic.ip), "r"
                )
                yield Request(
                    RequestType.NODE_IP_BY_INSTANCE_IP,
                    DetailedQuery(link=link, ips=(nic.ip, "::")),
                    "r",
                )
        yield Request(RequestType.CONFIG_VALUE, f"/instances/{instance.uuid}/nics/0", "r")
    for pointer in ("/serial_no", "/cluster/tags", "/nodes", "/disks", "/gantry/leftovers", "/x"):
        yield Request(RequestType.CONFIG_VALUE, pointer, "r")
    yield Request(RequestType.CLUSTER_MASTER, DetailedQuery(fields=tuple(MasterField)), "r")
    for type_ in (RequestType.PING, RequestType.CLUSTER_MASTER, RequestType.DATA_COLLECTORS):
        yield Request(type_, None, "r", order=True)
    for type_ in UNORDERED:
        yield Request(type_, None, "r")


def answer(book: AnswerBook, request: Request) -> dict[str, Any]:
    begun, end = book.answer(request)
    reply: dict[str, Any] = json.loads(begun.plain + end.plain)
    assert (
        json.loads(b'"%s%s"' % (begun.escaped, end.escaped)) == (begun.plain + end.plain).decode()
    )
    if reply["status"] == 0 and request.type in UNORDERED:
        reply["answer"].sort()
    if reply["status"] == 0 and request.type is RequestType.NODE_INSTANCES:
        reply["answer"] = [sorted(part, key=lambda each: each["uuid"]) for part in reply["answer"]]
    if reply["status"] == 0 and request.type is RequestType.NODE_DRBD:
        reply["answer"].sort()
    return reply


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_following_is_as_good_as_reading_anew(data: st.DataObject) -> None:
    state = sample_state()
    book = made_anew(state)
    for step in range(data.draw(st.integers(1, 8))):
        for request in questions(state):  # whatever is asked is kept
            book.answer(request)
        change = data.draw(a_change(state))
        made = transact(state, Reservations(), ticket(change, step=step), change, 4e9)
        if not isinstance(made, Transacted):
            continue
        state = made.state
        book.follow(state.epoch, state.index, made.record)
        fresh = made_anew(state)
        for request in questions(state):
            assert answer(book, request) == answer(fresh, request), request
