"""The answers that are ready: made when they are first asked for, thrown away when they change.

A committed change throws away the answers that are made of what it touches, and no others, so it
costs what it changes; an answer that was asked for before costs one look into a table.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final, assert_never

from attrs import define, field

from gantry.core.confd.answers import TOO_LARGE, Kept, find_answer
from gantry.core.confd.facts import InstanceFacts
from gantry.core.confd.rendered import PLAIN_END, Rendered, ordered_end
from gantry.core.confd.view import ConfdView
from gantry.protocols.config_records import ConfigRecord
from gantry.protocols.identity import DiskUuid, Epoch, InstanceUuid, NodeUuid
from gantry.protocols.rconfd import REPLY_BYTES_MAX, LogOrder, Request, RequestType
from gantry.protocols.records import Index
from gantry.protocols.wconfd import ObjectKind, ObjectPut

KEPT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Then all are thrown away. About twice what the disks of 20,000 instances take."""

OF_THE_CLUSTER: Final = frozenset(RequestType) - {
    RequestType.PING,
    RequestType.NODE_DRBD,
    RequestType.NODE_INSTANCES,
    RequestType.INSTANCE_DISKS,
}
"""Types of requests whose answers carry the cluster's serial number."""

Place = tuple[RequestType, Hashable]


@define
class AnswerBook:
    """A view with its ready answers."""

    view: ConfdView
    end: Rendered = field(init=False)
    """The end of a reply that says where in the log it stands."""
    _ready: list[dict[Hashable, Rendered]] = field(init=False)
    """By the type's number."""
    _kept_bytes: int = field(default=0, init=False)
    """Of all answers that were kept since all were thrown away."""

    def __attrs_post_init__(self) -> None:
        self._throw_all_away()
        self.end = ordered_end(self.view.order)

    def answer(self, request: Request) -> tuple[Rendered, Rendered]:
        """Return the reply to a request, and its end."""
        found = find_answer(self.view, request.type, request.query)
        if isinstance(found, Kept):
            ready = self._ready[request.type].get(found.about)
            if ready is None:
                ready = found.make()
                if len(ready.escaped) > REPLY_BYTES_MAX:  # it would be signed for nothing
                    ready = TOO_LARGE
                self._keep(request.type, found.about, ready)
        else:
            ready = found
        return ready, self.end if request.order else PLAIN_END

    def follow(self, epoch: Epoch, index: Index, record: ConfigRecord) -> None:
        """Take over what a committed record has changed.

        Raises:
            gantry.protocols.codec.Malformed: it holds an object of an unknown form.
        """
        view = self.view
        for change in record.objects:
            touched = set(_made_of(view, change.of, change.uuid))
            if isinstance(change, ObjectPut):
                view.put(change.of, change.uuid, change.value)
            else:
                view.remove(change.of, change.uuid)
            self._throw_away(touched.union(_made_of(view, change.of, change.uuid)))
            if change.of == "cluster":
                for type_ in OF_THE_CLUSTER:
                    self._ready[type_].clear()
        view.head["serial_no"], view.head["mtime"] = record.serial_no, record.mtime
        self._ready[RequestType.CONFIG_VALUE].clear()
        view.order = LogOrder(epoch, index)
        self.end = ordered_end(view.order)

    def _keep(self, type_: RequestType, about: Hashable, ready: Rendered) -> None:
        self._kept_bytes += ready.size
        if self._kept_bytes > KEPT_BYTES_MAX:
            self._throw_all_away()
            self._kept_bytes = ready.size
        self._ready[type_][about] = ready

    def _throw_away(self, places: set[Place]) -> None:
        for type_, about in places:
            self._ready[type_].pop(about, None)

    def _throw_all_away(self) -> None:
        self._ready = [{} for _ in RequestType]
        self._kept_bytes = 0


def _made_of(view: ConfdView, kind: ObjectKind, uuid: str) -> Iterator[Place]:
    """Return the places of the answers that an object, as it is now, has a part in."""
    match kind:
        case "node":
            yield from _made_of_node(view, NodeUuid(uuid))
        case "instance":
            instance = view.instances.get(InstanceUuid(uuid))
            if instance is not None:
                yield from _made_of_instance(view, instance)
                for address in instance.addresses(view.cluster.default_link):
                    yield RequestType.NODE_IP_BY_INSTANCE_IP, address
                    yield RequestType.INSTANCE_IPS, address[0]
        case "disk":
            owner = view.owners.get(DiskUuid(uuid))
            if owner is not None:
                yield from _made_of_instance(view, view.instances[owner])
        case "cluster" | "nodegroup" | "network" | "filter" | "leftover":
            pass
        case _:
            assert_never(kind)


def _made_of_node(view: ConfdView, uuid: NodeUuid) -> Iterator[Place]:
    yield RequestType.NODE_IPS, None
    yield RequestType.CANDIDATE_IPS, None
    yield RequestType.CLUSTER_MASTER, None
    for named in (True, False):
        yield RequestType.NODE_ROLE, (uuid, named)
    yield RequestType.NODE_DRBD, uuid
    yield RequestType.NODE_INSTANCES, uuid
    there = view.instances_of.get(uuid)
    for instance in there.primary if there is not None else ():
        for address in view.instances[instance].addresses(view.cluster.default_link):
            yield RequestType.NODE_IP_BY_INSTANCE_IP, address


def _made_of_instance(view: ConfdView, instance: InstanceFacts) -> Iterator[Place]:
    yield RequestType.INSTANCE_DISKS, instance.uuid
    for node in view.nodes_of(instance):
        yield RequestType.NODE_DRBD, node
        yield RequestType.NODE_INSTANCES, node
