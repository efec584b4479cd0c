"""The NodeD protocol: what the master asks of a node. NodeD executes; it does not decide.

Carried as JSON over HTTPS with mutual TLS on TCP port 1811. Every changing method takes a
ticket: the same key is executed once, and only for the newest attempt and epoch.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, Protocol

from attrs import frozen
from typing_extensions import override

from gantry.protocols.errors import (
    BadCall,
    Fault,
    KeyConflict,
    ServiceError,
    StaleAttempt,
    StaleEpoch,
)
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, NodeUuid, Ticket
from gantry.protocols.job_course import StepProgress
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.runtime_types import (
    ConsoleAccess,
    DiskSpec,
    HookResult,
    InstanceRuntime,
    InstanceSpec,
    MigrationReport,
    MigrationSource,
    MigrationTarget,
    OsDefinition,
)
from gantry.protocols.service import Method, Service, raises, stub
from gantry.protocols.steps import NodeCall, StepName

PORT: Final = 1811

SOCKET_NAME: Final = "noded"
"""Of the door for the master's daemons and jobs on NodeD's own node."""

FAMILY_IP6: Final = 10
"""AF_INET6, Linux's number of the address family."""

HookPhase = Literal["pre", "post"]
RebootKind = Literal["soft", "hard", "full"]


@frozen
class NodeVersion:
    """What a node runs."""

    node: str
    """The node's name as it knows itself."""
    uuid: NodeUuid
    release: str
    protocol_versions: tuple[int, int]
    epoch: Epoch
    certificate_digest: str
    """Of the node's certificate, in the form of ``candidate_certs``."""


@frozen
class Membership:
    """Whether a node is one of the cluster, as another one knows it."""

    is_member: bool
    epoch: int
    """Of the configuration that says so; 0 if there is none."""
    serial: int
    candidate_digest: str | None = None
    """The SHA-1 digest of its certificate if it is a master candidate."""


@frozen
class ProgressReport:
    """How far a call in flight is."""

    number: int
    """Reports are counted from 1; 0 if there was none yet."""
    progress: StepProgress | None


@frozen
class NodeInfo:
    """A node's resources at one moment; sizes in MiB."""

    boot_id: str
    cpu_total: int
    cpu_nodes: int
    cpu_sockets: int
    memory_total: int
    memory_free: int
    memory_dom0: int
    disk_total: int
    disk_free: int
    hypervisor_versions: Mapping[str, str]


@frozen
class InstanceHere:
    """One instance on a node, and what the node could give it."""

    runtime: InstanceRuntime | None
    """As it runs here, or did; ``None``: there is nothing of it."""
    memory_free_mib: int


@frozen
class Check:
    """What :meth:`NodeD.verify` looks at."""

    hypervisors: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    peers: Mapping[str, str] = {}
    """Node names and their primary IP addresses, to be reached on NodeD's port."""
    disks: tuple[DiskSpec, ...] = ()


@frozen
class CheckReport:
    """What a node found; empty everywhere is good."""

    time: float
    release: str
    hypervisor_problems: Mapping[str, str]
    missing_bridges: tuple[str, ...]
    unreachable_peers: Mapping[str, str]
    missing_disks: tuple[str, ...]
    """UUIDs of disks whose data is not there."""
    instances: tuple[InstanceRuntime, ...]
    storage_problems: tuple[str, ...]


@frozen
class MasterAddress:
    """The cluster's own address, which is wherever the master is."""

    address: str
    interface: str
    netmask: int
    """Its number of bits."""
    ip_version: Literal[4, 6]
    external_script: bool
    """Whether ``/etc/ganeti/scripts/master-ip-setup`` sets it up."""

    @classmethod
    def of(cls, cluster: Cluster) -> MasterAddress:
        """Return what the configuration says about it."""
        return cls(
            cluster.master_ip,
            cluster.master_netdev,
            cluster.master_netmask,
            6 if cluster.primary_ip_family == FAMILY_IP6 else 4,
            cluster.use_external_mip_script,
        )


@frozen
class StepFailed(ServiceError):
    """What was asked could not be done; the text says what, on which object and what to do."""

    text: str

    @override
    def sentence(self) -> str:
        return self.text


@frozen
class Missing(ServiceError):
    """This machine lacks something; the text names the package to install."""

    text: str

    @override
    def sentence(self) -> str:
        return self.text


@frozen
class Interrupted(ServiceError):
    """The call was begun and broken off; the step's kind decides what happens next."""

    key: str

    @override
    def sentence(self) -> str:
        why = "NodeD was restarted, the deadline passed, or it was abandoned"
        return f"{self.key} was broken off midway: {why}"


@frozen
class NothingToUndo(ServiceError):
    """What is to be undone never happened on this node, or failed and left nothing."""

    key: str

    @override
    def sentence(self) -> str:
        return f"{self.key}: there is nothing to undo on this node"


CHANGING: Final = (
    StaleAttempt,
    StaleEpoch,
    KeyConflict,
    Interrupted,
    NothingToUndo,
    StepFailed,
    Missing,
    Fault,
)
READING: Final = (StepFailed, Missing, Fault)


class NodeD(Protocol):
    """One node of the cluster."""

    @raises(*READING)
    async def version(self) -> NodeVersion:
        """Say what runs here."""

    @raises(*READING)
    async def membership(self, node: NodeUuid) -> Membership:
        """Say whether a node is one of the cluster as far as is known here."""

    @raises(*READING)
    async def info(self, hypervisors: tuple[str, ...]) -> NodeInfo:
        """Return the node's resources."""

    @raises(*READING)
    async def instances(self, hypervisors: tuple[str, ...]) -> tuple[InstanceRuntime, ...]:
        """Return what runs here."""

    @raises(*READING)
    async def instance(self, hypervisor: str, name: str) -> InstanceHere:
        """Look for one instance, and at the free memory; costs the same however many run here."""

    @raises(*READING)
    async def verify(self, check: Check) -> CheckReport:
        """Compare the node with what it should be."""

    @raises(*READING)
    async def os_definitions(self) -> tuple[OsDefinition, ...]:
        """Return the OS definitions found here, valid or not."""

    @raises(*READING)
    async def exports(self) -> tuple[str, ...]:
        """Return the names of the instance exports that are kept here."""

    @raises(*READING)
    async def console(self, instance: InstanceSpec) -> ConsoleAccess:
        """Say how the console of an instance is reached."""

    @raises(*READING)
    async def migration_source(self, instance: InstanceSpec) -> MigrationSource:
        """Say what a migration's target must copy of the machine that runs here."""

    @raises(*READING)
    async def disk_exists(self, instance: str, disk: DiskSpec) -> bool:
        """Whether a disk's data is there."""

    @raises(*CHANGING)
    async def create_disk(self, ticket: Ticket, instance: str, disk: DiskSpec) -> None:
        """Create a disk; one that exists already is an error, unless this is done again."""

    @raises(*CHANGING)
    async def remove_disk(self, ticket: Ticket, instance: str, disk: DiskSpec) -> None:
        """Remove a disk; it is no error if there is none."""

    @raises(*CHANGING)
    async def rename_disk(
        self, ticket: Ticket, instance: str, disk: DiskSpec, new_instance: str, new_disk: DiskSpec
    ) -> None:
        """Move a disk to its new place; done already is no error."""

    @raises(*CHANGING)
    async def create_os(
        self,
        ticket: Ticket,
        instance: InstanceSpec,
        reinstall: bool,  # noqa: FBT001 - always passed by name
        secrets: Mapping[str, str],
    ) -> None:
        """Run the OS definition's create script; done again, the disks are wiped before."""

    @raises(*CHANGING)
    async def rename_os(self, ticket: Ticket, instance: InstanceSpec, old_name: str) -> None:
        """Run the OS definition's rename script."""

    @raises(*CHANGING)
    async def start_instance(
        self,
        ticket: Ticket,
        instance: InstanceSpec,
        paused: bool,  # noqa: FBT001 - always passed by name
    ) -> InstanceRuntime:
        """Start an instance; one that runs already is left alone."""

    @raises(*CHANGING)
    async def stop_instance(
        self,
        ticket: Ticket,
        instance: InstanceSpec,
        force: bool,  # noqa: FBT001 - always passed by name
        timeout_seconds: float,
    ) -> None:
        """Shut an instance down, hard after the time-out or if forced."""

    @raises(*CHANGING)
    async def reboot_instance(
        self, ticket: Ticket, instance: InstanceSpec, how: RebootKind, timeout_seconds: float
    ) -> None:
        """Reboot an instance."""

    @raises(*CHANGING)
    async def accept_migration(
        self,
        ticket: Ticket,
        instance: InstanceSpec,
        source: MigrationSource,
        live: bool,  # noqa: FBT001 - always passed by name
    ) -> MigrationTarget:
        """Prepare to receive an instance."""

    @raises(*CHANGING)
    async def migrate_instance(
        self,
        ticket: Ticket,
        instance: InstanceSpec,
        target: MigrationTarget,
        live: bool,  # noqa: FBT001 - always passed by name
    ) -> MigrationReport:
        """Send a running instance to the node that accepted it; if that fails it stays here."""

    @raises(*CHANGING)
    async def finish_migration(
        self,
        ticket: Ticket,
        instance: InstanceSpec,
        role: Literal["source", "target"],
        success: bool,  # noqa: FBT001 - always passed by name
    ) -> None:
        """Clean up on one side after a migration that went well or badly."""

    @raises(*CHANGING)
    async def run_hooks(
        self, ticket: Ticket, path: str, phase: HookPhase, environment: Mapping[str, str]
    ) -> tuple[HookResult, ...]:
        """Run a hooks directory."""

    @raises(*CHANGING)
    async def run_restricted(self, ticket: Ticket, command: str) -> tuple[bool, str]:
        """Run one of the commands that this node's administrator allows.

        Returns:
            Whether it succeeded, and its output, or what is wrong.
        """

    @raises(*CHANGING)
    async def delay(self, ticket: Ticket, seconds: float) -> None:
        """Wait, for tests of the job queue."""

    @raises(*READING)
    async def progress(self, key: Key, after: int) -> ProgressReport | None:
        """Wait until the call in flight under a key has told more than ``after`` reports.

        Returns:
            The newest report; ``None`` if no such call is in flight. After some seconds without
            a new one it returns the one that is known.
        """

    @raises(StaleAttempt, StaleEpoch, *READING)
    async def abandon(self, ticket: Ticket) -> None:
        """End the call in flight under a key, and let none begin there in this attempt.

        It returns when the call has ended. Nothing is undone, and nothing is done under the
        ticket's own key: a call that was broken off is answered with ``Interrupted``.
        """

    @raises(*CHANGING)
    async def activate_master_ip(self, ticket: Ticket, address: MasterAddress) -> None:
        """Bring the cluster's address up on this node."""

    @raises(*CHANGING)
    async def deactivate_master_ip(self, ticket: Ticket, address: MasterAddress) -> None:
        """Take the cluster's address down on this node."""

    @raises(*CHANGING)
    async def leave_cluster(self, ticket: Ticket) -> None:
        """Remove the node's credentials and cluster files; NodeD stops afterwards."""

    @raises(StaleEpoch, *READING)
    async def store_ssconf(
        self, epoch: Epoch, serial: int, nodes: frozenset[NodeUuid], values: Mapping[str, str]
    ) -> None:
        """Write the ssconf files, and note which nodes there are."""

    @raises(*READING)
    async def forget_keys(self, jobs: tuple[JobId, ...]) -> None:
        """Forget the keys of jobs whose final records are committed."""


NODED: Final = Service(NodeD)

UNISSUED: Final = Ticket(Key(JobId(0), 0, 0), Attempt(1), Epoch(1), "")
"""Stands for the ticket in a planned call until the call is made."""


class _Captured(Exception):
    def __init__(self, method: str, args: Mapping[str, object]) -> None:
        super().__init__(method)
        self.method, self.args_sent = method, args


async def _capture(wire_name: str, _: Method, args: Mapping[str, object]) -> object:
    raise _Captured(wire_name, args)


_RECORDER: Final = stub(NODED, _capture)


def call(
    node: NodeUuid,
    ask: Callable[[NodeD, Ticket], Awaitable[object]],
    *,
    results: Mapping[str, StepName] | None = None,
    secrets: str | None = None,
    deadline_seconds: float = 300.0,
) -> NodeCall:
    """Plan a call: ``call(node, lambda n, t: n.delay(t, 1.0))``.

    The call is made on a recording stub, so that mypy checks its arguments like those of any
    other call, and what would travel becomes part of the plan. See
    :class:`gantry.protocols.steps.NodeCall` for the other parameters.
    """
    coroutine = ask(_RECORDER, UNISSUED)
    if not inspect.iscoroutine(coroutine):
        raise BadCall("call", "the function must return the coroutine of one NodeD call")
    try:
        coroutine.send(None)
    except _Captured as captured:
        args = {name: value for name, value in captured.args_sent.items() if name != "ticket"}
        return NodeCall(node, captured.method, args, dict(results or {}), secrets, deadline_seconds)
    finally:
        coroutine.close()
    raise BadCall("call", "the function made no NodeD call")
