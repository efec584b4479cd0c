"""The fake hypervisor: an instance is a file. For tests, demonstrations and large clusters.

It keeps every rule of the port, states and idempotence included; only nothing runs. The files are
``var/run/ganeti/fake-hypervisor/NAME``, one JSON object each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from attrs import evolve, frozen
from typing_extensions import override

from gantry.drivers.hypervisor.names import file_name, is_file_name
from gantry.drivers.hypervisor.port import Hypervisor, OnProgress, no_progress
from gantry.protocols import codec
from gantry.protocols.identity import InstanceUuid
from gantry.protocols.noded import RebootKind
from gantry.protocols.runtime_types import (
    ConsoleAccess,
    DriverFailed,
    HypervisorName,
    HypervisorProbe,
    InstanceRuntime,
    InstanceSpec,
    InstanceState,
    MessageConsole,
    MigrationReport,
    MigrationSource,
    MigrationTarget,
    NotRunning,
    StopOutcome,
)
from gantry.runtime.environment import Environment

VERSION: Final = "1"
TARGET: Final = MigrationTarget("fake:")


@frozen
class FakeInstance:
    """What the file of an instance says."""

    name: str
    uuid: InstanceUuid
    memory_mib: int
    vcpus: int
    state: InstanceState
    started_at: float
    paused: bool = False
    """For an incoming instance: whether it stays paused."""


@frozen
class FakeHypervisor(Hypervisor):
    """Instances that do not run, on one node."""

    environment: Environment

    @property
    @override
    def name(self) -> HypervisorName:
        return "fake"

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.environment.paths.run / "fake-hypervisor"

    def _file(self, instance: str) -> Path:
        return self.folder / file_name(instance)

    async def _load(self, instance: str) -> FakeInstance | None:
        path = self._file(instance)
        try:
            data = await self.environment.files.read(path)
        except FileNotFoundError:
            return None
        try:
            return codec.load(FakeInstance, codec.from_bytes(data))
        except codec.Malformed as error:
            raise DriverFailed(f"file {path}", str(error)) from None

    async def _store(self, instance: FakeInstance) -> None:
        data, files = codec.to_bytes(codec.dump(instance)), self.environment.files
        try:
            await files.write(self._file(instance.name), data)
        except FileNotFoundError:  # the first instance of this boot
            await files.make_folder(self.folder)
            await files.write(self._file(instance.name), data)

    async def _remove(self, name: str) -> None:
        await self.environment.files.remove(self._file(name))

    @override
    async def probe(self) -> HypervisorProbe:
        return HypervisorProbe("fake", VERSION, None)

    @override
    async def list(self) -> tuple[InstanceRuntime, ...]:
        names = await self.environment.files.list(self.folder)
        found = [await self.find(name) for name in names if is_file_name(name)]
        return tuple(runtime for runtime in found if runtime is not None)

    @override
    async def find(self, name: str) -> InstanceRuntime | None:
        found = await self._load(name)
        return None if found is None else _runtime(found)

    @override
    async def start(self, spec: InstanceSpec, *, paused: bool = False) -> InstanceRuntime:
        existing = await self._load(spec.name)
        if existing is None:
            existing = self._new(spec, "paused" if paused else "running")
            await self._store(existing)
        elif existing.uuid != spec.uuid:
            problem = f"another instance of that name runs here, {existing.uuid}"
            raise DriverFailed(f"instance {spec.name}", problem)
        elif existing.state not in ("running", "paused"):
            problem = "a migration has not been finished; finish it first"
            raise DriverFailed(f"instance {spec.name}", problem)
        return _runtime(existing)

    def _new(self, spec: InstanceSpec, state: InstanceState) -> FakeInstance:
        now = self.environment.clock.now()
        return FakeInstance(spec.name, spec.uuid, spec.maxmem_mib, spec.vcpus, state, now)

    @override
    async def stop(self, name: str, *, timeout_seconds: float, force: bool = False) -> StopOutcome:
        if await self._load(name) is None:
            return "absent"
        await self._remove(name)
        return "ended" if force else "powered-off"

    @override
    async def reboot(
        self, spec: InstanceSpec, *, how: RebootKind, timeout_seconds: float
    ) -> InstanceRuntime:
        if how == "soft":
            return _runtime(await self._running(spec.name))
        await self.stop(spec.name, timeout_seconds=timeout_seconds)
        return await self.start(spec)

    @override
    async def migration_source(self, name: str) -> MigrationSource:
        found = await self._running(name)
        return MigrationSource(paused=found.state == "paused")

    @override
    async def accept(
        self, spec: InstanceSpec, source: MigrationSource | None = None
    ) -> MigrationTarget:
        existing = await self._load(spec.name)
        if existing is not None and existing.state != "incoming":
            problem = f"it already runs on node {self.environment.node}"
            raise DriverFailed(f"instance {spec.name}", problem)
        paused = source is not None and source.paused
        await self._store(evolve(self._new(spec, "incoming"), paused=paused))
        return TARGET

    @override
    async def migrate(
        self,
        spec: InstanceSpec,
        target: MigrationTarget,
        *,
        live: bool,
        progress: OnProgress = no_progress,
    ) -> MigrationReport:
        if target != TARGET:
            problem = f"{target.uri} is no place for a fake instance"
            raise DriverFailed(f"instance {spec.name}", problem)
        found = await self._load(spec.name)
        if found is None or found.state not in ("running", "paused", "migrated"):
            raise NotRunning(spec.name, "stopped" if found is None else found.state)
        if found.state != "migrated":
            await self._store(evolve(found, state="migrated", paused=found.state == "paused"))
        return MigrationReport("completed", total_ms=0, downtime_ms=0, transferred_bytes=0)

    @override
    async def finish_source(self, spec: InstanceSpec, *, success: bool) -> None:
        found = await self._load(spec.name)
        if found is None or found.state != "migrated":
            return
        if success:
            await self._remove(spec.name)
        else:
            await self._store(evolve(found, state="paused" if found.paused else "running"))

    @override
    async def finish_target(self, spec: InstanceSpec, *, success: bool) -> None:
        found = await self._load(spec.name)
        if not success:
            if found is not None and found.state == "incoming":
                await self._remove(spec.name)
        elif found is None:
            raise NotRunning(spec.name, "gone")
        elif found.state == "incoming":
            await self._store(evolve(found, state="paused" if found.paused else "running"))

    @override
    async def console(self, name: str) -> ConsoleAccess:
        return MessageConsole(f"instance {name} is fake: it has no console")

    @override
    async def cleanup(self, name: str) -> None:
        """Nothing is ever left."""

    async def _running(self, name: str) -> FakeInstance:
        found = await self._load(name)
        if found is None or found.state not in ("running", "paused"):
            raise NotRunning(name, "stopped" if found is None else found.state)
        return found


def _runtime(instance: FakeInstance) -> InstanceRuntime:
    return InstanceRuntime(
        name=instance.name,
        uuid=instance.uuid,
        hypervisor="fake",
        state=instance.state,
        memory_mib=instance.memory_mib,
        vcpus=instance.vcpus,
        cpu_seconds=0.0,
        started_at=instance.started_at,
    )
