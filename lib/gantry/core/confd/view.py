"""What ConfD knows: one configuration with every answer's index built beforehand.

Building it costs time in proportion to the cluster, once for each configuration; no request's
work does, except for what its answer itself holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, cast

from attrs import field, frozen

from gantry.core.query.view import AnyDisk, AnyInstance, View
from gantry.protocols.codec import Json
from gantry.protocols.config_records import LOG_KEY, load_position
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.configuration import Configuration, load_configuration
from gantry.protocols.objects.disk import Disk, DrbdId
from gantry.protocols.objects.instance import Instance
from gantry.protocols.rconfd import LogOrder

DEFAULT_NICPARAMS: Final = "default"

Minor = tuple[NodeUuid, int, AnyInstance, str, bool, NodeUuid]
"""A DRBD device on a node: (node, minor, instance, disk, whether primary, peer)."""


@frozen
class InstancesOfNode:
    """The JSON forms of a node's instances, by the node's role for them."""

    primary: list[Json] = field(factory=list)
    secondary: list[Json] = field(factory=list)


@frozen
class ConfdView:
    """One configuration, made to be asked. Made by :meth:`of`."""

    configuration: Configuration
    document: Mapping[str, Json] = field(repr=False)
    """The configuration as it was read: what JSON pointers point into."""
    order: LogOrder
    names: View
    """Finds nodes and instances by name; its indexes are built already."""
    node_ips: list[Json]
    candidate_ips: list[Json]
    instance_by_ip: Mapping[tuple[str, str], AnyInstance]
    """By (link, IP)."""
    ips_of_link: Mapping[str, list[Json]]
    instances: Mapping[NodeUuid, InstancesOfNode]
    minors: Mapping[NodeUuid, list[Minor]]

    @classmethod
    def of(cls, document: Json) -> ConfdView:
        """Index the JSON value of a ``config.data``.

        Raises:
            gantry.protocols.codec.Malformed: it is no configuration that we can read.
        """
        configuration = load_configuration(document)
        position = load_position(configuration.gantry.get(LOG_KEY))
        nodes = configuration.nodes.values()
        names = View(configuration)
        names.short_node_names, names.short_instance_names  # noqa: B018 - computes them now
        by_ip = dict(_addresses(names))
        sent = cast("Mapping[str, Json]", document)
        return cls(
            configuration=configuration,
            document=sent,
            order=LogOrder(position.epoch, position.index),
            names=names,
            node_ips=[node.primary_ip for node in nodes],
            candidate_ips=[node.primary_ip for node in nodes if node.master_candidate],
            instance_by_ip=by_ip,
            ips_of_link=_by_link(by_ip),
            instances=_instances_of_nodes(names, cast("Mapping[str, Json]", sent["instances"])),
            minors=_minors_of_nodes(names),
        )

    @property
    def cluster_serial(self) -> int:
        """The serial number of answers about the cluster as a whole."""
        return self.configuration.cluster.serial_no

    @property
    def default_link(self) -> str:
        """The link of NICs that name none."""
        return str(self.configuration.cluster.nicparams[DEFAULT_NICPARAMS].get("link", ""))


def _addresses(names: View) -> Iterator[tuple[tuple[str, str], AnyInstance]]:
    for instance in names.instances:
        for nic in instance.nics or ():
            if nic.ip is not None:
                yield (str(names.nicparams(nic).get("link", "")), nic.ip), instance


def _by_link(by_ip: Mapping[tuple[str, str], AnyInstance]) -> Mapping[str, list[Json]]:
    found: defaultdict[str, list[Json]] = defaultdict(list)
    for link, ip in by_ip:
        found[link].append(ip)
    return dict(found)


def _instances_of_nodes(
    names: View, forms: Mapping[str, Json]
) -> Mapping[NodeUuid, InstancesOfNode]:
    found: defaultdict[NodeUuid, InstancesOfNode] = defaultdict(InstancesOfNode)
    for instance in names.instances:
        if instance.primary_node is not None:
            found[instance.primary_node].primary.append(forms[instance.uuid])
        for node in names.secondary_nodes(instance):
            found[node].secondary.append(forms[instance.uuid])
    return dict(found)


def _minors_of_nodes(names: View) -> Mapping[NodeUuid, list[Minor]]:
    found: defaultdict[NodeUuid, list[Minor]] = defaultdict(list)
    for instance in names.instances:
        if isinstance(instance, Instance):
            for minor in _minors(instance, names.disks(instance)):
                found[minor[0]].append(minor)
    return dict(found)


def _minors(instance: Instance, disks: tuple[AnyDisk, ...]) -> Iterator[Minor]:
    for place, disk in enumerate(disks):
        if isinstance(disk, Disk) and isinstance(disk.logical_id, DrbdId):
            drbd, shown = disk.logical_id, disk.iv_name or f"disk/{place}"
            ends = (
                (drbd.node_a, drbd.minor_a, drbd.node_b),
                (drbd.node_b, drbd.minor_b, drbd.node_a),
            )
            for node, minor, peer in ends:
                yield node, minor, instance, shown, node == instance.primary_node, peer
