"""What ConfD answers: each kind of question, and how its answer is made of a view.

Nothing here is longer than a datagram can carry: an answer that would be is given up as soon as
that is clear, so that its cost has a bound whatever the size of the cluster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final, assert_never, cast

from attrs import frozen

from gantry.core.confd.facts import InstanceFacts, NodeFacts
from gantry.core.confd.rendered import (
    Rendered,
    rendered_answer,
    rendered_error,
    rendered_value,
)
from gantry.core.confd.view import ConfdView, InstancesOfNode
from gantry.core.config.folding import PLACES
from gantry.protocols.codec import Json, from_bytes, to_bytes
from gantry.protocols.identity import InstanceUuid, NodeUuid
from gantry.protocols.rconfd import (
    REPLY_BYTES_MAX,
    DetailedQuery,
    ErrorCode,
    MasterField,
    NodeRole,
    Query,
    RequestType,
    Status,
)

XEN: Final = frozenset({"xen-pvm", "xen-hvm"})
XEN_COLLECTOR: Final = "inst-status-xen"
"""It is active only where there is a Xen hypervisor, whatever its own setting says."""

ADDRESS_BYTES_MIN: Final = 10
"""The shortest IPv4 address in a list, with its quotes and comma (IPv6 may be shorter, and then
the datagram's own length decides)."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
"""An array index of a JSON pointer (RFC 6901 section 4)."""

TOO_LARGE: Final = rendered_error(
    f"the answer is larger than a datagram ({REPLY_BYTES_MAX} bytes); "
    "ask for less, or ask the master with gnt-node, gnt-instance or RAPI"
)
"""What is answered where the answer does not fit into a datagram: an error's text, as for all that
a server fails to answer, since the numbers of errors have none for it."""


@frozen
class Kept:
    """An answer that stays the same until something changes that it is made of."""

    about: Hashable
    """What it is about: with the type of the request, its place among the answers."""
    make: Callable[[], Rendered]


Found = Kept | Rendered
"""What a question leads to: an answer that may be there already, or one for this time only."""


def find_answer(view: ConfdView, type_: RequestType, query: Query) -> Found:
    """Find out what a question is about."""
    return _BY_NUMBER[type_](view, query)


# --- about the cluster ---------------------------------------------------------------------------


def _ping(view: ConfdView, query: Query) -> Found:
    del query
    return Kept(None, lambda: rendered_answer(view.head["version"], 0))


def _master(view: ConfdView, query: Query) -> Found:
    match query:
        case None:
            return Kept(None, lambda: _master_fields(view, None))
        case str():
            return rendered_error(ErrorCode.ARGUMENT)
        case DetailedQuery(fields=fields):
            return _master_fields(view, fields)
        case _:
            assert_never(query)


def _master_fields(view: ConfdView, fields: tuple[MasterField, ...] | None) -> Rendered:
    cluster = view.cluster
    master = view.nodes.get(cluster.master_node)
    if master is None:
        return rendered_error(f"the master node {cluster.master_node} is not in the configuration")
    values = {
        MasterField.NAME: master.name,
        MasterField.CLUSTER_IP: cluster.master_ip,
        MasterField.NODE_IP: master.primary_ip,
    }
    answer = master.name if fields is None else [values[each] for each in fields]
    return rendered_answer(answer, cluster.serial_no)


def _node_ips(view: ConfdView, query: Query) -> Found:
    del query
    return Kept(None, lambda: _addresses(view, (n.primary_ip for n in view.nodes.values())))


def _candidate_ips(view: ConfdView, query: Query) -> Found:
    del query
    candidates = (n.primary_ip for n in view.nodes.values() if n.master_candidate)
    return Kept(None, lambda: _addresses(view, candidates))


def _instance_ips(view: ConfdView, query: Query) -> Found:
    if isinstance(query, DetailedQuery):
        return rendered_error("expected a link or null as query, got an object")
    link = view.cluster.default_link if query is None else query
    return Kept(link, lambda: _addresses(view, view.ips_of_link.get(link, {})))


def _addresses(view: ConfdView, addresses: Iterable[str]) -> Rendered:
    listed: list[Json] = []
    for address in addresses:
        listed.append(address)
        if len(listed) * ADDRESS_BYTES_MIN > REPLY_BYTES_MAX:
            return TOO_LARGE
    return rendered_answer(listed, view.cluster.serial_no)


def _collectors(view: ConfdView, query: Query) -> Found:
    del query
    return Kept(None, lambda: _collector_settings(view))


def _collector_settings(view: ConfdView) -> Rendered:
    cluster = view.cluster
    settings = dict(cluster.data_collectors)
    if XEN_COLLECTOR in settings and XEN.isdisjoint(cluster.enabled_hypervisors):
        settings[XEN_COLLECTOR] = {**settings[XEN_COLLECTOR], "active": False}
    return rendered_answer(cast(Json, settings), cluster.serial_no)


# --- about nodes ---------------------------------------------------------------------------------


def _find_node(view: ConfdView, query: Query) -> NodeFacts | Rendered:
    if not isinstance(query, str):
        return rendered_error(f"expected a name as query, got {type(query).__name__}")
    uuid = view.node_names.find(query)
    if uuid is None:
        return rendered_error(f"node {query} is not known")
    return view.nodes[NodeUuid(uuid)]


def _node_role(view: ConfdView, query: Query) -> Found:
    """Find a node's role. As in Ganeti only its full name finds the master in that role."""
    node = _find_node(view, query)
    if isinstance(node, Rendered):
        return node
    named = node.name == query
    return Kept((node.uuid, named), lambda: _role(view, node, is_named=named))


def _role(view: ConfdView, node: NodeFacts, *, is_named: bool) -> Rendered:
    if is_named and node.uuid == view.cluster.master_node:
        role = NodeRole.MASTER
    elif node.drained:
        role = NodeRole.DRAINED
    elif node.offline:
        role = NodeRole.OFFLINE
    else:
        role = NodeRole.CANDIDATE if node.master_candidate else NodeRole.REGULAR
    return rendered_answer(int(role), view.cluster.serial_no)


def _node_ip_by_instance_ip(view: ConfdView, query: Query) -> Found:
    if not isinstance(query, DetailedQuery):
        return rendered_error(ErrorCode.ARGUMENT)
    link = view.cluster.default_link if query.link is None else query.link
    serial = view.cluster.serial_no
    if query.ip is not None:
        node = _node_of_address(view, link, query.ip)
        if node is None:
            return rendered_error(ErrorCode.UNKNOWN_ENTRY)
        return Kept((link, query.ip), lambda: rendered_answer(node.primary_ip, serial))
    nodes = [_node_of_address(view, link, ip) for ip in query.ips]
    listed: list[Json] = [
        [int(Status.ERROR), int(ErrorCode.UNKNOWN_ENTRY), 0]
        if node is None
        else [int(Status.OK), node.primary_ip, serial]
        for node in nodes
    ]
    return rendered_answer(listed, serial)


def _node_of_address(view: ConfdView, link: str, ip: str) -> NodeFacts | None:
    users = view.by_address.get((link, ip))
    primary = view.instances[users[-1]].primary_node if users else None
    return None if primary is None else view.nodes.get(primary)


def _drbd(view: ConfdView, query: Query) -> Found:
    node = _find_node(view, query)
    if isinstance(node, Rendered):
        return node
    return Kept(node.uuid, lambda: rendered_answer(_minors(view, node), node.serial_no))


def _minors(view: ConfdView, node: NodeFacts) -> list[Json]:
    there = view.instances_of.get(node.uuid, InstancesOfNode())
    listed: list[Json] = []
    for uuid in (*there.primary, *there.secondary):
        instance = view.instances[uuid]
        for place, disk in enumerate(view.disks_of(instance)):
            end = None if disk.mirror is None else disk.mirror.end_on(node.uuid)
            if end is None or instance.forthcoming:
                continue
            minor, peer = end
            role = "primary" if node.uuid == instance.primary_node else "secondary"
            shown = disk.iv_name or f"disk/{place}"
            peer_name = view.nodes[peer].name if peer in view.nodes else peer
            listed.append([node.name, minor, instance.name, shown, role, peer_name])
    return listed


def _node_instances(view: ConfdView, query: Query) -> Found:
    node = _find_node(view, query)
    if isinstance(node, Rendered):
        return node
    return Kept(node.uuid, lambda: _instance_forms(view, node))


def _instance_forms(view: ConfdView, node: NodeFacts) -> Rendered:
    there = view.instances_of.get(node.uuid, InstancesOfNode())
    primary = _joined(view, there.primary)
    secondary = None if primary is None else _joined(view, there.secondary)
    if primary is None or secondary is None:
        return TOO_LARGE
    return rendered_value(b"[[%s],[%s]]" % (primary, secondary), node.serial_no)


def _joined(view: ConfdView, instances: Iterable[InstanceUuid]) -> bytes | None:
    """Return the forms of instances as the inside of a list, unless that is too long."""
    forms, length, listed = view.forms[PLACES["instance"]], 0, []
    for uuid in instances:
        listed.append(forms[uuid])
        length += len(listed[-1])
        if length > REPLY_BYTES_MAX:
            return None
    return b",".join(listed)


# --- about instances -----------------------------------------------------------------------------


def _disks(view: ConfdView, query: Query) -> Found:
    if not isinstance(query, str):
        return rendered_error(f"expected a name as query, got {type(query).__name__}")
    uuid = view.instance_names.find(query)
    if uuid is None:
        return rendered_error(f"instance {query} is not known")
    instance = view.instances[InstanceUuid(uuid)]
    return Kept(instance.uuid, lambda: _disk_forms(view, instance))


def _disk_forms(view: ConfdView, instance: InstanceFacts) -> Rendered:
    forms = view.forms[PLACES["disk"]]
    listed = b",".join(forms[disk.uuid] for disk in view.disks_of(instance))
    return rendered_value(b"[%s]" % listed, instance.serial_no)


# --- about anything ------------------------------------------------------------------------------


def _value(view: ConfdView, query: Query) -> Found:
    """Find what a JSON pointer (RFC 6901) points to; the whole is not to be had."""
    if not isinstance(query, str) or not query.startswith("/"):
        return rendered_error(ErrorCode.ARGUMENT)
    return Kept(query, lambda: _pointed_at(view, query))


def _pointed_at(view: ConfdView, pointer: str) -> Rendered:
    first, *rest = (part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))
    if first in view.forms:
        objects = view.forms[first]
        if not rest:
            return _all_objects(view, objects, pointer)
        form = objects.get(rest.pop(0))
        if form is None:
            return rendered_error(ErrorCode.ARGUMENT)
        here = from_bytes(form)
    elif first in view.head:
        here = view.head[first]
    else:
        return rendered_error(ErrorCode.ARGUMENT)
    for step in rest:
        if isinstance(here, dict) and step in here:
            here = here[step]
        elif isinstance(here, list) and _INDEX.fullmatch(step) and int(step) < len(here):
            here = here[int(step)]
        else:
            return rendered_error(ErrorCode.ARGUMENT)
    value = to_bytes(here)
    if len(value) > REPLY_BYTES_MAX:
        return _beyond_a_datagram(pointer)
    return rendered_value(value, view.cluster.serial_no)


def _all_objects(view: ConfdView, objects: Mapping[str, bytes], pointer: str) -> Rendered:
    listed, length = [], 0
    for uuid, form in objects.items():
        listed.append(b"%s:%s" % (to_bytes(uuid), form))
        length += len(listed[-1])
        if length > REPLY_BYTES_MAX:
            return _beyond_a_datagram(pointer)
    return rendered_value(b"{%s}" % b",".join(listed), view.cluster.serial_no)


def _beyond_a_datagram(pointer: str) -> Rendered:
    return rendered_error(f"the value at {pointer} is larger than a datagram; point deeper")


_QUESTIONS: Final[Mapping[RequestType, Callable[[ConfdView, Query], Found]]] = {
    RequestType.PING: _ping,
    RequestType.NODE_ROLE: _node_role,
    RequestType.NODE_IP_BY_INSTANCE_IP: _node_ip_by_instance_ip,
    RequestType.CLUSTER_MASTER: _master,
    RequestType.NODE_IPS: _node_ips,
    RequestType.CANDIDATE_IPS: _candidate_ips,
    RequestType.INSTANCE_IPS: _instance_ips,
    RequestType.NODE_DRBD: _drbd,
    RequestType.NODE_INSTANCES: _node_instances,
    RequestType.INSTANCE_DISKS: _disks,
    RequestType.CONFIG_VALUE: _value,
    RequestType.DATA_COLLECTORS: _collectors,
}

_BY_NUMBER: Final = tuple(_QUESTIONS[type_] for type_ in RequestType)
"""The types are 0, 1, 2 and so on, and an enumeration's own hash is slow."""
