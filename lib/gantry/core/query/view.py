"""A configuration with the orders and reverse references that queries need, computed on demand.

One view serves all queries until the configuration changes; what no query asked for is never
computed. Lists of names are in the order in which they are shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Final, TypeVar

from attrs import field, frozen

from gantry.core.config.claims import Ref
from gantry.core.query.orders import AnyInstance as AnyInstance
from gantry.core.query.orders import Directory, Seat, beginning_with, named
from gantry.core.query.sorting import nice_key
from gantry.protocols.codec import Json
from gantry.protocols.identity import DiskUuid, GroupUuid, InstanceUuid, NetworkUuid, NodeUuid
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.objects.disk import Disk, ForthcomingDisk
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Nic
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node

AnyDisk = Disk | ForthcomingDisk
Filled = Mapping[str, Json]
"""Parameters with the values of all layers, the innermost winning."""

Found = TypeVar("Found")

CLUSTER_WIDE_HVPARAMS: Final = frozenset(
    {"migration_bandwidth", "migration_mode", "migration_port", "xen_cmd"}
)
"""Hypervisor parameters that are the cluster's alone and not shown with instances."""


@frozen
class View:
    """What queries see of one state of the configuration."""

    configuration: Configuration
    _directory: list[Directory] = field(factory=list, repr=False, eq=False)
    """Empty until it is needed for the first time."""
    _hvparams: dict[tuple[str, str], Filled] = field(factory=dict, init=False, repr=False, eq=False)

    def followed(self, configuration: Configuration, changed: Iterable[Ref]) -> View:
        """Return the view after a change of some objects; it costs what they do."""
        after = View(configuration)
        return View(configuration, [self._moved(after, {*changed})] if self._directory else [])

    def _moved(self, after: View, changed: AbstractSet[Ref]) -> Directory:
        directory = self.directory
        moved = {uuid for kind, uuid in changed if kind == "instance"}
        moved |= self._owners({uuid for kind, uuid in changed if kind == "disk"}, after, moved)
        for uuid in sorted(moved):
            old, new = self.instance(uuid), after.instance(uuid)
            if old is not None:
                directory = directory.without(old, self.seat(old))
            if new is not None:
                directory = directory.with_(new, after.seat(new))
        return directory

    def _owners(self, disks: set[str], after: View, known: set[str]) -> set[str]:
        """Return further instances of which a disk has gone to other nodes."""
        for view in (self, after):
            for uuid in known:
                instance = view.instance(uuid)
                disks -= {*(instance.disks or ())} if instance is not None else set()
        if not any(self.nodes_of(disk) != after.nodes_of(disk) for disk in disks):
            return set()
        found = (
            each for each in self.directory.instances if not disks.isdisjoint(each.disks or ())
        )
        return {each.uuid for each in found}

    def nodes_of(self, disk: str) -> tuple[NodeUuid, ...]:
        """Return the nodes that a disk is on."""
        found = self._disk(DiskUuid(disk))
        return () if found is None else found.nodes or ()

    def instance(self, uuid: str) -> AnyInstance | None:
        """Return an instance by its uuid."""
        configuration, key = self.configuration, InstanceUuid(uuid)
        return configuration.instances.get(key) or configuration.forthcoming_instances.get(key)

    def seat(self, instance: AnyInstance) -> Seat:
        """Return by what an instance is listed."""
        networks = frozenset(nic.network for nic in instance.nics or () if nic.network is not None)
        return Seat(
            instance.name or "",
            instance.primary_node if instance.name is not None else None,
            self.secondary_nodes(instance),
            networks,
        )

    @property
    def directory(self) -> Directory:
        """All instances in order, and who refers to them."""
        if not self._directory:
            configuration = self.configuration
            instances: list[AnyInstance] = [
                *configuration.instances.values(),
                *configuration.forthcoming_instances.values(),
            ]
            self._directory.append(Directory.of((each, self.seat(each)) for each in instances))
        return self._directory[0]

    # --- everything of a kind, in the order in which it is shown

    @property
    def instances(self) -> list[AnyInstance]:
        """All instances, forthcoming ones included."""
        return self.directory.instances

    @cached_property
    def nodes(self) -> list[Node]:
        """All nodes."""
        return sorted(self.configuration.nodes.values(), key=lambda each: nice_key(each.name))

    @cached_property
    def groups(self) -> list[NodeGroup]:
        """All node groups."""
        return sorted(self.configuration.nodegroups.values(), key=lambda each: nice_key(each.name))

    @cached_property
    def networks(self) -> list[Network]:
        """All networks."""
        return sorted(self.configuration.networks.values(), key=lambda each: nice_key(each.name))

    @cached_property
    def filter_rules(self) -> list[FilterRule]:
        """All job filter rules."""
        return sorted(self.configuration.filters.values(), key=lambda each: nice_key(each.uuid))

    # --- who refers to what

    @property
    def primaries(self) -> Mapping[NodeUuid, list[str]]:
        """The names of the instances that have a node as primary node."""
        return self.directory.primaries

    @property
    def secondaries(self) -> Mapping[NodeUuid, list[str]]:
        """The names of the instances that have a node as secondary node."""
        return self.directory.secondaries

    @cached_property
    def members(self) -> Mapping[GroupUuid, list[Node]]:
        """The nodes of a group, by uuid."""
        found: defaultdict[GroupUuid, list[Node]] = defaultdict(list)
        nodes = self.configuration.nodes
        for uuid in sorted(nodes):
            found[nodes[uuid].group].append(nodes[uuid])
        return found

    @property
    def network_users(self) -> Mapping[NetworkUuid, list[str]]:
        """The names of the instances with a NIC in a network."""
        return self.directory.network_users

    def group_instances(self, group: GroupUuid) -> list[str]:
        """Return the names of the instances whose primary node is in a group."""
        nodes = {node.uuid for node in self.members.get(group, ())}
        return [i.name for i in self.instances if i.primary_node in nodes and i.name is not None]

    # --- what an instance is made of

    def disks(self, instance: AnyInstance) -> tuple[AnyDisk, ...]:
        """Return an instance's disks in order."""
        if not instance.disks:
            return ()
        return tuple([d for d in map(self._disk, instance.disks) if d is not None])

    def _disk(self, uuid: DiskUuid) -> AnyDisk | None:
        configuration = self.configuration
        return configuration.disks.get(uuid) or configuration.forthcoming_disks.get(uuid)

    def secondary_nodes(self, instance: AnyInstance) -> tuple[NodeUuid, ...]:
        """Return the nodes, besides the primary one, that hold an instance's disks."""
        primary, found = instance.primary_node, dict[NodeUuid, None]()
        for uuid in instance.disks or ():
            disk = self._disk(uuid)
            for node in (disk.nodes or ()) if disk is not None else ():
                if node != primary:
                    found[node] = None
        return tuple(found)

    # --- parameters of all layers

    def beparams(self, instance: AnyInstance) -> Filled:
        """Return an instance's back-end parameters."""
        default = self.configuration.cluster.beparams["default"]
        return {**default, **instance.beparams} if instance.beparams else default

    def nicparams(self, nic: Nic) -> Filled:
        """Return a NIC's parameters."""
        default = self.configuration.cluster.nicparams["default"]
        return {**default, **nic.nicparams} if nic.nicparams else default

    def hvparams(self, instance: AnyInstance) -> Filled:
        """Return an instance's hypervisor parameters, without those of the whole cluster."""
        key = (instance.hypervisor or "", instance.os or "")
        base = self._hvparams.get(key)
        if base is None:
            base = self._hvparams[key] = self._hvparams_of_os(*key)
        return {**base, **instance.hvparams} if instance.hvparams else base

    def _hvparams_of_os(self, hypervisor: str, os: str) -> Filled:
        cluster = self.configuration.cluster
        merged = {
            **cluster.hvparams.get(hypervisor, {}),
            **cluster.os_hvp.get(os, {}).get(hypervisor, {}),
        }
        return {k: v for k, v in merged.items() if k not in CLUSTER_WIDE_HVPARAMS}

    def osparams(self, instance: AnyInstance) -> Filled:
        """Return an instance's public OS parameters."""
        layers = self.configuration.cluster.osparams
        os = instance.os or ""
        base = os.partition("+")[0]
        return {**layers.get(base, {}), **layers.get(os, {}), **(instance.osparams or {})}

    def group_ndparams(self, group: NodeGroup | None) -> Filled:
        """Return the node parameters of a group."""
        return {**self.configuration.cluster.ndparams, **(group.ndparams if group else {})}

    def ndparams(self, node: Node) -> Filled:
        """Return a node's parameters."""
        group = self.configuration.nodegroups.get(node.group)
        return {**self.group_ndparams(group), **node.ndparams}

    def group_diskparams(self, group: NodeGroup) -> Mapping[str, Filled]:
        """Return the disk parameters of a group, by disk template."""
        base = self.configuration.cluster.diskparams
        templates = dict.fromkeys([*base, *group.diskparams])
        return {t: {**base.get(t, {}), **group.diskparams.get(t, {})} for t in templates}

    def group_ipolicy(self, group: NodeGroup) -> Filled:
        """Return the instance policy of a group; its own limits replace the cluster's whole."""
        return {**self.configuration.cluster.ipolicy, **group.ipolicy}

    # --- names of what is referred to

    def node_name(self, uuid: NodeUuid | None) -> str | None:
        """Return a node's name."""
        node = self.configuration.nodes.get(uuid) if uuid is not None else None
        return node.name if node is not None else None

    def owned_as(self, uuid: NodeUuid | None) -> NodeGroup | None:
        """Return the group of a node."""
        node = self.configuration.nodes.get(uuid) if uuid is not None else None
        return self.configuration.nodegroups.get(node.group) if node is not None else None

    # --- objects by name

    @cached_property
    def node_names(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {each.name: each for each in self.nodes}

    @cached_property
    def short_node_names(self) -> Mapping[str, Node]:
        """Nodes by an unambiguous beginning of their name."""
        return _unambiguous(self.node_names)

    def find_instance(self, name: str) -> AnyInstance | None:
        """Find an instance by uuid, by name, or by an unambiguous beginning of its name."""
        found = self.instance(name) or named(self.instances, name)
        return found or beginning_with(self.instances, name)

    def find_node(self, name: str) -> Node | None:
        """Find a node by uuid, by name, or by an unambiguous beginning of its name."""
        return (
            self.configuration.nodes.get(NodeUuid(name))
            or self.node_names.get(name)
            or self.short_node_names.get(name)
        )

    def find_group(self, name: str) -> NodeGroup | None:
        """Find a node group by uuid or by name."""
        by_uuid = self.configuration.nodegroups.get(GroupUuid(name))
        return by_uuid or next((each for each in self.groups if each.name == name), None)

    def find_network(self, name: str) -> Network | None:
        """Find a network by uuid or by name."""
        by_uuid = self.configuration.networks.get(NetworkUuid(name))
        return by_uuid or next((each for each in self.networks if each.name == name), None)


def _unambiguous(names: Mapping[str, Found]) -> Mapping[str, Found]:
    """Return objects by each beginning of their name, up to a dot, that no other name has."""
    found: dict[str, Found] = {}
    several: set[str] = set()
    for name, each in names.items():
        end = name.find(".")
        while end >= 0:
            beginning = name[:end]
            if found.setdefault(beginning, each) is not each:
                several.add(beginning)
            end = name.find(".", end + 1)
    return {beginning: each for beginning, each in found.items() if beginning not in several}
