"""``gnt-cluster info``, ``version``, ``getmaster`` and ``master-ping``."""

from __future__ import annotations

import os
from collections.abc import Iterable

from gantry.cli import exit_codes
from gantry.cli.cell_text import time_text
from gantry.cli.command import Command
from gantry.cli.description import ROMAN, Record
from gantry.cli.errors import CommandError, ServerFailure, Unreachable
from gantry.cli.info_text import Entry, print_info
from gantry.cli.invocation import Invocation
from gantry.cli.options import Option
from gantry.cli.socket_address import read_membership
from gantry.cli.standard_options import FORMAT

INFO_OPTIONS: tuple[Option[object], ...] = (ROMAN, FORMAT)

SEARCH_ROOTS = ("/srv/ganeti", "/usr/local/lib/ganeti", "/usr/lib/ganeti", "/usr/share/ganeti")
"""Below these are OS definitions and external storage providers; the first that has one wins."""

MICROSECONDS = 1_000_000


def run_info(call: Invocation) -> int:
    """Print the settings of the cluster."""
    info = call.client.query_cluster_info()
    warned = [Entry("Warning", text) for text in call.client.warnings]
    print_info(call, [*_describe(Record(info)), *warned], raw=info)
    return exit_codes.SUCCESS


def _describe(info: Record) -> list[Entry]:
    return [
        Entry("Cluster name", info["name"]),
        Entry("Cluster UUID", info["uuid"]),
        Entry("Creation time", time_text(info["ctime"])),
        Entry("Modification time", time_text(info["mtime"])),
        Entry("Master node", info["master"]),
        Entry("Architecture (this node)", _architecture(info.items("architecture"))),
        Entry("Tags", _joined(sorted(map(str, info.items("tags")))) or "(none)"),
        Entry("Default hypervisor", info["default_hypervisor"]),
        Entry("Enabled hypervisors", _joined(info.items("enabled_hypervisors"))),
        Entry("Hypervisor parameters", _of_enabled(info, "hvparams")),
        Entry("OS-specific hypervisor parameters", info.mapping("os_hvp")),
        Entry("OS parameters", info.mapping("osparams")),
        Entry("Hidden OSes", _joined(info.items("hidden_os"))),
        Entry("Blacklisted OSes", _joined(info.items("blacklisted_os"))),
        Entry("Cluster parameters", _parameters(info)),
        Entry("Default node parameters", info.mapping("ndparams")),
        Entry("Default instance parameters", info.mapping("beparams")),
        Entry("Default nic parameters", info.mapping("nicparams")),
        Entry("Default disk parameters", info.mapping("diskparams")),
        Entry("Instance policy - limits for instances", _policy(info.mapping("ipolicy"))),
        Entry("Data collectors", _collectors(info)),
    ]


def _parameters(info: Record) -> list[Entry]:
    return [
        Entry("candidate pool size", info["candidate_pool_size"]),
        Entry("maximal number of jobs running simultaneously", info["max_running_jobs"]),
        Entry(
            "maximal number of jobs simultaneously tracked by the scheduler",
            info["max_tracked_jobs"],
        ),
        Entry("mac prefix", info["mac_prefix"]),
        Entry("master netdev", info["master_netdev"]),
        Entry("master netmask", info["master_netmask"]),
        Entry("use external master IP address setup script", info["use_external_mip_script"]),
        Entry("lvm volume group", info["volume_group_name"]),
        Entry("lvm reserved volumes", _joined(info.items("reserved_lvs")) or "(none)"),
        Entry("drbd usermode helper", info["drbd_usermode_helper"]),
        Entry("file storage path", info["file_storage_dir"]),
        Entry("shared file storage path", info["shared_file_storage_dir"]),
        Entry("gluster storage path", info["gluster_storage_dir"]),
        Entry("maintenance of node health", info["maintain_node_health"]),
        Entry("uid pool", _joined(_uid_range(each) for each in info.items("uid_pool"))),
        Entry("default instance allocator", info["default_iallocator"]),
        Entry("default instance allocator parameters", info.mapping("default_iallocator_params")),
        Entry("primary ip version", info["primary_ip_version"]),
        Entry("preallocation wipe disks", info["prealloc_wipe_disks"]),
        Entry("OS search path", _joined(f"{root}/os" for root in SEARCH_ROOTS)),
        Entry(
            "ExtStorage Providers search path",
            _joined(f"{root}/extstorage" for root in SEARCH_ROOTS),
        ),
        Entry("enabled disk templates", _joined(info.items("enabled_disk_templates"))),
        Entry("install image", info["install_image"]),
        Entry("instance communication network", info["instance_communication_network"]),
        Entry("zeroing image", info["zeroing_image"]),
        Entry("compression tools", info.items("compression_tools")),
        Entry("enabled user shutdown", info["enabled_user_shutdown"]),
        Entry("modify ssh setup", info["modify_ssh_setup"]),
        Entry("ssh_key_type", info["ssh_key_type"]),
        Entry("ssh_key_bits", info["ssh_key_bits"]),
    ]


def _joined(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))


def _architecture(parts: list[object]) -> str:
    match parts:
        case [bits, machine]:
            return f"{bits} ({machine})"
        case _:
            return "unknown"


def _uid_range(entry: object) -> str:
    match entry:
        case [low, high]:
            return str(low) if low == high else f"{low}-{high}"
        case other:
            return str(other)


def _of_enabled(info: Record, name: str) -> dict[str, object]:
    enabled = info.items("enabled_hypervisors")
    return {key: each for key, each in info.mapping(name).items() if key in enabled}


def _policy(policy: dict[str, object]) -> list[Entry]:
    described: list[Entry] = []
    match policy.get("minmax"):
        case [*bounds]:
            numbered = [
                {f"{side}/{at}": limits for side, limits in each.items()}
                for at, each in enumerate(bounds)
                if isinstance(each, dict)
            ]
            described.append(Entry("bounds specs", numbered))
        case _:
            pass
    if "std" in policy:
        described.append(Entry("std", policy["std"]))
    match policy.get("disk-templates"):
        case [*templates]:
            described.append(Entry("allowed disk templates", _joined(templates)))
        case _:
            pass
    ratios = [Entry(key, policy[key]) for key in ("vcpu-ratio", "spindle-ratio") if key in policy]
    return described + ratios


def _collectors(info: Record) -> dict[str, object]:
    intervals = info.mapping("data_collector_interval")
    return {
        name: {"active": active, "interval": _seconds(intervals.get(name))}
        for name, active in info.mapping("enabled_data_collectors").items()
    }


def _seconds(microseconds: object) -> str:
    if isinstance(microseconds, (int, float)):
        return f"{microseconds / MICROSECONDS:.3f}s"
    return "unknown"


def run_version(call: Invocation) -> int:
    """Print the versions of the cluster's software and formats."""
    info = Record(call.client.query_cluster_info())
    call.say(f"Software version: {info['software_version']}")
    call.say(f"Internode protocol: {info['protocol_version']}")
    call.say(f"Configuration format: {info['config_version']}")
    call.say(f"OS api version: {info['os_api_version']}")
    call.say(f"Export interface: {info['export_version']}")
    call.say(f"VCS version: {info['vcs_version']}")
    return exit_codes.SUCCESS


def run_getmaster(call: Invocation) -> int:
    """Print the master node's name; this works on every node."""
    master: object = read_membership(call.root, os.environ).master_node
    if not master:
        [master] = call.client.query_config_values(["master_node"])
    if not master:
        raise CommandError("The master node is not known")
    call.say(str(master))
    return exit_codes.SUCCESS


def run_master_ping(call: Invocation) -> int:
    """End with success if the master's LuxiD answers."""
    try:
        call.client.query_cluster_info()
    except (Unreachable, ServerFailure) as error:
        call.complain(error.text)
        return exit_codes.FAILURE
    return exit_codes.SUCCESS


COMMANDS = (
    Command("getmaster", run_getmaster),
    Command("info", run_info, (), INFO_OPTIONS),
    Command("master-ping", run_master_ping),
    Command("version", run_version),
)
