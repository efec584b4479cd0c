"""Instances on this node, through the hypervisors that have a driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from gantry.drivers.hypervisor.fake import FakeHypervisor
from gantry.drivers.hypervisor.kvm.driver import KvmHypervisor
from gantry.drivers.hypervisor.port import Hypervisor, OnProgress, no_progress
from gantry.protocols.noded import Missing, RebootKind
from gantry.protocols.runtime_types import (
    ConsoleAccess,
    InstanceRuntime,
    InstanceSpec,
    MigrationReport,
    MigrationSource,
    MigrationTarget,
)
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log

LOG = Log("noded.guests")


@frozen
class Guests:
    """The instances of one node. What runs is found on the machine, never remembered."""

    hypervisors: Mapping[str, Hypervisor]

    @classmethod
    def of(cls, env: Environment, address: str) -> Guests:
        """Return the guests of a node with this address."""
        return cls({"fake": FakeHypervisor(env), "kvm": KvmHypervisor(env, address)})

    def hypervisor(self, name: str) -> Hypervisor:
        """Find a hypervisor's driver.

        Raises:
            Missing: there is none.
        """
        try:
            return self.hypervisors[name]
        except KeyError:
            known = ", ".join(sorted(self.hypervisors))
            raise Missing(
                f"this node has no driver for hypervisor {name}; it has: {known}"
            ) from None

    async def list(self, hypervisors: tuple[str, ...]) -> tuple[InstanceRuntime, ...]:
        """Return what runs under some hypervisors."""
        found: list[InstanceRuntime] = []
        for name in hypervisors:
            found += await self.hypervisor(name).list()
        return tuple(found)

    async def find(self, hypervisor: str, name: str) -> InstanceRuntime | None:
        """Return one instance, or ``None`` if there is nothing of it here."""
        return await self.hypervisor(hypervisor).find(name)

    async def versions(self, hypervisors: tuple[str, ...]) -> dict[str, str]:
        """Return the versions of the hypervisors that are usable here."""
        versions: dict[str, str] = {}
        for name in hypervisors:
            probe = await self.hypervisor(name).probe()
            if probe.usable:
                versions[name] = probe.version or ""
        return versions

    async def problems(self, hypervisors: tuple[str, ...]) -> dict[str, str]:
        """Return why hypervisors are not usable here."""
        problems: dict[str, str] = {}
        for name in hypervisors:
            probe = await self.hypervisor(name).probe()
            if not probe.usable:
                problems[name] = ", ".join(
                    part.what + (f" (apt install {part.package})" if part.package else "")
                    for part in probe.missing
                )
        return problems

    async def console(self, spec: InstanceSpec) -> ConsoleAccess:
        """Say how an instance's console is reached."""
        return await self.hypervisor(spec.hypervisor).console(spec.name)

    async def start(self, spec: InstanceSpec, *, paused: bool) -> InstanceRuntime:
        """Start an instance."""
        return await self.hypervisor(spec.hypervisor).start(spec, paused=paused)

    async def stop(self, spec: InstanceSpec, *, force: bool, timeout_seconds: float) -> None:
        """Stop an instance."""
        hypervisor = self.hypervisor(spec.hypervisor)
        outcome = await hypervisor.stop(spec.name, timeout_seconds=timeout_seconds, force=force)
        LOG.info("stopped", instance=spec.name, outcome=outcome)

    async def reboot(self, spec: InstanceSpec, how: RebootKind, timeout_seconds: float) -> None:
        """Reboot an instance."""
        hypervisor = self.hypervisor(spec.hypervisor)
        await hypervisor.reboot(spec, how=how, timeout_seconds=timeout_seconds)

    async def migration_source(self, spec: InstanceSpec) -> MigrationSource:
        """Say what a migration's target must copy."""
        return await self.hypervisor(spec.hypervisor).migration_source(spec.name)

    async def accept(self, spec: InstanceSpec, source: MigrationSource) -> MigrationTarget:
        """Wait for an incoming instance."""
        return await self.hypervisor(spec.hypervisor).accept(spec, source)

    async def migrate(
        self,
        spec: InstanceSpec,
        target: MigrationTarget,
        *,
        live: bool,
        progress: OnProgress = no_progress,
    ) -> MigrationReport:
        """Send an instance away."""
        hypervisor = self.hypervisor(spec.hypervisor)
        return await hypervisor.migrate(spec, target, live=live, progress=progress)

    async def finish(
        self, spec: InstanceSpec, role: Literal["source", "target"], *, success: bool
    ) -> None:
        """End one side of a migration."""
        hypervisor = self.hypervisor(spec.hypervisor)
        if role == "source":
            await hypervisor.finish_source(spec, success=success)
        else:
            await hypervisor.finish_target(spec, success=success)
