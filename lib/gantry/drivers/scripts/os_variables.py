"""The environment of OS scripts (OS interface, API 10 to 20): pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gantry.drivers.scripts.os_definitions import VARIANTS_SINCE_API, api_version, split_name
from gantry.protocols.runtime_types import InstanceSpec, NicSpec, OsDefinition

PATH: Final = "/sbin:/bin:/usr/sbin:/usr/bin"


def core_variables(
    definition: OsDefinition, os: str, parameters: Mapping[str, str], *, debug_level: int = 0
) -> dict[str, str]:
    """Return the variables of every script."""
    _, variant = split_name(os)
    version = api_version(definition)
    if not variant and definition.variants and version >= VARIANTS_SINCE_API:
        variant = definition.variants[0]
    osp = {f"OSP_{name.upper().replace('-', '_')}": value for name, value in parameters.items()}
    return osp | {
        "OS_API_VERSION": str(version),
        "OS_NAME": definition.name,
        "OS_VARIANT": variant,
        "DEBUG_LEVEL": str(debug_level),
        "PATH": PATH,
    }


def instance_variables(spec: InstanceSpec, disks: Sequence[Path]) -> dict[str, str]:
    """Return the variables that describe an instance.

    Args:
        spec: the instance.
        disks: where its disks are on this machine, in its order.
    """
    variables = {
        "INSTANCE_NAME": spec.name,
        "INSTANCE_OS": spec.os,
        "INSTANCE_UUID": spec.uuid,
        "INSTANCE_CTIME": str(spec.ctime),
        "INSTANCE_MTIME": str(spec.mtime),
        "INSTANCE_PRIMARY_NODE": spec.primary_node,
        "INSTANCE_SECONDARY_NODES": " ".join(spec.secondary_nodes),
        "HYPERVISOR": spec.hypervisor,
        "DISK_COUNT": str(len(spec.disks)),
        "NIC_COUNT": str(len(spec.nics)),
        "INSTANCE_BE_always_failover": str(spec.always_failover),
        "INSTANCE_BE_auto_balance": str(spec.auto_balance),
        "INSTANCE_BE_maxmem": str(spec.maxmem_mib),
        "INSTANCE_BE_minmem": str(spec.minmem_mib),
        "INSTANCE_BE_spindle_use": str(spec.spindle_use),
        "INSTANCE_BE_vcpus": str(spec.vcpus),
    }
    variables |= {f"INSTANCE_HV_{name}": str(value) for name, value in spec.hvparams.items()}
    variables |= _disk_variables(spec, disks)
    for index, nic in enumerate(spec.nics):
        variables |= {f"NIC_{index}_{name}": value for name, value in _nic(nic).items()}
        if "nic_type" in spec.hvparams:
            variables[f"NIC_{index}_FRONTEND_TYPE"] = str(spec.hvparams["nic_type"])
    return variables


def _disk_variables(spec: InstanceSpec, disks: Sequence[Path]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for index, (disk, path) in enumerate(zip(spec.disks, disks, strict=True)):
        one = {
            "ACCESS": disk.mode,
            "UUID": disk.uuid,
            "SIZE": str(disk.size_mib),
            "PATH": str(path),
            "BACKEND_TYPE": f"file:{disk.driver}",
        }
        if disk.name is not None:
            one["NAME"] = disk.name
        if "disk_type" in spec.hvparams:
            one["FRONTEND_TYPE"] = str(spec.hvparams["disk_type"])
        variables |= {f"DISK_{index}_{name}": value for name, value in one.items()}
    return variables


def _nic(nic: NicSpec) -> dict[str, str]:
    one = {"MAC": nic.mac, "UUID": nic.uuid, "MODE": nic.mode}
    if nic.mode == "bridged":
        one["BRIDGE"] = nic.link
    optional = {"NAME": nic.name, "IP": nic.ip, "LINK": nic.link or None}
    if nic.network is not None:
        network = nic.network
        one |= {
            "NETWORK_NAME": network.name,
            "NETWORK_UUID": network.uuid,
            "NETWORK_TAGS": " ".join(network.tags),
        }
        optional |= {
            "NETWORK_SUBNET": network.subnet,
            "NETWORK_GATEWAY": network.gateway,
            "NETWORK_SUBNET6": network.subnet6,
            "NETWORK_GATEWAY6": network.gateway6,
            "NETWORK_MAC_PREFIX": network.mac_prefix,
        }
    return one | {name: value for name, value in optional.items() if value is not None}
