"""What ConfD answers: a pure function of a configuration and a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, assert_never, cast

from gantry.core.confd.view import ConfdView, InstancesOfNode
from gantry.protocols.codec import Json
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.node import Node
from gantry.protocols.objects.wire import dump_object
from gantry.protocols.rconfd import (
    REPLY_BYTES_MAX,
    DetailedQuery,
    ErrorCode,
    LogOrder,
    MasterField,
    NodeRole,
    Query,
    Reply,
    Request,
    RequestType,
    Status,
)

XEN: Final = frozenset({"xen-pvm", "xen-hvm"})
XEN_COLLECTOR: Final = "inst-status-xen"
"""It is active only where there is a Xen hypervisor, whatever its own setting says."""

VALUE_ATOMS_MAX: Final = REPLY_BYTES_MAX // 2
"""A JSON value with more parts than this renders to more than a reply can hold."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
"""An array index of a JSON pointer (RFC 6901 section 4)."""


def answer(view: ConfdView, request: Request) -> Reply:
    """Answer a request."""
    reply = _ANSWERS[request.type](view, request.query)
    return _ordered(reply, view.order) if request.order else reply


def error(answer: ErrorCode | str) -> Reply:
    """Return an error; its serial number is 0."""
    return Reply(Status.ERROR, int(answer) if isinstance(answer, ErrorCode) else answer, 0)


def _ordered(reply: Reply, order: LogOrder) -> Reply:
    return Reply(reply.status, reply.answer, reply.serial, order)


def _ok(answer: Json, serial: int) -> Reply:
    return Reply(Status.OK, answer, serial)


def _not_a_name(query: Query) -> Reply:
    return error(f"expected a name as query, got {type(query).__name__}")


def _no_node(name: str) -> Reply:
    return error(f"node {name} is not known")


def _node_role(view: ConfdView, query: Query) -> Reply:
    """Return a node's role. As in Ganeti only its full name finds the master in that role."""
    if not isinstance(query, str):
        return _not_a_name(query)
    node = view.names.find_node(query)
    if node is None:
        return _no_node(query)
    is_master = node.uuid == view.configuration.cluster.master_node and node.name == query
    return _ok(int(_role(node, is_master=is_master)), view.cluster_serial)


def _role(node: Node, *, is_master: bool) -> NodeRole:
    if is_master:
        return NodeRole.MASTER
    if node.drained:
        return NodeRole.DRAINED
    if node.offline:
        return NodeRole.OFFLINE
    return NodeRole.CANDIDATE if node.master_candidate else NodeRole.REGULAR


def _node_ips(view: ConfdView, query: Query) -> Reply:
    if not isinstance(query, DetailedQuery):
        return error(ErrorCode.ARGUMENT)
    link = view.default_link if query.link is None else query.link
    if query.ip is not None:
        return _node_ip(view, link, query.ip)
    replies = [_node_ip(view, link, ip) for ip in query.ips]
    listed = [[int(each.status), each.answer, each.serial] for each in replies]
    return _ok(listed, view.cluster_serial)


def _node_ip(view: ConfdView, link: str, ip: str) -> Reply:
    instance = view.instance_by_ip.get((link, ip))
    primary = instance.primary_node if instance is not None else None
    node = view.configuration.nodes.get(primary) if primary is not None else None
    if node is None:
        return error(ErrorCode.UNKNOWN_ENTRY)
    return _ok(node.primary_ip, view.cluster_serial)


def _master(view: ConfdView, query: Query) -> Reply:
    cluster = view.configuration.cluster
    master = view.configuration.nodes.get(cluster.master_node)
    if master is None:
        return error(f"the master node {cluster.master_node} is not in the configuration")
    match query:
        case None:
            return _ok(master.name, cluster.serial_no)
        case str():
            return error(ErrorCode.ARGUMENT)
        case DetailedQuery(fields=fields):
            values = {
                MasterField.NAME: master.name,
                MasterField.CLUSTER_IP: cluster.master_ip,
                MasterField.NODE_IP: master.primary_ip,
            }
            return _ok([values[each] for each in fields], cluster.serial_no)
        case _:
            assert_never(query)


def _instance_ips(view: ConfdView, query: Query) -> Reply:
    if isinstance(query, DetailedQuery):
        return error("expected a link or null as query, got an object")
    link = view.default_link if query is None else query
    return _ok(view.ips_of_link.get(link, []), view.cluster_serial)


def _minors(view: ConfdView, query: Query) -> Reply:
    if not isinstance(query, str):
        return _not_a_name(query)
    node = view.names.find_node(query)
    if node is None:
        return _no_node(query)
    listed = [
        [
            node.name,
            minor,
            instance.name,
            disk,
            "primary" if is_primary else "secondary",
            _node_name(view, peer),
        ]
        for _, minor, instance, disk, is_primary, peer in view.minors.get(node.uuid, ())
    ]
    return _ok(listed, node.serial_no)


def _node_name(view: ConfdView, node: NodeUuid) -> str:
    return view.names.node_name(node) or node


def _instances(view: ConfdView, query: Query) -> Reply:
    if not isinstance(query, str):
        return _not_a_name(query)
    node = view.names.find_node(query)
    if node is None:
        return _no_node(query)
    there = view.instances.get(node.uuid, InstancesOfNode())
    return _ok([there.primary, there.secondary], node.serial_no)


def _disks(view: ConfdView, query: Query) -> Reply:
    if not isinstance(query, str):
        return _not_a_name(query)
    instance = view.names.find_instance(query)
    if instance is None:
        return error(f"instance {query} is not known")
    disks = [dump_object(disk) for disk in view.names.disks(instance)]
    return _ok(disks, instance.serial_no)


def _value(view: ConfdView, query: Query) -> Reply:
    """Return what a JSON pointer (RFC 6901) points to; the whole is not to be had."""
    if not isinstance(query, str) or not query.startswith("/"):
        return error(ErrorCode.ARGUMENT)
    here: Json = view.document
    for part in query[1:].split("/"):
        step = part.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict) and step in here:
            here = here[step]
        elif isinstance(here, list) and _INDEX.fullmatch(step) and int(step) < len(here):
            here = here[int(step)]
        else:
            return error(ErrorCode.ARGUMENT)
    if not _is_small(here):
        return error(f"the value at {query} is larger than a datagram; point deeper")
    return _ok(here, view.cluster_serial)


def _is_small(value: Json) -> bool:
    """Whether a value could fit into a reply, found out without walking all of a large one."""
    left, heads = VALUE_ATOMS_MAX, [value]
    while heads:
        here = heads.pop()
        members = (
            here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()
        )
        left -= 1 + len(members)
        if left < 0:
            return False
        heads.extend(members)
    return True


def _collectors(view: ConfdView) -> Json:
    cluster = view.configuration.cluster
    has_xen = not XEN.isdisjoint(cluster.enabled_hypervisors)
    settings = {
        name: cast("Mapping[str, Json]", dump_object(each))
        for name, each in cluster.data_collectors.items()
    }
    if XEN_COLLECTOR in settings and not has_xen:
        settings[XEN_COLLECTOR] = {**settings[XEN_COLLECTOR], "active": False}
    return dict(settings)


_ANSWERS: Final[Mapping[RequestType, Callable[[ConfdView, Query], Reply]]] = {
    RequestType.PING: lambda view, _: _ok(view.configuration.version, 0),
    RequestType.NODE_ROLE: _node_role,
    RequestType.NODE_IP_BY_INSTANCE_IP: _node_ips,
    RequestType.CLUSTER_MASTER: _master,
    RequestType.NODE_IPS: lambda view, _: _ok(view.node_ips, view.cluster_serial),
    RequestType.CANDIDATE_IPS: lambda view, _: _ok(view.candidate_ips, view.cluster_serial),
    RequestType.INSTANCE_IPS: _instance_ips,
    RequestType.NODE_DRBD: _minors,
    RequestType.NODE_INSTANCES: _instances,
    RequestType.INSTANCE_DISKS: _disks,
    RequestType.CONFIG_VALUE: _value,
    RequestType.DATA_COLLECTORS: lambda view, _: _ok(_collectors(view), view.cluster_serial),
}
