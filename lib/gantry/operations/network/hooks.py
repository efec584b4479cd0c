"""Hooks of operations on networks, and what they are told of one."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.operations.hooks import Hooks
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.vocabulary import Parameters
from gantry.protocols.wconfd import ConfigPart


def network_variables(network: Network) -> dict[str, object]:
    """Return what hooks are told of a network; what is not set is left out."""
    known = {
        "NETWORK_NAME": network.name,
        "NETWORK_SUBNET": network.network,
        "NETWORK_GATEWAY": network.gateway,
        "NETWORK_SUBNET6": network.network6,
        "NETWORK_GATEWAY6": network.gateway6,
        "NETWORK_MAC_PREFIX": network.mac_prefix,
        "NETWORK_TAGS": " ".join(sorted(network.tags)) or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def master_hooks(path: str, part: ConfigPart, variables: Mapping[str, object]) -> Hooks:
    """Return the hooks of an operation on a network as such: on the master."""
    master = (part.cluster.master_node,)
    return Hooks(path, "NETWORK", master, master, variables)


def group_hooks(
    path: str, part: ConfigPart, group: NodeGroup, parameters: Parameters | None
) -> Hooks:
    """Return the hooks of a connection: on the group's nodes."""
    told: dict[str, object] = {"GROUP_NAME": group.name}
    for name in ("mode", "link", "vlan") if parameters is not None else ():
        told[f"GROUP_NETWORK_{name.upper()}"] = (parameters or {}).get(name, "")
    nodes: tuple[NodeUuid, ...] = tuple(
        node.uuid for node in part.nodes.values() if node.group == group.uuid
    )
    return Hooks(path, "NETWORK", nodes, nodes, told)
