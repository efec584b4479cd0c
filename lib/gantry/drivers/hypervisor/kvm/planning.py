"""Decide how an instance's QEMU process is started: looks at the node, changes nothing."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve, frozen

from gantry.drivers.hypervisor.kvm import parameters
from gantry.drivers.hypervisor.kvm.command import Launch
from gantry.drivers.hypervisor.kvm.probe import QEMU, QEMU_PART, MachineFacts, Prober
from gantry.drivers.hypervisor.kvm.record import KvmFiles, KvmRecord
from gantry.drivers.network.taps import Taps
from gantry.protocols.parameters.kvm import KvmParameters
from gantry.protocols.runtime_types import (
    DriverFailed,
    InstanceSpec,
    MachineLacks,
    MigrationSource,
    MissingPart,
)
from gantry.runtime.environment import Environment


@frozen
class Planner:
    """Plans the QEMU processes of one node."""

    environment: Environment
    files: KvmFiles
    taps: Taps
    prober: Prober

    async def facts(self, p: KvmParameters) -> MachineFacts | MissingPart:
        """Return what the machine offers, or what it lacks."""
        find = self.environment.processes.find
        program = find(p.kvm_path) or find(QEMU)
        return QEMU_PART if program is None else await self.prober.facts(program)

    async def plan(
        self, spec: InstanceSpec, source: MigrationSource, *, incoming: bool
    ) -> tuple[KvmRecord, Launch]:
        """Decide how a process is to be started.

        Raises:
            MachineLacks: QEMU is not usable here.
            DriverFailed: a parameter is wrong, or a file that it needs is missing.
        """
        p, files = parameters.parse(spec.hvparams), self.files
        facts = await self.facts(p)
        if isinstance(facts, MissingPart):
            raise MachineLacks("hypervisor kvm", (facts,))
        acceleration = source.acceleration or facts.acceleration
        machine = source.machine or p.machine_version or facts.machine
        nics = await self.taps.plan(spec)
        launch = Launch(
            program=Path(facts.program),
            spec=spec,
            parameters=p,
            acceleration=acceleration,
            machine=machine,
            disks=tuple([await self._disk(spec, disk.path) for disk in spec.disks]),
            nics=nics,
            kernel=await self._file(spec, "kernel_path", p.kernel_path),
            initrd=await self._file(spec, "initrd_path", p.initrd_path),
            cdrom=await self._file(spec, "cdrom_image_path", p.cdrom_image_path),
            sockets=files.sockets(spec.name),
            pid_file=files.pid_file(spec.name),
            serial_log=files.serial_log(spec.name),
            incoming=incoming,
        )
        public = evolve(spec, osparams={})  # they may be private, and are of no use here
        now = self.environment.clock.now()
        return KvmRecord(public, machine, acceleration, nics, now, None), launch

    async def _disk(self, spec: InstanceSpec, path: str) -> Path:
        disk = self.environment.paths.below(path)
        if not await self.environment.files.exists(disk):
            raise DriverFailed(f"instance {spec.name}", f"its disk {disk} does not exist")
        return disk

    async def _file(self, spec: InstanceSpec, parameter: str, path: str) -> Path | None:
        """Find a file of the node: below its root, else the machine's own."""
        if not path:
            return None
        for candidate in (self.environment.paths.below(path), Path(path)):
            if await self.environment.files.exists(candidate):
                return candidate
        problem = f"its {parameter} {path} does not exist on node {self.environment.node}"
        raise DriverFailed(f"instance {spec.name}", problem)
