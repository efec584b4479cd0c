"""What ConfD knows: one configuration, with everything found by name, node or address.

A view is made from a ``config.data`` once and then follows the committed changes. A change costs
what it touches; no question costs more than its answer holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never, cast

from attrs import define, field, frozen

from gantry.core.confd.facts import (
    ClusterFacts,
    DiskFacts,
    InstanceFacts,
    NodeFacts,
    load_facts,
    objects_of,
)
from gantry.core.confd.names import Names
from gantry.core.config.folding import PLACES
from gantry.protocols.codec import Json, Malformed, from_bytes, to_bytes
from gantry.protocols.config_records import LOG_KEY, load_position
from gantry.protocols.identity import DiskUuid, InstanceUuid, NodeUuid
from gantry.protocols.objects.configuration import GANTRY_KEY, LEFTOVERS_KEY
from gantry.protocols.rconfd import LogOrder
from gantry.protocols.wconfd import ObjectKind

Address = tuple[str, str]
"""(link, IP)."""


@frozen
class Packed:
    """A configuration taken apart.

    Its JSON value takes ten times the memory of its text. While it is there nothing should be made
    that stays: small objects between those of the value would keep its memory from being given
    back. So objects are read one by one from their texts, when the value is forgotten.
    """

    head: dict[str, Json]
    """The configuration without its objects."""
    order: LogOrder
    forms: Mapping[ObjectKind, bytes] = field(repr=False)
    """The objects of each kind as lines: one large text instead of many small ones."""

    @classmethod
    def of(cls, document: Json) -> Packed:
        """Take the JSON value of a ``config.data`` apart.

        Raises:
            gantry.protocols.codec.Malformed: it is no configuration.
        """
        if not isinstance(document, dict) or not isinstance(document.get("version"), int):
            raise Malformed("this is no configuration: it has no version")
        sent = cast("dict[str, Json]", document)
        forms = {kind: _lines(objects_of(sent, place)) for kind, place in PLACES.items()}
        head = {key: value for key, value in sent.items() if key not in PLACES.values()}
        gantry = dict(cast("Mapping[str, Json]", sent.get(GANTRY_KEY) or {}))
        position = load_position(gantry.pop(LOG_KEY, None))
        head[GANTRY_KEY] = gantry
        return cls(head, LogOrder(position.epoch, position.index), forms)


def _lines(objects: Mapping[str, Json]) -> bytes:
    lines = bytearray()
    for value in objects.values():
        lines += to_bytes(value)
        lines += b"\n"
    return bytes(lines)


@define
class InstancesOfNode:
    """A node's instances, by the node's role for them; as ordered sets."""

    primary: dict[InstanceUuid, None] = field(factory=dict)
    secondary: dict[InstanceUuid, None] = field(factory=dict)


@define
class ConfdView:
    """One configuration, made to be asked. Made by :meth:`of`."""

    head: dict[str, Json]
    """The configuration without its objects."""
    cluster: ClusterFacts
    order: LogOrder
    forms: dict[str, dict[str, bytes]] = field(repr=False)
    """The objects' JSON forms, by their places in ``config.data``."""
    nodes: dict[NodeUuid, NodeFacts] = field(factory=dict, init=False)
    instances: dict[InstanceUuid, InstanceFacts] = field(factory=dict, init=False)
    disks: dict[DiskUuid, DiskFacts] = field(factory=dict, init=False)
    owners: dict[DiskUuid, InstanceUuid] = field(factory=dict, init=False)
    """Which instance a disk belongs to."""
    instances_of: dict[NodeUuid, InstancesOfNode] = field(factory=dict, init=False)
    by_address: dict[Address, list[InstanceUuid]] = field(factory=dict, init=False)
    ips_of_link: dict[str, dict[str, None]] = field(factory=dict, init=False)
    node_names: Names = field(factory=Names, init=False)
    instance_names: Names = field(factory=Names, init=False)

    @classmethod
    def of(cls, document: Json) -> ConfdView:
        """Index the JSON value of a ``config.data``.

        Raises:
            gantry.protocols.codec.Malformed: it is no configuration.
        """
        return cls.unpacked(Packed.of(document))

    @classmethod
    def unpacked(cls, packed: Packed) -> ConfdView:
        """Index a configuration that was taken apart.

        Raises:
            gantry.protocols.codec.Malformed: an object is of an unknown form.
        """
        cluster = load_facts(ClusterFacts, packed.head.get("cluster"))
        view = cls(dict(packed.head), cluster, packed.order, {p: {} for p in PLACES.values()})
        for kind, forms in packed.forms.items():
            for form in forms.splitlines():
                value = from_bytes(form)
                if not isinstance(value, dict):
                    raise Malformed(f"{PLACES[kind]}: expected objects, got {type(value).__name__}")
                view._put(kind, str(value.get("uuid")), value, form)
        return view

    # --- following -------------------------------------------------------------------------------

    def put(self, kind: ObjectKind, uuid: str, value: Json) -> None:
        """Put an object in its place.

        Raises:
            gantry.protocols.codec.Malformed: it is of an unknown form; nothing is changed.
        """
        self._put(kind, uuid, value, to_bytes(value))

    def _put(self, kind: ObjectKind, uuid: str, value: Json, form: bytes) -> None:
        match kind:
            case "cluster":
                self._put_cluster(value)
            case "node":
                node = load_facts(NodeFacts, value)
                self._leave_node(uuid)
                self.nodes[node.uuid] = node
                self.node_names.add(node.uuid, node.name)
            case "instance":
                instance = load_facts(InstanceFacts, value)
                self._leave_instance(uuid)
                self._enter_instance(instance)
            case "disk":
                disk = load_facts(DiskFacts, value)
                disk.mirror  # noqa: B018 - refuses what is malformed
                self._with_disk(disk.uuid, disk)
            case "leftover":
                self._leftovers()[uuid] = value
            case "nodegroup" | "network" | "filter":
                pass
            case _:
                assert_never(kind)
        if kind in PLACES:
            self.forms[PLACES[kind]][uuid] = form

    def remove(self, kind: ObjectKind, uuid: str) -> None:
        """Take an object out, if it is there."""
        match kind:
            case "node":
                self._leave_node(uuid)
            case "instance":
                self._leave_instance(uuid)
            case "disk":
                self._with_disk(DiskUuid(uuid), None)
            case "leftover":
                self._leftovers().pop(uuid, None)
            case "cluster" | "nodegroup" | "network" | "filter":
                pass
            case _:
                assert_never(kind)
        if kind in PLACES:
            self.forms[PLACES[kind]].pop(uuid, None)

    def _leftovers(self) -> dict[str, Json]:
        gantry = cast("dict[str, Json]", self.head.setdefault(GANTRY_KEY, {}))
        return cast("dict[str, Json]", gantry.setdefault(LEFTOVERS_KEY, {}))

    def _put_cluster(self, value: Json) -> None:
        cluster = load_facts(ClusterFacts, value)
        moved = cluster.default_link != self.cluster.default_link
        there = list(self.instances.values()) if moved else []
        for instance in there:  # all NICs that name no link are on another one now
            self._leave_addresses(instance)
        self.cluster, self.head["cluster"] = cluster, value
        for instance in there:
            self._enter_addresses(instance)

    def _leave_node(self, uuid: str) -> None:
        node = self.nodes.pop(NodeUuid(uuid), None)
        if node is not None:
            self.node_names.remove(uuid, node.name)

    def _enter_instance(self, instance: InstanceFacts) -> None:
        self.instances[instance.uuid] = instance
        self.instance_names.add(instance.uuid, instance.name)
        for disk in instance.disks or ():
            self.owners[disk] = instance.uuid
        self._enter_nodes(instance)
        self._enter_addresses(instance)

    def _leave_instance(self, uuid: str) -> None:
        instance = self.instances.pop(InstanceUuid(uuid), None)
        if instance is None:
            return
        self.instance_names.remove(uuid, instance.name)
        self._leave_nodes(instance)
        self._leave_addresses(instance)
        for disk in instance.disks or ():
            if self.owners.get(disk) == instance.uuid:
                del self.owners[disk]

    def _with_disk(self, uuid: DiskUuid, disk: DiskFacts | None) -> None:
        """Change a disk, and with it the nodes on which its instance is a secondary one."""
        owner = self.instances.get(self.owners.get(uuid, InstanceUuid("")))
        if owner is not None:
            self._leave_nodes(owner)
        if disk is None:
            self.disks.pop(uuid, None)
        else:
            self.disks[uuid] = disk
        if owner is not None:
            self._enter_nodes(owner)

    def _enter_nodes(self, instance: InstanceFacts) -> None:
        if instance.primary_node is not None:
            there = self.instances_of.setdefault(instance.primary_node, InstancesOfNode())
            there.primary[instance.uuid] = None
        for node in self.secondary_nodes(instance):
            self.instances_of.setdefault(node, InstancesOfNode()).secondary[instance.uuid] = None

    def _leave_nodes(self, instance: InstanceFacts) -> None:
        for node in self.nodes_of(instance):
            there = self.instances_of.get(node, InstancesOfNode())
            there.primary.pop(instance.uuid, None)
            there.secondary.pop(instance.uuid, None)

    def _enter_addresses(self, instance: InstanceFacts) -> None:
        for link, ip in instance.addresses(self.cluster.default_link):
            self.by_address.setdefault((link, ip), []).append(instance.uuid)
            self.ips_of_link.setdefault(link, {})[ip] = None

    def _leave_addresses(self, instance: InstanceFacts) -> None:
        for link, ip in instance.addresses(self.cluster.default_link):
            users = self.by_address.get((link, ip), [])
            if instance.uuid in users:
                users.remove(instance.uuid)
            if not users:
                self.by_address.pop((link, ip), None)
                self.ips_of_link.get(link, {}).pop(ip, None)

    # --- what instances are made of --------------------------------------------------------------

    def disks_of(self, instance: InstanceFacts) -> Iterator[DiskFacts]:
        """Return an instance's disks, in order."""
        for uuid in instance.disks or ():
            if uuid in self.disks:
                yield self.disks[uuid]

    def secondary_nodes(self, instance: InstanceFacts) -> tuple[NodeUuid, ...]:
        """Return the nodes, besides the primary one, that hold an instance's disks."""
        nodes = (node for disk in self.disks_of(instance) for node in disk.nodes or ())
        return tuple(dict.fromkeys(node for node in nodes if node != instance.primary_node))

    def nodes_of(self, instance: InstanceFacts) -> tuple[NodeUuid, ...]:
        """Return the nodes to which an instance belongs, the primary one first."""
        primary = () if instance.primary_node is None else (instance.primary_node,)
        return (*primary, *self.secondary_nodes(instance))
