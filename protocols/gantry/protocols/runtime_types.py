"""What travels to and from NodeD: an instance as a hypervisor must run it, and what was found.

An :class:`InstanceSpec` is complete: parameters are filled from all their layers, references
are resolved, disks have paths. A node needs nothing of the configuration to act on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from attrs import field, frozen, validators
from typing_extensions import override

from gantry.protocols.errors import ServiceError
from gantry.protocols.identity import DiskUuid, InstanceUuid, NetworkUuid, NicUuid, NodeUuid

ParamValue = bool | int | float | str | None
"""A value of a parameter dictionary."""

HypervisorName = Literal["fake", "kvm"]
"""The hypervisors that have a driver."""

FileTemplate = Literal["file", "sharedfile"]
"""The disk templates whose disks are files; a ``diskless`` instance just has no disks."""

NicMode = Literal["bridged", "routed", "openvswitch"]

InstanceState = Literal["running", "paused", "incoming", "migrated", "shutdown", "crashed"]
"""``incoming``: a migration's target that does not run yet. ``migrated``: a migration's source
that was sent off and is yet to be ended. ``shutdown``: the guest powered itself off.
``crashed``: its process ended and nobody had asked for that."""

Acceleration = Literal["kvm", "tcg"]


# --- what to run ---------------------------------------------------------------------------------


@frozen
class DiskSpec:
    """One disk of an instance."""

    uuid: DiskUuid
    index: int = field(validator=validators.ge(0))
    template: FileTemplate
    size_mib: int = field(validator=validators.gt(0))
    path: str
    """An absolute path of the node (below its root directory), as in the logical id."""
    driver: str = "loop"
    """The first half of the logical id."""
    mode: Literal["rw", "ro"] = "rw"
    name: str | None = None


@frozen
class NicNetwork:
    """The network that a NIC is attached to."""

    uuid: NetworkUuid
    name: str
    tags: tuple[str, ...] = ()
    subnet: str | None = None
    gateway: str | None = None
    subnet6: str | None = None
    gateway6: str | None = None
    mac_prefix: str | None = None


@frozen
class NicSpec:
    """One network interface of an instance."""

    uuid: NicUuid
    mac: str
    mode: NicMode
    link: str
    ip: str | None = None
    vlan: str = ""
    name: str | None = None
    network: NicNetwork | None = None


@frozen
class InstanceSpec:
    """An instance as a node has to run it."""

    uuid: InstanceUuid
    name: str
    hypervisor: HypervisorName
    os: str
    """Name with the variant, if any: ``name+variant``."""
    minmem_mib: int = field(validator=validators.gt(0))
    maxmem_mib: int = field(validator=validators.gt(0))
    """The memory with which it starts."""
    vcpus: int = field(validator=validators.gt(0))
    primary_node: NodeUuid
    secondary_nodes: tuple[NodeUuid, ...] = ()
    disks: tuple[DiskSpec, ...] = ()
    nics: tuple[NicSpec, ...] = ()
    hvparams: Mapping[str, ParamValue] = field(factory=dict)
    """Filled from all layers, cluster-wide parameters included."""
    osparams: Mapping[str, str] = field(factory=dict)
    """Public and private ones; scripts see no difference."""
    tags: tuple[str, ...] = ()
    always_failover: bool = False
    auto_balance: bool = True
    spindle_use: int = 1
    ctime: float = 0.0
    mtime: float = 0.0


# --- what was found ------------------------------------------------------------------------------


@frozen
class InstanceRuntime:
    """An instance as a hypervisor sees it now."""

    name: str
    uuid: InstanceUuid
    hypervisor: HypervisorName
    state: InstanceState
    memory_mib: int
    vcpus: int
    cpu_seconds: float
    """Time of the host's processors that it has used."""
    started_at: float | None
    """Wall-clock seconds since the epoch; ``None`` unless it runs."""


StopOutcome = Literal["absent", "powered-off", "ended"]
"""``absent``: it did not run. ``powered-off``: by the guest itself. ``ended``: without it."""


@frozen
class MissingPart:
    """Something that a machine lacks, and where to get it."""

    what: str
    package: str | None = None
    """The Debian package to install, if one helps."""


@frozen
class HypervisorProbe:
    """What a machine offers to one hypervisor."""

    hypervisor: HypervisorName
    version: str | None
    acceleration: Acceleration | None
    """``None`` where the notion does not apply or the hypervisor is not usable."""
    missing: tuple[MissingPart, ...] = ()
    """Empty if the hypervisor is usable."""
    note: str = ""
    """A remark for people, such as why there is no hardware acceleration."""

    @property
    def usable(self) -> bool:
        """Whether instances can run."""
        return not self.missing


@frozen
class MigrationSource:
    """What a migration's target must copy of the machine that the source emulates."""

    machine: str = ""
    """The machine type with its version, such as ``pc-q35-7.2``."""
    acceleration: Acceleration | None = None
    paused: bool = False
    """Whether the guest was paused before, and so must be paused after."""


@frozen
class MigrationTarget:
    """Where a node waits for an incoming instance."""

    uri: str
    """In the hypervisor's own form: ``tcp:ADDRESS:PORT`` for kvm, ``fake:`` for fake."""


@frozen
class MigrationProgress:
    """How far a running migration is."""

    status: str
    """The hypervisor's own word, for people."""
    transferred_bytes: int
    remaining_bytes: int
    total_bytes: int


@frozen
class MigrationReport:
    """How a migration ended, as its source saw it."""

    status: Literal["completed", "failed", "cancelled"]
    total_ms: int
    downtime_ms: int
    """For how long the guest stood still."""
    transferred_bytes: int
    problem: str = ""
    """Empty if completed; else why not. The instance still is on the source."""


@frozen
class SocketConsole:
    """The serial console is a unix socket on a node."""

    host: str
    path: str


@frozen
class MessageConsole:
    """There is no console; the text says what to do."""

    text: str


ConsoleAccess = SocketConsole | MessageConsole


# --- scripts -------------------------------------------------------------------------------------


@frozen
class OsDefinition:
    """An OS definition as one node sees it; :attr:`problem` is empty if it is usable."""

    name: str
    path: str
    problem: str
    variants: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    """(name, what it means)."""
    api_versions: tuple[int, ...] = ()
    trusted: bool = True

    @property
    def ok(self) -> bool:
        """Whether instances can be made with it."""
        return not self.problem


@frozen
class HookResult:
    """How one hook script ended."""

    script: str
    """Folder and name, relative to the hooks folder."""
    status: Literal["skip", "fail", "success"]
    output: str


RESTRICTED_SECONDS_MAX: Final = 3600.0
"""How long a restricted command may take: as Ganeti's slow class of calls."""


# --- errors --------------------------------------------------------------------------------------


@frozen
class MachineLacks(ServiceError):
    """The machine lacks what it needs for the request."""

    what: str
    missing: tuple[MissingPart, ...]

    @override
    def sentence(self) -> str:
        parts = ", ".join(part.what for part in self.missing)
        packages = [part.package for part in self.missing if part.package is not None]
        advice = f"; install it with: apt install {' '.join(packages)}" if packages else ""
        return f"{self.what} needs {parts}{advice}"


@frozen
class DiskExists(ServiceError):
    """A disk is to be created where a file exists."""

    path: str

    @override
    def sentence(self) -> str:
        return f"{self.path} already exists; remove it or choose another path"


@frozen
class PathRefused(ServiceError):
    """A path is outside of what the node allows."""

    path: str
    reason: str

    @override
    def sentence(self) -> str:
        return f"{self.path} is refused: {self.reason}"


@frozen
class NotRunning(ServiceError):
    """The request needs a running instance."""

    instance: str
    state: str

    @override
    def sentence(self) -> str:
        return f"instance {self.instance} is {self.state}, not running"


@frozen
class DriverFailed(ServiceError):
    """A hypervisor, storage or network operation failed."""

    subject: str
    """Which object, such as ``instance web1`` or ``disk /srv/...``."""
    reason: str

    @override
    def sentence(self) -> str:
        return f"{self.subject}: {self.reason}"


@frozen
class OsUnusable(ServiceError):
    """There is no such OS definition on the node, or it is broken."""

    os: str
    problem: str

    @override
    def sentence(self) -> str:
        return f"OS {self.os} can not be used: {self.problem}"


@frozen
class ScriptFailed(ServiceError):
    """An OS script ended with an error."""

    script: str
    subject: str
    status: int
    log: str
    """Where its whole output is."""
    last_lines: tuple[str, ...]

    @override
    def sentence(self) -> str:
        tail = "\n".join(self.last_lines)
        return (
            f"script {self.script} for {self.subject} ended with status {self.status}; "
            f"its log is {self.log}; last lines:\n{tail}"
        )
