"""A configuration with the orders and reverse references that queries need, computed on demand.

One view serves all queries until the configuration changes; what no query asked for is never
computed. Lists of names are in the order in which they are shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Final, TypeVar

from attrs import field, frozen

from gantry.core.query.sorting import nice_key
from gantry.protocols.codec import Json
from gantry.protocols.identity import DiskUuid, GroupUuid, InstanceUuid, NetworkUuid, NodeUuid
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.objects.disk import Disk, ForthcomingDisk
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import ForthcomingInstance, Instance, Nic
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node

AnyInstance = Instance | ForthcomingInstance
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
    _hvparams: dict[tuple[str, str], Filled] = field(factory=dict, init=False, repr=False, eq=False)

    # --- everything of a kind, in the order in which it is shown

    @cached_property
    def instances(self) -> list[AnyInstance]:
        """All instances, forthcoming ones included."""
        configuration = self.configuration
        found: list[AnyInstance] = [
            *configuration.instances.values(),
            *configuration.forthcoming_instances.values(),
        ]
        return sorted(found, key=lambda each: nice_key(each.name or ""))

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

    @cached_property
    def primaries(self) -> Mapping[NodeUuid, list[str]]:
        """The names of the instances that have a node as primary node."""
        found: defaultdict[NodeUuid, list[str]] = defaultdict(list)
        for instance in self.instances:
            if instance.primary_node is not None and instance.name is not None:
                found[instance.primary_node].append(instance.name)
        return found

    @cached_property
    def secondaries(self) -> Mapping[NodeUuid, list[str]]:
        """The names of the instances that have a node as secondary node."""
        found: defaultdict[NodeUuid, list[str]] = defaultdict(list)
        for instance in self.instances:
            for node in self.secondary_nodes(instance):
                found[node].append(instance.name or "")
        return found

    @cached_property
    def members(self) -> Mapping[GroupUuid, list[Node]]:
        """The nodes of a group, by uuid."""
        found: defaultdict[GroupUuid, list[Node]] = defaultdict(list)
        nodes = self.configuration.nodes
        for uuid in sorted(nodes):
            found[nodes[uuid].group].append(nodes[uuid])
        return found

    @cached_property
    def network_users(self) -> Mapping[NetworkUuid, list[str]]:
        """The names of the instances with a NIC in a network."""
        found: defaultdict[NetworkUuid, list[str]] = defaultdict(list)
        for instance in self.instances:
            for network in {nic.network for nic in instance.nics or () if nic.network}:
                found[network].append(instance.name or "")
        return found

    def group_instances(self, group: GroupUuid) -> list[str]:
        """Return the names of the instances whose primary node is in a group."""
        names = [name for node in self.members.get(group, ()) for name in self._on(node.uuid)]
        return sorted(names, key=nice_key)

    def _on(self, node: NodeUuid) -> list[str]:
        return self.primaries.get(node, [])

    # --- what an instance is made of

    def disks(self, instance: AnyInstance) -> tuple[AnyDisk, ...]:
        """Return an instance's disks in order."""
        found = (self._disk(uuid) for uuid in instance.disks or ())
        return tuple(disk for disk in found if disk is not None)

    def _disk(self, uuid: DiskUuid) -> AnyDisk | None:
        configuration = self.configuration
        return configuration.disks.get(uuid) or configuration.forthcoming_disks.get(uuid)

    def secondary_nodes(self, instance: AnyInstance) -> tuple[NodeUuid, ...]:
        """Return the nodes, besides the primary one, that hold an instance's disks."""
        if not instance.disks:
            return ()
        nodes = [node for disk in self.disks(instance) for node in disk.nodes or ()]
        return tuple(dict.fromkeys(node for node in nodes if node != instance.primary_node))

    # --- parameters of all layers

    def beparams(self, instance: AnyInstance) -> Filled:
        """Return an instance's back-end parameters."""
        return {**self.configuration.cluster.beparams["default"], **(instance.beparams or {})}

    def nicparams(self, nic: Nic) -> Filled:
        """Return a NIC's parameters."""
        return {**self.configuration.cluster.nicparams["default"], **nic.nicparams}

    def hvparams(self, instance: AnyInstance) -> Filled:
        """Return an instance's hypervisor parameters, without those of the whole cluster."""
        key = (instance.hypervisor or "", instance.os or "")
        base = self._hvparams.get(key)
        if base is None:
            base = self._hvparams[key] = self._hvparams_of_os(*key)
        return {**base, **(instance.hvparams or {})}

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

    def group_of(self, uuid: NodeUuid | None) -> NodeGroup | None:
        """Return the group of a node."""
        node = self.configuration.nodes.get(uuid) if uuid is not None else None
        return self.configuration.nodegroups.get(node.group) if node is not None else None

    # --- objects by name

    @cached_property
    def instance_names(self) -> Mapping[str, AnyInstance]:
        """Instances by name."""
        return {each.name: each for each in self.instances if each.name is not None}

    @cached_property
    def node_names(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {each.name: each for each in self.nodes}

    @cached_property
    def short_instance_names(self) -> Mapping[str, AnyInstance]:
        """Instances by an unambiguous beginning of their name."""
        return _unambiguous(self.instance_names)

    @cached_property
    def short_node_names(self) -> Mapping[str, Node]:
        """Nodes by an unambiguous beginning of their name."""
        return _unambiguous(self.node_names)

    def find_instance(self, name: str) -> AnyInstance | None:
        """Find an instance by uuid, by name, or by an unambiguous beginning of its name."""
        configuration, uuid = self.configuration, InstanceUuid(name)
        return (
            configuration.instances.get(uuid)
            or configuration.forthcoming_instances.get(uuid)
            or self.instance_names.get(name)
            or self.short_instance_names.get(name)
        )

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
