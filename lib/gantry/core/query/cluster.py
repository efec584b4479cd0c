"""QueryClusterInfo, QueryConfigValues and QueryTags: what is asked of the cluster as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from attrs import frozen

from gantry.core.query.view import View
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.luxi import TagKind
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import ForthcomingInstance, Instance
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.values import shown_number

IP_VERSIONS: Final[Mapping[int, int]] = {2: 4, 10: 6}
"""By Linux's number of an address family."""

AS_STORED: Final = (
    "enabled_hypervisors", "hvparams", "os_hvp", "beparams", "osparams", "ipolicy", "nicparams",
    "ndparams", "diskparams", "candidate_pool_size", "max_running_jobs", "max_tracked_jobs",
    "mac_prefix", "master_netdev", "master_netmask", "use_external_mip_script",
    "volume_group_name", "drbd_usermode_helper", "file_storage_dir", "shared_file_storage_dir",
    "gluster_storage_dir", "maintain_node_health", "uuid", "uid_pool",
    "default_iallocator", "default_iallocator_params", "reserved_lvs", "prealloc_wipe_disks",
    "hidden_os", "blacklisted_os", "enabled_disk_templates", "install_image",
    "instance_communication_network", "zeroing_image", "compression_tools",
    "enabled_user_shutdown", "modify_ssh_setup", "ssh_key_type", "ssh_key_bits",
)  # fmt: skip
"""The cluster's settings that are shown under their own name and as they are."""


@frozen
class Release:
    """What this program is, as far as clients made for Ganeti want to know."""

    software_version: str
    """Of the Ganeti release whose behaviour clients may expect."""
    vcs_version: str
    architecture: tuple[str, str]
    """Word size and machine, such as ``64bits`` and ``x86_64``."""
    protocol_version: int = 3_000_000
    os_api_version: int = 20
    export_version: int = 0


@frozen
class QueueState:
    """What is known outside of the configuration."""

    drained: bool
    watcher_pause: float | None
    """Until when the watcher rests, in seconds since the epoch."""
    paused: bool = False
    """Whether no job begins."""


def cluster_info(view: View, release: Release) -> dict[str, Json]:
    """Return the result of QueryClusterInfo."""
    configuration = view.configuration
    cluster = configuration.cluster
    collectors = cluster.data_collectors
    return {
        "software_version": release.software_version,
        "protocol_version": release.protocol_version,
        "config_version": configuration.version,
        "os_api_version": release.os_api_version,
        "export_version": release.export_version,
        "vcs_version": release.vcs_version,
        "architecture": list(release.architecture),
        "name": cluster.cluster_name,
        "master": view.node_name(cluster.master_node),
        "default_hypervisor": cluster.enabled_hypervisors[0],
        **{name: getattr(cluster, name) for name in AS_STORED},
        "ctime": shown_number(cluster.ctime),
        "mtime": shown_number(cluster.mtime),
        "tags": sorted(cluster.tags),
        "primary_ip_version": IP_VERSIONS[cluster.primary_ip_family],
        "enabled_data_collectors": {name: each.active for name, each in collectors.items()},
        "data_collector_interval": {name: each.interval for name, each in collectors.items()},
    }


def config_values(fields: Sequence[str], view: View, queue: QueueState) -> list[Json]:
    """Return the result of QueryConfigValues: ``None`` for what is not known."""
    cluster = view.configuration.cluster
    known: dict[str, Json] = {
        "cluster_name": cluster.cluster_name,
        "master_node": view.node_name(cluster.master_node),
        "drain_flag": queue.drained,
        "watcher_pause": queue.watcher_pause,
        "modify_ssh_setup": cluster.modify_ssh_setup,
        "ssh_key_type": cluster.ssh_key_type,
        "ssh_key_bits": cluster.ssh_key_bits,
        "queue_paused": queue.paused,
    }
    return [known.get(name) for name in fields]


def tags(kind: TagKind, name: str, view: View) -> list[str]:
    """Return the result of QueryTags; for the cluster the name does not matter.

    Raises:
        OpPrereqError: there is no such object.
    """
    if kind == "cluster":
        return sorted(view.configuration.cluster.tags)
    found = _tagged(kind, name, view)
    if found is None:
        raise OpPrereqError(f"{kind} {name} is not known", "unknown_entity")
    return sorted(found.tags or ())


Tagged = Instance | ForthcomingInstance | Node | NodeGroup | Network


def _tagged(kind: TagKind, name: str, view: View) -> Tagged | None:
    match kind:
        case "instance":
            return view.find_instance(name)
        case "node":
            return view.find_node(name)
        case "nodegroup":
            return view.find_group(name)
        case "network":
            return view.find_network(name)
        case "cluster":
            return None
        case _:
            assert_never(kind)
