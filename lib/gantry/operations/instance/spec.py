"""An instance of the configuration as a node has to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast, get_args

from gantry.operations.lookup import disks_of
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.disk import Disk, FileId
from gantry.protocols.objects.instance import Instance, Nic
from gantry.protocols.objects.network import Network
from gantry.protocols.parameters.filled import (
    fill_beparams,
    fill_hvparams,
    filled_nicparams,
    filled_osparams,
    filled_private_osparams,
)
from gantry.protocols.runtime_types import (
    DiskSpec,
    FileTemplate,
    HypervisorName,
    InstanceSpec,
    NicMode,
    NicNetwork,
    NicSpec,
)
from gantry.protocols.wconfd import ConfigPart

HYPERVISORS: Final = get_args(HypervisorName)
TEMPLATES: Final = get_args(FileTemplate)


def check_hypervisor(hypervisor: str) -> HypervisorName:
    """Return a hypervisor that has a driver.

    Raises:
        OpPrereqError: it has none.
    """
    if hypervisor not in HYPERVISORS:
        known = ", ".join(HYPERVISORS)
        raise OpPrereqError(f"hypervisor {hypervisor} has no driver in this version; use {known}")
    return cast(HypervisorName, hypervisor)


def disk_spec(disk: Disk, index: int) -> DiskSpec:
    """Return one disk as a node has to make it.

    Raises:
        OpPrereqError: its template has no driver.
    """
    if disk.dev_type not in TEMPLATES or not isinstance(disk.logical_id, FileId):
        known = ", ".join(TEMPLATES)
        text = f"disk template {disk.dev_type} has no driver in this version; use {known}"
        raise OpPrereqError(text)
    return DiskSpec(
        uuid=disk.uuid,
        index=index,
        template=cast(FileTemplate, disk.dev_type),
        size_mib=disk.size,
        path=disk.logical_id.path,
        driver=disk.logical_id.driver,
        mode=disk.mode,
        name=disk.name,
    )


def _nic_network(network: Network) -> NicNetwork:
    return NicNetwork(
        uuid=network.uuid,
        name=network.name,
        tags=tuple(sorted(network.tags)),
        subnet=network.network,
        gateway=network.gateway,
        subnet6=network.network6,
        gateway6=network.gateway6,
        mac_prefix=network.mac_prefix,
    )


def nic_spec(cluster: Cluster, nic: Nic, networks: Mapping[str, Network]) -> NicSpec:
    """Return one network interface as a node has to connect it."""
    filled = filled_nicparams(cluster, nic)
    network = networks.get(nic.network) if nic.network is not None else None
    return NicSpec(
        uuid=nic.uuid,
        mac=nic.mac,
        mode=cast(NicMode, filled.mode),
        link=filled.link,
        ip=nic.ip,
        vlan=filled.vlan,
        name=nic.name,
        network=_nic_network(network) if network is not None else None,
    )


def secondaries(disks: Sequence[Disk], primary: NodeUuid) -> tuple[NodeUuid, ...]:
    """Return the secondary nodes of an instance with these disks; shared files have none."""
    nodes = (n for disk in disks for n in disk.nodes if disk.dev_type == "drbd")
    return tuple(dict.fromkeys(n for n in nodes if n != primary))


def instance_spec(
    part: ConfigPart,
    instance: Instance,
    disks: Sequence[Disk] | None = None,
    *,
    hvparams: Mapping[str, Json] | None = None,
    beparams: Mapping[str, Json] | None = None,
) -> InstanceSpec:
    """Return an instance as a node has to run it.

    Args:
        part: where the cluster, the disks and the networks are.
        instance: the instance.
        disks: its disks, if they are not in ``part`` yet.
        hvparams: hypervisor parameters for this time only.
        beparams: backend parameters for this time only.

    Raises:
        OpPrereqError: its hypervisor or a disk template has no driver.
        BadParameter: a parameter does not exist or has a wrong value.
    """
    cluster = part.cluster
    own_disks = disks_of(part, instance) if disks is None else disks
    hv = {**instance.hvparams, **(hvparams or {})}
    be = fill_beparams(cluster, {**instance.beparams, **(beparams or {})})
    osparams = filled_osparams(cluster, instance) | filled_private_osparams(cluster, instance)
    return InstanceSpec(
        uuid=instance.uuid,
        name=instance.name,
        hypervisor=check_hypervisor(instance.hypervisor),
        os=instance.os,
        minmem_mib=be.minmem,
        maxmem_mib=be.maxmem,
        vcpus=be.vcpus,
        primary_node=instance.primary_node,
        secondary_nodes=secondaries(own_disks, instance.primary_node),
        disks=tuple(disk_spec(disk, index) for index, disk in enumerate(own_disks)),
        nics=tuple(nic_spec(cluster, nic, part.networks) for nic in instance.nics),
        hvparams=fill_hvparams(cluster, instance.hypervisor, instance.os, hv).as_json(),
        osparams=osparams,
        tags=tuple(sorted(instance.tags)),
        always_failover=be.always_failover,
        auto_balance=be.auto_balance,
        spindle_use=be.spindle_use,
        ctime=instance.ctime,
        mtime=instance.mtime,
    )
