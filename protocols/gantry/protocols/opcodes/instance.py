"""Opcodes about instances: making, changing, running and removing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

from attrs import field, frozen
from typing_extensions import override

from gantry.protocols.objects.vocabulary import AdminStateSource
from gantry.protocols.opcodes.opcode import InstanceOpcode, Opcode
from gantry.protocols.opcodes.secrecy import Private, Secret
from gantry.protocols.opcodes.vocabulary import (
    SHUTDOWN_SECONDS,
    AnyParameters,
    CreationMode,
    DiskChange,
    DiskParameters,
    DiskTemplate,
    FileDriver,
    Hypervisor,
    Listing,
    NicChange,
    NicParameters,
)
from gantry.protocols.values import Json, NonEmpty, NonNegative, Positive

RebootType = Literal["full", "hard", "soft"]
"""Stop and start with fresh disks; stop and start; have the guest reboot."""


@frozen(kw_only=True)
class OpInstanceCreate(Opcode):
    """Make an instance: from an OS definition, from an export, or from another cluster."""

    instance_name: str
    mode: CreationMode
    disks: tuple[DiskParameters, ...]
    nics: tuple[NicParameters, ...]
    disk_template: DiskTemplate | None = None
    """``None``: that of the disks, else the cluster's default."""
    os_type: NonEmpty | None = None
    """The OS definition, with ``+`` and the variant."""
    force_variant: bool = False
    """Even if the OS definition does not list the variant."""
    no_install: bool | None = None
    """Make the disks and do not run the OS scripts."""
    hypervisor: Hypervisor | None = None
    """``None``: the cluster's default."""
    hvparams: AnyParameters = field(factory=dict)
    beparams: AnyParameters = field(factory=dict)
    osparams: AnyParameters = field(factory=dict)
    osparams_private: Mapping[str, Private[Json]] | None = None
    osparams_secret: Mapping[str, Secret[Json]] | None = None
    identify_defaults: bool = False
    """Drop parameters that equal the cluster's defaults, so that they follow them."""
    tags: tuple[NonEmpty, ...] = ()

    pnode: NonEmpty | None = None
    """The primary node; else the allocator chooses."""
    pnode_uuid: NonEmpty | None = None
    snode: NonEmpty | None = None
    """The secondary node, for mirrored disks."""
    snode_uuid: NonEmpty | None = None
    iallocator: NonEmpty | None = None
    group_name: NonEmpty | None = None
    """Where the allocator may look."""
    opportunistic_locking: bool = False
    """Let the allocator choose among the nodes that are free of locks just now."""
    ignore_ipolicy: bool = False

    name_check: bool = True
    """Refuse a name that does not resolve."""
    ip_check: bool = True
    """Refuse a name whose address answers already."""
    conflicts_check: bool = True
    """Refuse an address that a network of the cluster has for others."""
    wait_for_sync: bool = True
    start: bool = True
    file_driver: FileDriver | None = None
    file_storage_dir: NonEmpty | None = None
    """Relative to the cluster's folder for image files."""

    src_node: NonEmpty | None = None
    """For an import: where the export is, and in which folder."""
    src_node_uuid: NonEmpty | None = None
    src_path: NonEmpty | None = None
    compress: str = "none"
    source_handshake: tuple[Json, ...] | None = None
    """For a remote import: what the other cluster's export hands over."""
    source_instance_name: NonEmpty | None = None
    source_shutdown_timeout: NonNegative = SHUTDOWN_SECONDS
    source_x509_ca: NonEmpty | None = None

    forthcoming: bool = False
    """Only keep a place free for the instance."""
    commit: bool = False
    """Make the instance whose place was kept free."""
    instance_communication: bool = False
    helper_startup_timeout: int | None = None
    helper_shutdown_timeout: int | None = None

    SUMMARY: ClassVar[str | None] = "instance_name"


@frozen(kw_only=True)
class OpInstanceMultiAlloc(Opcode):
    """Place several instances in one go: submits the jobs that make them."""

    opportunistic_locking: bool = False
    iallocator: NonEmpty | None = None
    instances: tuple[Json, ...] = ()
    """``OP_INSTANCE_CREATE`` opcodes in their JSON form."""


@frozen(kw_only=True)
class OpInstanceRemove(InstanceOpcode):
    """Stop an instance and remove it with its disks."""

    shutdown_timeout: NonNegative = SHUTDOWN_SECONDS
    ignore_failures: bool = False
    """Forget it even if it could not be stopped, or its disks not be removed."""


@frozen(kw_only=True)
class OpInstanceRename(InstanceOpcode):
    """Give a stopped instance another name."""

    new_name: NonEmpty
    name_check: bool = True
    ip_check: bool = True

    SUMMARY: ClassVar[str | None] = None


@frozen(kw_only=True)
class OpInstanceStartup(InstanceOpcode):
    """Start an instance."""

    force: bool = False
    """Even if a mirror of its disks is not usable."""
    ignore_offline_nodes: bool = False
    """If its primary node is offline, only note that it should run."""
    hvparams: AnyParameters = field(factory=dict)
    """For this time only; so are the backend parameters."""
    beparams: AnyParameters = field(factory=dict)
    no_remember: bool = False
    """Do not note that it should run."""
    startup_paused: bool = False
    """Start it with its processors stopped, for a debugger on its console."""
    shutdown_timeout: NonNegative = SHUTDOWN_SECONDS


@frozen(kw_only=True)
class OpInstanceShutdown(InstanceOpcode):
    """Stop an instance: have the guest power off, and pull the plug when the time is up."""

    force: bool = False
    """Even if it is already marked as stopped."""
    ignore_offline_nodes: bool = False
    timeout: NonNegative = SHUTDOWN_SECONDS
    """In seconds."""
    no_remember: bool = False
    """Do not note that it should be stopped."""
    admin_state_source: AdminStateSource | None = None


@frozen(kw_only=True)
class OpInstanceReboot(InstanceOpcode):
    """Restart an instance."""

    shutdown_timeout: NonNegative = SHUTDOWN_SECONDS
    ignore_secondaries: bool = False
    """Even if a secondary node's half of the disks is not usable."""
    reboot_type: RebootType


@frozen(kw_only=True)
class OpInstanceReinstall(InstanceOpcode):
    """Run the OS scripts of a stopped instance again; its disks' content is lost."""

    force_variant: bool = False
    os_type: NonEmpty | None = None
    """Another OS definition than the present one."""
    osparams: AnyParameters | None = None
    osparams_private: Mapping[str, Private[Json]] | None = None
    osparams_secret: Mapping[str, Secret[Json]] | None = None


@frozen(kw_only=True)
class OpInstanceConsole(InstanceOpcode):
    """Return how to reach an instance's console."""


@frozen(kw_only=True)
class OpInstanceQueryData(Opcode):
    """Return all details of instances."""

    use_locking: bool = False
    instances: tuple[NonEmpty, ...] = ()
    """Names; all instances if empty."""
    static: bool = False
    """Only what the configuration says; ask no node."""


@frozen(kw_only=True)
class OpInstanceSetParams(InstanceOpcode):
    """Change an instance; what is ``None`` or empty stays as it is."""

    force: bool = False
    force_variant: bool = False
    ignore_ipolicy: bool = False
    nics: tuple[NicChange, ...] = ()
    disks: tuple[DiskChange, ...] = ()
    beparams: AnyParameters = field(factory=dict)
    """The value ``default`` takes a parameter back to what the cluster says."""
    runtime_mem: Positive | None = None
    """The memory that it is to have now, in MiB, within its limits."""
    hvparams: AnyParameters = field(factory=dict)
    disk_template: DiskTemplate | None = None
    ext_params: AnyParameters = field(factory=dict)
    file_driver: FileDriver | None = None
    file_storage_dir: NonEmpty | None = None
    pnode: NonEmpty | None = None
    """Where it is now, after somebody moved its disks by hand."""
    pnode_uuid: NonEmpty | None = None
    remote_node: NonEmpty | None = None
    """The secondary node, if the disks become mirrored ones."""
    remote_node_uuid: NonEmpty | None = None
    iallocator: NonEmpty | None = None
    os_name: NonEmpty | None = None
    osparams: AnyParameters = field(factory=dict)
    osparams_private: Mapping[str, Private[Json]] | None = None
    wait_for_sync: bool = True
    offline: bool | None = None
    """Whether it is stopped and its memory not kept free."""
    conflicts_check: bool = True
    hotplug: bool = False
    """Change the running instance too."""
    hotplug_if_possible: bool = False
    instance_communication: bool | None = None

    @override
    @classmethod
    def from_wire(cls, sent: Mapping[str, Json]) -> Mapping[str, Json]:
        sent = super().from_wire(sent)
        changes = {key: _with_place(sent[key]) for key in ("nics", "disks") if key in sent}
        return {**sent, **changes}


def _with_place(changes: Json) -> Json:
    """Turn the older form, pairs of a verb or an index and parameters, into the present one."""
    if not isinstance(changes, list):
        return changes
    if not all(isinstance(each, list) and len(each) == 2 for each in changes):
        return changes
    return [_from_pair(*each) for each in changes]


def _from_pair(what: Json, parameters: Json) -> Json:
    if what in get_args(Listing):
        return [what, -1, parameters]
    if type(what) is int and what >= 0:
        return ["modify", what, parameters]
    return [what, parameters]
