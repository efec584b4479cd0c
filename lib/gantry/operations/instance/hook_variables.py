"""What hooks of instance operations are told about the instance (the reference's INST block)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gantry.operations.hooks import Hooks
from gantry.operations.lookup import template_of
from gantry.operations.operation import unique
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.instance import Instance
from gantry.protocols.runtime_types import InstanceSpec, NicSpec
from gantry.protocols.wconfd import ConfigPart


def instance_variables(
    part: ConfigPart, instance: Instance, spec: InstanceSpec, disks: list[Disk], status: str
) -> dict[str, object]:
    """Return the variables without their prefix."""
    names = {uuid: node.name for uuid, node in part.nodes.items()}
    variables: dict[str, object] = {
        "OP_TARGET": instance.name,
        "INSTANCE_NAME": instance.name,
        "INSTANCE_PRIMARY": names.get(spec.primary_node, ""),
        "INSTANCE_SECONDARIES": " ".join(names.get(n, "") for n in spec.secondary_nodes),
        "INSTANCE_OS_TYPE": instance.os,
        "INSTANCE_STATUS": status,
        "INSTANCE_MINMEM": spec.minmem_mib,
        "INSTANCE_MAXMEM": spec.maxmem_mib,
        "INSTANCE_MEMORY": spec.maxmem_mib,
        "INSTANCE_VCPUS": spec.vcpus,
        "INSTANCE_DISK_TEMPLATE": template_of(disks),
        "INSTANCE_HYPERVISOR": instance.hypervisor,
        "INSTANCE_TAGS": " ".join(spec.tags),
        "INSTANCE_NIC_COUNT": len(spec.nics),
        "INSTANCE_DISK_COUNT": len(spec.disks),
        "INSTANCE_BE_minmem": spec.minmem_mib,
        "INSTANCE_BE_maxmem": spec.maxmem_mib,
        "INSTANCE_BE_vcpus": spec.vcpus,
        "INSTANCE_BE_auto_balance": spec.auto_balance,
        "INSTANCE_BE_always_failover": spec.always_failover,
        "INSTANCE_BE_spindle_use": spec.spindle_use,
    }
    variables |= {f"INSTANCE_HV_{name}": value for name, value in spec.hvparams.items()}
    for number, nic in enumerate(spec.nics):
        variables |= dict(_nic(f"INSTANCE_NIC{number}_", nic))
    for number, disk in enumerate(spec.disks):
        prefix = f"INSTANCE_DISK{number}_"
        variables |= {
            f"{prefix}UUID": disk.uuid,
            f"{prefix}SIZE": disk.size_mib,
            f"{prefix}MODE": disk.mode,
            f"{prefix}DEV_TYPE": disk.template,
            f"{prefix}DRIVER": disk.driver,
            f"{prefix}ID": disk.path,
        }
        if disk.name is not None:
            variables[f"{prefix}NAME"] = disk.name
    return variables


def _nic(prefix: str, nic: NicSpec) -> Iterator[tuple[str, object]]:
    if nic.name is not None:
        yield f"{prefix}NAME", nic.name
    yield f"{prefix}UUID", nic.uuid
    yield f"{prefix}IP", nic.ip or ""
    yield f"{prefix}MAC", nic.mac
    yield f"{prefix}MODE", nic.mode
    yield f"{prefix}LINK", nic.link
    yield f"{prefix}VLAN", nic.vlan
    if nic.mode in ("bridged", "openvswitch"):
        yield f"{prefix}BRIDGE", nic.link
    if nic.network is None:
        return
    for name in ("name", "uuid", "subnet", "gateway", "subnet6", "gateway6", "mac_prefix"):
        value = getattr(nic.network, name)
        if value is not None:
            yield f"{prefix}NETWORK_{name.upper()}", value
    yield f"{prefix}NETWORK_TAGS", " ".join(nic.network.tags)


def instance_hooks(
    path: str,
    part: ConfigPart,
    spec: InstanceSpec,
    variables: Mapping[str, object],
    *more_nodes: NodeUuid,
) -> Hooks:
    """Return hooks that run on the master and on the instance's nodes, before and after."""
    master = part.cluster.master_node
    nodes = unique((master, spec.primary_node, *spec.secondary_nodes, *more_nodes))
    return Hooks(path, "INSTANCE", nodes, nodes, variables)
