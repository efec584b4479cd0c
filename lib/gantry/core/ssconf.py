"""The ssconf files: the few facts about the cluster that every node keeps as plain text.

Programs of the node read them when nothing else answers: which cluster this is, who the master
is, who may call NodeD. NodeD writes each value into ``ssconf_<key>`` (Ganeti's names and forms).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.objects.node import Node
from gantry.protocols.parameters.filled import filled_ndparams
from gantry.protocols.values import Json

FILE_PREFIX: Final = "ssconf_"
VALUE_BYTES_MAX: Final = 131072
"""Ganeti's readers take no longer file."""

RELEASE: Final = "3.0.2"
"""The release of Ganeti whose files and forms these are; its tools compare it with their own."""

NO_MASTER: Final = "NO MASTER"

CANDIDATE_CERTS: Final = "master_candidates_certs"


def ssconf_values(configuration: Configuration) -> dict[str, str]:
    """Return all ssconf values by key; a value has one line or several, without a last newline."""
    return {
        **_cluster_values(configuration),
        **_node_values(configuration),
        **_object_values(configuration),
    }


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _nice(name: str) -> list[tuple[str, int]]:
    """Sort ``node10`` after ``node9``."""
    return [(text, int(part or 0)) for text, part in re.findall(r"(\D*)(\d*)", name)]


def _cluster_values(configuration: Configuration) -> dict[str, str]:
    cluster = configuration.cluster
    master = configuration.nodes.get(cluster.master_node)
    values = {
        "cluster_name": cluster.cluster_name,
        "cluster_tags": _lines(sorted(cluster.tags)),
        "file_storage_dir": cluster.file_storage_dir,
        "shared_file_storage_dir": cluster.shared_file_storage_dir,
        "gluster_storage_dir": cluster.gluster_storage_dir,
        CANDIDATE_CERTS: _lines(
            f"{uuid}={digest}" for uuid, digest in sorted(cluster.candidate_certs.items())
        ),
        "master_ip": cluster.master_ip,
        "master_netdev": cluster.master_netdev,
        "master_netmask": str(cluster.master_netmask),
        "master_node": NO_MASTER if master is None else master.name,
        "primary_ip_family": str(cluster.primary_ip_family),
        "release_version": RELEASE,
        "hypervisor_list": _lines(cluster.enabled_hypervisors),
        "maintain_node_health": str(cluster.maintain_node_health),
        "uid_pool": _lines(
            str(low) if low == high else f"{low}-{high}" for low, high in cluster.uid_pool
        ),
        "enabled_user_shutdown": str(cluster.enabled_user_shutdown),
    }
    for name, parameters in cluster.hvparams.items():
        values[f"hvparams_{name}"] = _assignments(parameters)
    return values


def _assignments(parameters: Mapping[str, Json]) -> str:
    return _lines(f"{name}={value}" for name, value in sorted(parameters.items()))


def _node_values(configuration: Configuration) -> dict[str, str]:
    nodes = sorted(configuration.nodes.values(), key=lambda node: _nice(node.name))
    candidates = [node for node in nodes if node.master_candidate]
    return {
        "master_candidates": _names(candidates),
        "master_candidates_ips": _lines(node.primary_ip for node in candidates),
        "node_list": _names(nodes),
        "node_primary_ips": _lines(f"{node.name} {node.primary_ip}" for node in nodes),
        "node_secondary_ips": _lines(f"{node.name} {node.secondary_ip}" for node in nodes),
        "node_vm_capable": _lines(f"{node.name}={node.vm_capable}" for node in nodes),
        "offline_nodes": _names(node for node in nodes if node.offline),
        "online_nodes": _names(node for node in nodes if not node.offline),
        "ssh_ports": _lines(f"{node.name}={_ssh_port(configuration, node)}" for node in nodes),
    }


def _names(nodes: Iterable[Node]) -> str:
    return _lines(node.name for node in nodes)


def _ssh_port(configuration: Configuration, node: Node) -> int:
    group = configuration.nodegroups[node.group]
    return filled_ndparams(configuration.cluster, group, node).ssh_port


def _object_values(configuration: Configuration) -> dict[str, str]:
    groups = sorted(configuration.nodegroups.values(), key=lambda group: _nice(group.name))
    networks = sorted(configuration.networks.values(), key=lambda network: _nice(network.name))
    names = sorted((each.name for each in configuration.instances.values()), key=_nice)
    return {
        "instance_list": _lines(names),
        "nodegroups": _lines(f"{group.uuid} {group.name}" for group in groups),
        "networks": _lines(f"{network.uuid} {network.name}" for network in networks),
    }


def parse_candidate_certs(text: str) -> dict[str, str]:
    """Return the candidates' certificate digests by node UUID."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {uuid.strip(): digest.strip() for uuid, _, digest in pairs}
