"""The cluster itself: its identity, defaults, limits and switches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import field, frozen

from gantry.protocols.codec import Json
from gantry.protocols.identity import ClusterUuid, NodeUuid
from gantry.protocols.objects.vocabulary import (
    DiskTemplate,
    Hypervisor,
    Parameters,
    SshKeyType,
)
from gantry.protocols.objects.wire import ConfigObject


@frozen(kw_only=True)
class DataCollector(ConfigObject):
    """Whether and how often MonD runs a collector."""

    active: bool
    interval: int
    """In microseconds."""


@frozen(kw_only=True)
class Cluster(ConfigObject):
    """The cluster's own settings. Unset strings that are always written are empty."""

    TRAVELS_OFTEN: ClassVar[bool] = True

    rsahostkeypub: str
    dsahostkeypub: str | None = None
    highest_used_port: int
    tcpudp_port_pool: tuple[int, ...]
    """Freed ports below the highest used one, each once."""
    mac_prefix: str
    volume_group_name: str | None = None
    reserved_lvs: tuple[str, ...]
    """Regular expressions of volume names that are not the cluster's."""
    drbd_usermode_helper: str | None = None
    master_node: NodeUuid
    master_ip: str
    master_netdev: str
    master_netmask: int
    """The prefix length."""
    use_external_mip_script: bool
    cluster_name: str
    file_storage_dir: str
    """Empty: disabled; so are the two that follow."""
    shared_file_storage_dir: str
    gluster_storage_dir: str
    enabled_hypervisors: tuple[Hypervisor, ...]
    """The first is the default."""
    hvparams: Mapping[str, Parameters]
    """By hypervisor, full."""
    os_hvp: Mapping[str, Mapping[str, Parameters]]
    """By OS definition and hypervisor, partial."""
    beparams: Mapping[str, Parameters]
    """Under ``default``, full."""
    osparams: Mapping[str, Mapping[str, str]]
    osparams_private_cluster: Mapping[str, Mapping[str, str]] = field(repr=False)
    nicparams: Mapping[str, Parameters]
    """Under ``default``, full."""
    ndparams: Parameters
    """Full."""
    diskparams: Mapping[str, Parameters]
    """By disk template, in template terms."""
    candidate_pool_size: int
    modify_etc_hosts: bool
    modify_ssh_setup: bool
    maintain_node_health: bool
    uid_pool: tuple[tuple[int, int], ...]
    """Ranges of user ids for KVM processes, both ends included."""
    default_iallocator: str
    default_iallocator_params: Mapping[str, Json]
    hidden_os: tuple[str, ...]
    blacklisted_os: tuple[str, ...]
    primary_ip_family: int
    """2: IPv4, 10: IPv6 (Linux's AF numbers)."""
    prealloc_wipe_disks: bool
    ipolicy: Mapping[str, Json]
    """Full."""
    hv_state_static: Mapping[str, Json] = field(factory=dict)
    disk_state_static: Mapping[str, Json] = field(factory=dict)
    enabled_disk_templates: tuple[DiskTemplate, ...]
    """The first is the default."""
    candidate_certs: Mapping[NodeUuid, str]
    """SHA-1 digests of the master candidates' certificates, upper case, with colons."""
    max_running_jobs: int
    max_tracked_jobs: int
    install_image: str
    instance_communication_network: str
    zeroing_image: str
    compression_tools: tuple[str, ...]
    enabled_user_shutdown: bool
    data_collectors: Mapping[str, DataCollector]
    ssh_key_type: SshKeyType
    ssh_key_bits: int
    ctime: float = 0.0
    mtime: float = 0.0
    uuid: ClusterUuid
    serial_no: int
    tags: frozenset[str] = frozenset()
