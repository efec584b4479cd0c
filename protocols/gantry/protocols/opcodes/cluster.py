"""Opcodes about the cluster as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import frozen

from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.secrecy import Private
from gantry.protocols.opcodes.vocabulary import (
    AnyParameters,
    DiskTemplate,
    DiskTemplateParameters,
    Hypervisor,
    NicParameters,
    OsListChange,
    SshKeyType,
    UidRange,
)
from gantry.protocols.values import Json, NonEmpty, NonNegative, Positive


@frozen(kw_only=True)
class OpClusterPostInit(Opcode):
    """Run the hooks that belong to a newly made cluster."""


@frozen(kw_only=True)
class OpClusterDestroy(Opcode):
    """Take down a cluster of which only the master is left."""


@frozen(kw_only=True)
class OpClusterQuery(Opcode):
    """Return what describes the cluster."""


@frozen(kw_only=True)
class OpClusterConfigQuery(Opcode):
    """Return single values of the cluster's configuration."""

    output_fields: tuple[NonEmpty, ...]


@frozen(kw_only=True)
class OpClusterRename(Opcode):
    """Give the cluster another name, and with it another master IP address."""

    name: NonEmpty

    SUMMARY: ClassVar[str | None] = "name"


@frozen(kw_only=True)
class OpClusterRedistConf(Opcode):
    """Send the configuration's files to all nodes again."""


@frozen(kw_only=True)
class OpClusterActivateMasterIp(Opcode):
    """Bring up the master IP address on the master."""


@frozen(kw_only=True)
class OpClusterDeactivateMasterIp(Opcode):
    """Take the master IP address down on the master."""


@frozen(kw_only=True)
class OpClusterRenewCrypto(Opcode):
    """Issue new node certificates or SSH keys."""

    node_certificates: bool = False
    renew_ssh_keys: bool = False
    ssh_key_type: SshKeyType | None = None
    ssh_key_bits: Positive | None = None
    verbose: bool = False
    debug: bool = False


@frozen(kw_only=True)
class OpClusterRepairDiskSizes(Opcode):
    """Correct the configuration where it has another size for a disk than the node has."""

    instances: tuple[NonEmpty, ...] = ()
    """Names; all instances if empty."""


@frozen(kw_only=True)
class OpClusterSetParams(Opcode):
    """Change the cluster's settings; what is ``None`` stays as it is."""

    force: bool = False
    hv_state: AnyParameters | None = None
    disk_state: AnyParameters | None = None
    vg_name: str | None = None
    """Empty: the cluster uses LVM no longer."""
    enabled_hypervisors: tuple[Hypervisor, ...] | None = None
    """The first is the default."""
    hvparams: Mapping[str, AnyParameters] | None = None
    """By hypervisor."""
    beparams: AnyParameters | None = None
    os_hvp: Mapping[str, AnyParameters] | None = None
    """By OS definition, then by hypervisor."""
    osparams: Mapping[str, AnyParameters] | None = None
    osparams_private_cluster: Mapping[str, Mapping[str, Private[Json]]] | None = None
    diskparams: DiskTemplateParameters | None = None
    candidate_pool_size: Positive | None = None
    max_running_jobs: Positive | None = None
    max_tracked_jobs: Positive | None = None
    uid_pool: tuple[UidRange, ...] | None = None
    add_uids: tuple[UidRange, ...] | None = None
    remove_uids: tuple[UidRange, ...] | None = None
    maintain_node_health: bool | None = None
    prealloc_wipe_disks: bool | None = None
    nicparams: NicParameters | None = None
    ndparams: AnyParameters | None = None
    ipolicy: AnyParameters | None = None
    drbd_helper: str | None = None
    """Empty: the cluster uses DRBD no longer."""
    default_iallocator: str | None = None
    """Empty: there is none."""
    default_iallocator_params: AnyParameters | None = None
    mac_prefix: NonEmpty | None = None
    master_netdev: str | None = None
    master_netmask: NonNegative | None = None
    reserved_lvs: tuple[NonEmpty, ...] | None = None
    hidden_os: tuple[OsListChange, ...] | None = None
    blacklisted_os: tuple[OsListChange, ...] | None = None
    use_external_mip_script: bool | None = None
    enabled_disk_templates: tuple[DiskTemplate, ...] | None = None
    """The first is the default."""
    modify_etc_hosts: bool | None = None
    file_storage_dir: str | None = None
    """Empty: disabled; so are the two that follow."""
    shared_file_storage_dir: str | None = None
    gluster_storage_dir: str | None = None
    install_image: str | None = None
    instance_communication_network: str | None = None
    zeroing_image: str | None = None
    compression_tools: tuple[NonEmpty, ...] | None = None
    enabled_user_shutdown: bool | None = None
    enabled_data_collectors: Mapping[str, bool] | None = None
    data_collector_interval: Mapping[str, int] | None = None
    """By collector, in microseconds."""
