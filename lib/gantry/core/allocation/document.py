"""The cluster as an instance allocator is shown it.

Pure: what nodes have to be asked for is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from attrs import frozen

from gantry.core.query.view import AnyInstance, View
from gantry.protocols.codec import Json
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import NodeInfo
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance, Nic
from gantry.protocols.objects.node import Node
from gantry.protocols.parameters.filled import filled_ndparams
from gantry.protocols.runtime_types import InstanceRuntime
from gantry.protocols.scripts.iallocator import VERSION, Request, disk_space

TAKES_NODES_SPACE: Final = frozenset({"file"})
"""Templates whose disks take space of the node's own storage; others are shown none."""


@frozen
class NodeFigures:
    """What one node said of itself."""

    info: NodeInfo
    running: Sequence[InstanceRuntime]


def document(
    view: View, figures: Mapping[NodeUuid, NodeFigures], request: Request, template: str
) -> dict[str, Json]:
    """Return the content of the file that the allocator reads.

    Args:
        view: the whole configuration.
        figures: of every node that is online and vm_capable.
        request: what is wanted.
        template: the disk template that it is about; nodes' disk space is that for it.
    """
    configuration = view.configuration
    cluster = configuration.cluster
    real = [each for each in view.instances if isinstance(each, Instance)]
    return {
        "version": VERSION,
        "cluster_name": cluster.cluster_name,
        "cluster_tags": sorted(cluster.tags),
        "enabled_hypervisors": list(cluster.enabled_hypervisors),
        "ipolicy": dict(cluster.ipolicy),
        "nodegroups": {each.uuid: _group(view, each) for each in view.groups},
        "nodes": {
            each.name: _node(view, each) | _figures(view, each, figures.get(each.uuid), template)
            for each in view.nodes
        },
        "instances": {each.name: _instance(view, each) for each in real},
        "request": request.as_json(),
    }


def _group(view: View, group: NodeGroup) -> dict[str, Json]:
    return {
        "name": group.name,
        "alloc_policy": group.alloc_policy,
        "networks": sorted(group.networks),
        "ipolicy": dict(view.group_ipolicy(group)),
        "tags": sorted(group.tags),
    }


def _node(view: View, node: Node) -> dict[str, Json]:
    configuration = view.configuration
    group = configuration.nodegroups[node.group]
    return {
        "tags": sorted(node.tags),
        "primary_ip": node.primary_ip,
        "secondary_ip": node.secondary_ip,
        "offline": node.offline,
        "drained": node.drained,
        "master_candidate": node.master_candidate,
        "group": node.group,
        "master_capable": node.master_capable,
        "vm_capable": node.vm_capable,
        "ndparams": filled_ndparams(configuration.cluster, group, node).as_json(),
    }


def _figures(view: View, node: Node, found: NodeFigures | None, template: str) -> dict[str, Json]:
    if found is None:
        return {}
    info, own = found.info, _primaries(view, node.uuid)
    used = {each.uuid: each.memory_mib for each in found.running}
    memory = {each.uuid: _maxmem(view, each) for each in own}
    up = [each for each in own if each.admin_state == "up"]
    promised = sum(max(0, memory[each.uuid] - used.get(each.uuid, 0)) for each in up)
    has_space = template in TAKES_NODES_SPACE
    return {
        "total_memory": info.memory_total,
        "reserved_memory": info.memory_dom0,
        "free_memory": info.memory_free - promised,
        "total_disk": info.disk_total if has_space else 0,
        "free_disk": info.disk_free if has_space else 0,
        "total_spindles": 0,
        "free_spindles": 0,
        "total_cpus": info.cpu_total,
        "reserved_cpus": info.cpu_total,  # the node's own programs run on all of them
        "i_pri_memory": sum(memory.values()),
        "i_pri_up_memory": sum(memory[each.uuid] for each in up),
    }


def _primaries(view: View, node: NodeUuid) -> list[Instance]:
    instances = view.configuration.instances
    return [each for each in instances.values() if each.primary_node == node]


def _maxmem(view: View, instance: AnyInstance) -> int:
    value = view.beparams(instance)["maxmem"]
    return value if isinstance(value, int) else 0


def _instance(view: View, instance: Instance) -> dict[str, Json]:
    backend, disks = view.beparams(instance), view.disks(instance)
    template = str(disks[0].dev_type) if disks else "diskless"
    nodes = (instance.primary_node, *view.secondary_nodes(instance))
    return {
        "tags": sorted(instance.tags),
        "admin_state": instance.admin_state,
        "vcpus": backend["vcpus"],
        "memory": backend["maxmem"],
        "spindle_use": backend["spindle_use"],
        "os": instance.os,
        "nodes": [view.node_name(uuid) for uuid in nodes],
        "nics": [_nic(view, nic) for nic in instance.nics],
        "disks": [
            {"dev_type": d.dev_type, "size": d.size, "mode": d.mode, "spindles": d.spindles}
            for d in disks
        ],
        "disk_template": template,
        "disks_active": instance.disks_active,
        "hypervisor": instance.hypervisor,
        "disk_space_total": disk_space(template, [disk.size for disk in disks]),
    }


def _nic(view: View, nic: Nic) -> dict[str, Json]:
    filled = view.nicparams(nic)
    described = {"mac": nic.mac, "ip": nic.ip, "mode": filled["mode"], "link": filled["link"]}
    if filled["mode"] == "bridged":
        described["bridge"] = filled["link"]
    return described
