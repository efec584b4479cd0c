"""KVM: instances as QEMU processes that outlive NodeD, driven through their monitors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio
from attrs import evolve, frozen
from typing_extensions import override

from gantry.drivers.hypervisor.kvm import monitor, parameters
from gantry.drivers.hypervisor.kvm.machines import Machine, Machines
from gantry.drivers.hypervisor.kvm.migration import Sending, break_off, capabilities
from gantry.drivers.hypervisor.kvm.monitor import RunState
from gantry.drivers.hypervisor.kvm.planning import Planner
from gantry.drivers.hypervisor.kvm.probe import Prober
from gantry.drivers.hypervisor.kvm.record import KvmFiles, KvmRecord
from gantry.drivers.hypervisor.port import Hypervisor, OnProgress, no_progress
from gantry.drivers.hypervisor.qmp import Qmp, QmpError, QmpRefused, open_qmp
from gantry.drivers.network.taps import Taps
from gantry.protocols.noded import RebootKind
from gantry.protocols.parameters.kvm import KvmParameters
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
    MissingPart,
    NotRunning,
    SocketConsole,
    StopOutcome,
)
from gantry.runtime.environment import Environment

POWER_BUTTON_REPEAT_SECONDS: Final = 5.0
"""A guest that is still booting does not hear the first press."""

MONITOR_RETRY_SECONDS: Final = 1.0
"""Between two attempts to reach a monitor that did not answer."""

LIST_DEADLINE_SECONDS: Final = 2.0
"""For one machine's answer; one that does not answer counts as running: its process lives."""

FREE_PORT_ATTEMPTS: Final = 10

BREAK_OFF_DEADLINE_SECONDS: Final = 10.0
"""From the cancellation of a migration until the guest runs on here."""

_STATES: Final[dict[RunState, InstanceState]] = {
    "inmigrate": "incoming",
    "internal-error": "crashed",
    "guest-panicked": "crashed",
    "io-error": "paused",
    "paused": "paused",
    "postmigrate": "migrated",
    "prelaunch": "paused",
    "shutdown": "shutdown",
    "suspended": "paused",
    "watchdog": "paused",
}
"""QEMU's run states in which a guest does not run."""


@frozen
class KvmHypervisor(Hypervisor):
    """QEMU on one node."""

    environment: Environment
    address: str
    """The node's own address, on which incoming migrations are awaited."""

    @property
    def machines(self) -> Machines:
        """The QEMU processes."""
        files = KvmFiles(self.environment)
        return Machines(self.environment, files, Taps(self.environment))

    @property
    def planner(self) -> Planner:
        """Who decides how they are started."""
        files = KvmFiles(self.environment)
        return Planner(self.environment, files, Taps(self.environment), Prober(self.environment))

    @property
    @override
    def name(self) -> HypervisorName:
        return "kvm"

    # --- what is there -----------------------------------------------------------------------

    @override
    async def probe(self) -> HypervisorProbe:
        facts = await self.planner.facts(KvmParameters())
        if isinstance(facts, MissingPart):
            return HypervisorProbe("kvm", None, None, (facts,))
        return HypervisorProbe("kvm", facts.version, facts.acceleration, (), facts.note)

    @override
    async def list(self) -> tuple[InstanceRuntime, ...]:
        found = [await self.find(name) for name in await self.machines.files.names()]
        return tuple(runtime for runtime in found if runtime is not None)

    @override
    async def find(self, name: str) -> InstanceRuntime | None:
        found = await self.machines.find(name)
        match found:
            case None:
                return None
            case KvmRecord():
                return _runtime(found, "crashed", 0.0)
            case Machine():
                return _runtime(found.record, await self._state(found), found.cpu_seconds)

    async def _state(self, machine: Machine) -> InstanceState:
        path = self.machines.files.sockets(machine.record.spec.name).queries
        try:
            async with open_qmp(
                self.environment.network, path, deadline_seconds=LIST_DEADLINE_SECONDS
            ) as qmp:
                state = await monitor.query_status(qmp, deadline_seconds=LIST_DEADLINE_SECONDS)
        except QmpError:
            return "running"
        return _STATES.get(state, "running")

    # --- start and stop ----------------------------------------------------------------------

    @override
    async def start(self, spec: InstanceSpec, *, paused: bool = False) -> InstanceRuntime:
        existing = await self.find(spec.name)
        if existing is not None:
            if existing.uuid != spec.uuid:
                problem = f"another instance of that name runs here, {existing.uuid}"
                raise DriverFailed(f"instance {spec.name}", problem)
            if existing.state in ("running", "paused"):
                return existing
            if existing.state in ("incoming", "migrated"):
                problem = "a migration has not been finished; finish it first"
                raise DriverFailed(f"instance {spec.name}", problem)
            await self.stop(spec.name, timeout_seconds=0, force=True)
        record, launch = await self.planner.plan(spec, MigrationSource(), incoming=False)
        machine = await self.machines.launch(record, evolve(launch, paused=paused))
        return _runtime(machine.record, "paused" if paused else "running", 0.0)

    @override
    async def stop(self, name: str, *, timeout_seconds: float, force: bool = False) -> StopOutcome:
        found = await self.machines.find(name)
        match found:
            case None:
                return "absent"
            case KvmRecord():
                await self.machines.end(found)
                return "absent"
            case Machine():
                asked = not force and await self._power_off(found, timeout_seconds)
                await self.machines.end(found.record)
                return "powered-off" if asked else "ended"

    async def _power_off(self, machine: Machine, timeout_seconds: float) -> bool:
        """Press the power button until the guest powers off; whether it did."""
        path = self.machines.files.sockets(machine.record.spec.name).actions
        with trio.move_on_after(timeout_seconds):
            while True:
                try:
                    async with open_qmp(self.environment.network, path) as qmp:
                        if await monitor.query_status(qmp) != "running":
                            return False  # it would not hear the button
                        return await _press_power_button(qmp)
                except QmpError:  # it went while we were asking; or another holds the monitor
                    if await self.machines.gone(machine, MONITOR_RETRY_SECONDS):
                        return True
        return False

    @override
    async def reboot(
        self, spec: InstanceSpec, *, how: RebootKind, timeout_seconds: float
    ) -> InstanceRuntime:
        if how == "soft":
            machine = await self._running(spec.name)
            async with self._actions(machine) as qmp:
                await monitor.system_reset(qmp)
            return _runtime(machine.record, "running", machine.cpu_seconds)
        await self.stop(spec.name, timeout_seconds=timeout_seconds)
        return await self.start(spec)

    @override
    async def cleanup(self, name: str) -> None:
        found = await self.machines.find(name)
        if isinstance(found, KvmRecord):
            await self.machines.end(found)

    @override
    async def console(self, name: str) -> ConsoleAccess:
        found = await self.machines.find(name)
        if not isinstance(found, Machine):
            return MessageConsole(f"instance {name} does not run; start it first")
        if not parameters.parse(found.record.spec.hvparams).serial_console:
            return MessageConsole(f"instance {name} has no serial console (serial_console=False)")
        socket = self.machines.files.sockets(name).serial
        return SocketConsole(self.environment.node, str(socket))

    # --- migration ---------------------------------------------------------------------------

    @override
    async def migration_source(self, name: str) -> MigrationSource:
        machine = await self._running(name)
        paused = await self._state(machine) == "paused"
        return MigrationSource(machine.record.machine, machine.record.acceleration, paused)

    @override
    async def accept(
        self, spec: InstanceSpec, source: MigrationSource | None = None
    ) -> MigrationTarget:
        source = source or MigrationSource()
        found = await self.machines.find(spec.name)
        if isinstance(found, Machine):
            uri = found.record.incoming_uri
            if uri is not None and await self._state(found) == "incoming":
                return MigrationTarget(uri)
            problem = f"it already runs on node {self.environment.node}"
            raise DriverFailed(f"instance {spec.name}", problem)
        if found is not None:
            await self.machines.end(found)
        record, launch = await self.planner.plan(spec, source, incoming=True)
        record = evolve(record, runs_afterwards=not source.paused)
        machine = await self.machines.launch(record, launch)
        try:
            uri = await self._await_incoming(machine, launch.parameters)
            await self.machines.files.store(evolve(machine.record, incoming_uri=uri))
        except BaseException:
            with trio.CancelScope(shield=True):  # bounded by the deadlines of quitting and killing
                await self.machines.end(machine.record)
            raise
        return MigrationTarget(uri)

    async def _await_incoming(self, machine: Machine, p: KvmParameters) -> str:
        """Make a process listen: on the configured port, or else on free ones."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        problem = ""
        async with self._actions(machine) as qmp:
            await monitor.set_migration_capabilities(qmp, capabilities(p))
            for attempt in range(FREE_PORT_ATTEMPTS):
                port = p.migration_port if attempt == 0 else await self._free_port()
                uri = f"tcp:{address}:{port}"
                try:
                    await monitor.migrate_incoming(qmp, uri)
                except QmpRefused as error:
                    problem = str(error)
                else:
                    return uri
        raise DriverFailed(f"instance {machine.record.spec.name}", problem)

    async def _free_port(self) -> int:
        """Return a port that nobody uses now; another may take it before QEMU does."""
        network = self.environment.network
        listener = await network.listen_tcp(self.address, 0)
        async with listener:
            return network.port_of(listener)

    @override
    async def migrate(
        self,
        spec: InstanceSpec,
        target: MigrationTarget,
        *,
        live: bool,
        progress: OnProgress = no_progress,
    ) -> MigrationReport:
        machine, p = await self._running(spec.name), parameters.parse(spec.hvparams)
        try:
            async with self._actions(machine) as qmp:
                state = await monitor.query_status(qmp)
                if state != "postmigrate" and not (await monitor.query_migrate(qmp)).under_way:
                    record = evolve(machine.record, runs_afterwards=state == "running")
                    await self.machines.files.store(record)
                return await Sending(qmp, p, progress).run(target.uri, live=live)
        except trio.Cancelled:
            # on a connection of its own: the other one's reader was cancelled too
            with trio.move_on_after(BREAK_OFF_DEADLINE_SECONDS, shield=True):
                await self._break_off(spec.name)
            raise

    async def _break_off(self, name: str) -> None:
        """Keep an instance here that was being sent away; it may have ended meanwhile."""
        found = await self.machines.find(name)
        if isinstance(found, Machine):
            with suppress(DriverFailed):
                async with self._actions(found) as qmp:
                    await break_off(qmp, cont=found.record.runs_afterwards)

    @override
    async def finish_source(self, spec: InstanceSpec, *, success: bool) -> None:
        found = await self.machines.find(spec.name)
        if success:
            if found is not None:
                record = found.record if isinstance(found, Machine) else found
                await self.machines.end(record)
            return
        if isinstance(found, Machine):
            async with self._actions(found) as qmp:
                await break_off(qmp, cont=False)
                if found.record.runs_afterwards:
                    await monitor.cont(qmp)

    @override
    async def finish_target(self, spec: InstanceSpec, *, success: bool) -> None:
        found = await self.machines.find(spec.name)
        if not success:
            await self._turn_away(found)
            return
        if not isinstance(found, Machine):
            raise NotRunning(spec.name, "gone" if found is None else "crashed")
        async with self._actions(found) as qmp:
            state = await monitor.query_status(qmp)
            if state == "inmigrate":
                raise NotRunning(spec.name, "still arriving")
            if state != "running" and found.record.runs_afterwards:
                await monitor.cont(qmp)
        await self.machines.files.store(evolve(found.record, incoming_uri=None))

    async def _turn_away(self, found: Machine | KvmRecord | None) -> None:
        """End what was to receive an instance; one that just runs here is left alone."""
        match found:
            case None:
                return
            case KvmRecord():
                await self.machines.end(found)
            case Machine():
                arriving = found.record.incoming_uri is not None
                if arriving or await self._state(found) == "incoming":
                    await self.machines.end(found.record)

    # --- shared ------------------------------------------------------------------------------

    async def _running(self, name: str) -> Machine:
        found = await self.machines.find(name)
        if isinstance(found, Machine):
            return found
        raise NotRunning(name, "stopped" if found is None else "crashed")

    @asynccontextmanager
    async def _actions(self, machine: Machine) -> AsyncIterator[Qmp]:
        """Hold a machine's monitor; what goes wrong there is the instance's failure."""
        name = machine.record.spec.name
        path = self.machines.files.sockets(name).actions
        try:
            async with open_qmp(self.environment.network, path) as qmp:
                yield qmp
        except QmpError as error:
            raise DriverFailed(f"instance {name}", str(error)) from error


async def _press_power_button(qmp: Qmp) -> bool:
    async with qmp.events() as events:
        while True:
            await monitor.system_powerdown(qmp)
            with trio.move_on_after(POWER_BUTTON_REPEAT_SECONDS):
                async for event in events:
                    if event.name == "SHUTDOWN":
                        return True
                return True  # the process ended


def _runtime(record: KvmRecord, state: InstanceState, cpu_seconds: float) -> InstanceRuntime:
    spec, ended = record.spec, state in ("crashed", "shutdown")
    return InstanceRuntime(
        name=spec.name,
        uuid=spec.uuid,
        hypervisor="kvm",
        state=state,
        memory_mib=spec.maxmem_mib,
        vcpus=spec.vcpus,
        cpu_seconds=cpu_seconds,
        started_at=None if ended else record.launched_at,
    )
