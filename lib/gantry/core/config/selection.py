"""The part of a configuration that somebody asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

from gantry.core.config.claims import Claim, Ref, Space
from gantry.core.config.state import State
from gantry.protocols.names import is_short_for
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.wconfd import ConfigPart, ObjectKind, Selection

Wanted = tuple[str, ...] | Literal["all"]
Found = TypeVar("Found", Node, NodeGroup, Instance, Network)


def select(state: State, selection: Selection) -> ConfigPart:
    """Return what is asked for; the cost is that of what is found."""
    configuration = state.configuration
    instances = dict(_found(state, Instance, configuration.instances.values(), selection.instances))
    for node in selection.instances_of_nodes:
        instances.update(_instances_of(state, node))
    return ConfigPart(
        index=state.index,
        cluster=configuration.cluster,
        nodes=dict(_found(state, Node, configuration.nodes.values(), selection.nodes)),
        groups=dict(_found(state, NodeGroup, configuration.nodegroups.values(), selection.groups)),
        instances=instances,
        disks={
            uuid: configuration.disks[uuid]
            for instance in instances.values()
            for uuid in instance.disks
            if uuid in configuration.disks
        },
        networks=dict(_found(state, Network, configuration.networks.values(), selection.networks)),
        version=configuration.version,
        leftovers={each.uuid: each for each in _leftovers(state, selection.leftovers_of_nodes)},
        has_leftovers=bool(configuration.leftovers),
    )


def _leftovers(state: State, nodes: Wanted) -> Iterator[Leftover]:
    if nodes == "all":
        yield from state.configuration.leftovers.values()
        return
    for node in nodes:
        for user in state.referrers(Ref("node", node)):
            if isinstance(user, Leftover):
                yield user


_KINDS: dict[type[Node | NodeGroup | Instance | Network], tuple[ObjectKind, Space]] = {
    Node: ("node", "node name"),
    NodeGroup: ("nodegroup", "node group name"),
    Instance: ("instance", "instance name"),
    Network: ("network", "network name"),
}


def _found(
    state: State, cls: type[Found], everything: Iterable[Found], wanted: Wanted
) -> Iterator[tuple[str, Found]]:
    if wanted == "all":
        for each in everything:
            yield each.uuid, each
        return
    kind, space = _KINDS[cls]
    for name in wanted:
        found = state.owner_of(Claim(space, name)) or state.get(Ref(kind, name))
        if isinstance(found, cls):
            yield found.uuid, found
        elif cls in (Node, Instance):
            yield from ((each.uuid, each) for each in everything if is_short_for(name, each.name))


def _instances_of(state: State, node: str) -> Iterator[tuple[str, Instance]]:
    """Return the instances that have a node as primary, or through a disk as secondary."""
    for user in state.referrers(Ref("node", node)):
        if isinstance(user, Instance):
            yield user.uuid, user
        elif isinstance(user, Disk):
            owner = state.owner_of(Claim("disk", user.uuid))
            if isinstance(owner, Instance):
                yield owner.uuid, owner
