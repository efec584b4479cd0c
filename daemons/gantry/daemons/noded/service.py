"""The NodeD protocol on one node: each call reaches the part of the node that it is about.

Errors of drivers become the protocol's own (:mod:`gantry.daemons.noded.failures`); changing calls
go through their keys (:mod:`gantry.daemons.noded.calls`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version as installed_version
from typing import Final, Literal, TypeVar

import trio
from attrs import define, field
from typing_extensions import override

from gantry.daemons.noded.access import Access
from gantry.daemons.noded.calls import KeyedCalls
from gantry.daemons.noded.checking import Checking
from gantry.daemons.noded.cluster_files import ClusterFiles
from gantry.daemons.noded.disks import Disks
from gantry.daemons.noded.failures import as_failure
from gantry.daemons.noded.guests import Guests
from gantry.daemons.noded.machine import Machine
from gantry.daemons.noded.replicas import ReplicaService
from gantry.drivers.scripts.hooks import Hooks
from gantry.drivers.scripts.os_scripts import OsScripts
from gantry.drivers.scripts.restricted import RestrictedCommands
from gantry.protocols.errors import StaleEpoch
from gantry.protocols.identity import Epoch, JobId, Key, NodeUuid, Ticket
from gantry.protocols.job_course import StepProgress
from gantry.protocols.noded import (
    NODED,
    Check,
    CheckReport,
    HookPhase,
    InstanceHere,
    MasterAddress,
    Membership,
    NodeD,
    NodeInfo,
    NodeVersion,
    ProgressReport,
    RebootKind,
    StepFailed,
)
from gantry.protocols.runtime_types import (
    ConsoleAccess,
    DiskSpec,
    HookResult,
    InstanceRuntime,
    InstanceSpec,
    MigrationProgress,
    MigrationReport,
    MigrationSource,
    MigrationTarget,
    OsDefinition,
)
from gantry.runtime.environment import Environment
from gantry.runtime.membership import forget_cluster

T = TypeVar("T")

FILE_STORAGE_KEY: Final = "file_storage_dir"
MASTER_KEY: Final = "master_node"

EXPORTS_FOLDER: Final = "/srv/ganeti/export"
"""Where exports of instances are kept, one folder each (Ganeti's EXPORT_DIR)."""

DELAY_REPORT_SECONDS: Final = 1.0
"""Between two reports of how long a delay has lasted."""


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    """Let a reading call fail only as the protocol says."""
    try:
        yield
    except StaleEpoch:
        raise
    except Exception as error:
        raise as_failure(error) from error


@define
class NodeService(NodeD):
    """One node of the cluster."""

    _env: Environment
    _access: Access
    _calls: KeyedCalls
    _guests: Guests
    _disks: Disks
    _os: OsScripts
    _hooks: Hooks
    _restricted: RestrictedCommands
    _files: ClusterFiles
    _checking: Checking
    _replicas: ReplicaService
    left: trio.Event = field(factory=trio.Event, init=False)
    """Set when the node has left the cluster, and NodeD is to end."""

    async def _change(self, ticket: Ticket, result: type[T], act: Callable[[], Awaitable[T]]) -> T:
        return await self._calls.do(ticket, result, act)

    # --- reading -----------------------------------------------------------------------------

    @override
    async def version(self) -> NodeVersion:
        await trio.lowlevel.checkpoint()
        return NodeVersion(
            node=self._env.node,
            uuid=NodeUuid(self._access.own.common_name),
            release=installed_version("gantry"),
            protocol_versions=NODED.versions,
            epoch=self._calls.epoch,
            certificate_digest=self._access.own.sha1,
        )

    @override
    async def membership(self, node: NodeUuid) -> Membership:
        async with _told():
            told = await self._files.told()
            digest = (self._access.candidates or {}).get(node)
            return Membership(node in told.nodes, told.epoch, told.serial, digest)

    @override
    async def info(self, hypervisors: tuple[str, ...]) -> NodeInfo:
        async with _told():
            machine = Machine(self._env)
            cpus, numa_nodes, sockets = await machine.processors()
            memory, free = await machine.memory_mib()
            used = sum(each.memory_mib for each in await self._guests.list(hypervisors))
            storage = await self._files.ssconf(FILE_STORAGE_KEY) or "/"
            disk, disk_free = await machine.space_mib(self._env.paths.below(storage))
            return NodeInfo(
                boot_id=await machine.boot_id(),
                cpu_total=cpus,
                cpu_nodes=numa_nodes,
                cpu_sockets=sockets,
                memory_total=memory,
                memory_free=free,
                memory_dom0=max(0, memory - free - used),
                disk_total=disk,
                disk_free=disk_free,
                hypervisor_versions=await self._guests.versions(hypervisors),
            )

    @override
    async def instances(self, hypervisors: tuple[str, ...]) -> tuple[InstanceRuntime, ...]:
        async with _told():
            return await self._guests.list(hypervisors)

    @override
    async def instance(self, hypervisor: str, name: str) -> InstanceHere:
        async with _told():
            runtime = await self._guests.find(hypervisor, name)
            _, free = await Machine(self._env).memory_mib()
            return InstanceHere(runtime, free)

    @override
    async def verify(self, check: Check) -> CheckReport:
        async with _told():
            return await self._checking.report(check)

    @override
    async def os_definitions(self) -> tuple[OsDefinition, ...]:
        async with _told():
            return await self._os.definitions.diagnose()

    @override
    async def exports(self) -> tuple[str, ...]:
        async with _told():
            names = await self._env.files.list(self._env.paths.below(EXPORTS_FOLDER))
            return tuple(sorted(name for name in names if not name.startswith(".")))

    @override
    async def console(self, instance: InstanceSpec) -> ConsoleAccess:
        async with _told():
            return await self._guests.console(instance)

    @override
    async def migration_source(self, instance: InstanceSpec) -> MigrationSource:
        async with _told():
            return await self._guests.migration_source(instance)

    @override
    async def disk_exists(self, instance: str, disk: DiskSpec) -> bool:
        async with _told():
            return await self._disks.exists(disk)

    # --- disks and operating systems ---------------------------------------------------------

    @override
    async def create_disk(self, ticket: Ticket, instance: str, disk: DiskSpec) -> None:
        await self._change(ticket, type(None), lambda: self._disks.create(disk, again=ticket.redo))

    @override
    async def remove_disk(self, ticket: Ticket, instance: str, disk: DiskSpec) -> None:
        await self._change(ticket, type(None), lambda: self._disks.remove(disk))

    @override
    async def rename_disk(
        self, ticket: Ticket, instance: str, disk: DiskSpec, new_instance: str, new_disk: DiskSpec
    ) -> None:
        await self._change(ticket, type(None), lambda: self._disks.rename(disk, new_disk))

    @override
    async def create_os(
        self,
        ticket: Ticket,
        instance: InstanceSpec,
        reinstall: bool,
        secrets: Mapping[str, str],
    ) -> None:
        async def create() -> None:
            if ticket.redo:
                await self._disks.wipe(instance)
            disks = self._disks.paths(instance)
            await self._os.create(instance, disks, reinstall=reinstall, secrets=secrets)

        await self._change(ticket, type(None), create)

    @override
    async def rename_os(self, ticket: Ticket, instance: InstanceSpec, old_name: str) -> None:
        async def rename() -> None:
            await self._os.rename(instance, self._disks.paths(instance), old_name)

        await self._change(ticket, type(None), rename)

    @override
    async def run_hooks(
        self, ticket: Ticket, path: str, phase: HookPhase, environment: Mapping[str, str]
    ) -> tuple[HookResult, ...]:
        async with _told():
            found = await self._hooks.found(path, phase)
        if not found and self._calls.needs_no_record(ticket):
            return ()
        return await self._change(
            ticket,
            tuple[HookResult, ...],
            lambda: self._hooks.run(path, phase, environment),
        )

    @override
    async def run_restricted(self, ticket: Ticket, command: str) -> tuple[bool, str]:
        return await self._change(ticket, tuple[bool, str], lambda: self._restricted.run(command))

    # --- instances ---------------------------------------------------------------------------

    @override
    async def start_instance(
        self, ticket: Ticket, instance: InstanceSpec, paused: bool
    ) -> InstanceRuntime:
        return await self._change(
            ticket, InstanceRuntime, lambda: self._guests.start(instance, paused=paused)
        )

    @override
    async def stop_instance(
        self, ticket: Ticket, instance: InstanceSpec, force: bool, timeout_seconds: float
    ) -> None:
        await self._change(
            ticket,
            type(None),
            lambda: self._guests.stop(instance, force=force, timeout_seconds=timeout_seconds),
        )

    @override
    async def reboot_instance(
        self, ticket: Ticket, instance: InstanceSpec, how: RebootKind, timeout_seconds: float
    ) -> None:
        await self._change(
            ticket, type(None), lambda: self._guests.reboot(instance, how, timeout_seconds)
        )

    @override
    async def accept_migration(
        self, ticket: Ticket, instance: InstanceSpec, source: MigrationSource, live: bool
    ) -> MigrationTarget:
        return await self._change(
            ticket, MigrationTarget, lambda: self._guests.accept(instance, source)
        )

    @override
    async def migrate_instance(
        self, ticket: Ticket, instance: InstanceSpec, target: MigrationTarget, live: bool
    ) -> MigrationReport:
        def tell(so_far: MigrationProgress) -> None:
            done, total = float(so_far.transferred_bytes), float(so_far.total_bytes)
            note = f"{so_far.status}, {so_far.remaining_bytes} bytes left"
            self._calls.report(ticket.key, StepProgress(done, total, "bytes", note))

        return await self._change(
            ticket,
            MigrationReport,
            lambda: self._guests.migrate(instance, target, live=live, progress=tell),
        )

    @override
    async def finish_migration(
        self,
        ticket: Ticket,
        instance: InstanceSpec,
        role: Literal["source", "target"],
        success: bool,
    ) -> None:
        await self._change(
            ticket, type(None), lambda: self._guests.finish(instance, role, success=success)
        )

    # --- the node itself ---------------------------------------------------------------------

    @override
    async def delay(self, ticket: Ticket, seconds: float) -> None:
        async def wait() -> None:
            end = trio.current_time() + seconds
            while (now := trio.current_time()) < end:
                gone = max(0.0, seconds - (end - now))
                self._calls.report(ticket.key, StepProgress(gone, seconds, "seconds"))
                await trio.sleep_until(min(end, now + DELAY_REPORT_SECONDS))

        await self._change(ticket, type(None), wait)

    @override
    async def progress(self, key: Key, after: int) -> ProgressReport | None:
        async with _told():
            return await self._calls.progress(key, after)

    @override
    async def abandon(self, ticket: Ticket) -> None:
        await self._calls.abandon(ticket)

    @override
    async def activate_master_ip(self, ticket: Ticket, address: MasterAddress) -> None:
        await self._change(ticket, type(None), lambda: self._replicas.address.bring_up(address))

    @override
    async def deactivate_master_ip(self, ticket: Ticket, address: MasterAddress) -> None:
        await self._change(ticket, type(None), lambda: self._replicas.address.take_down(address))

    @override
    async def leave_cluster(self, ticket: Ticket) -> None:
        await self._change(ticket, type(None), self._leave)
        self.left.set()

    async def _leave(self) -> None:
        if await self._files.ssconf(MASTER_KEY) == self._env.node:
            raise StepFailed(f"{self._env.node} is the master; only the others can leave a cluster")
        await forget_cluster(self._env.files, self._env.paths)

    @override
    async def store_ssconf(
        self, epoch: Epoch, serial: int, nodes: frozenset[NodeUuid], values: Mapping[str, str]
    ) -> None:
        async with _told():
            await self._calls.see_epoch(epoch)
            await self._files.store_ssconf(epoch, serial, nodes, values)
            await self._access.refresh(self._env.files, self._env.paths)
            await self._replicas.retire()

    @override
    async def forget_keys(self, jobs: tuple[JobId, ...]) -> None:
        async with _told():
            await self._calls.forget(frozenset(jobs))
