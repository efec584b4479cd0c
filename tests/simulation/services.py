"""The service manager of a simulated node: what systemd does for the daemons' units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.daemons.noded.master_services import MasterServices
from gantry.protocols.noded import StepFailed
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, EXIT_NOT_MASTER, StartRefused
from gantry.runtime.testing.life import Life
from gantry.runtime.testing.machine import Machine, Main, MemoryProcess

NODE_UNITS: Final = ("noded", "rconfd")
MASTER_UNITS: Final = ("wconfd", "forkserver", "luxid")

RESTART_SECONDS: Final = 1.0
"""``RestartSec`` of the units."""
START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 20.0
"""After this time a daemon that does not stop is killed, by itself or by systemd."""

NOTHING_TO_RESTART: Final = frozenset({EXIT_NOT_CLUSTER, EXIT_NOT_MASTER})


@define(eq=False)
class _Unit:
    name: str
    wanted: bool = False
    process: MemoryProcess | None = None
    change: trio.Event = field(factory=trio.Event)
    refusal: str = ""


@define(eq=False)
class Services:
    """Starts a machine's daemons, and starts them again when they die."""

    machine: Machine
    mains: Mapping[str, Callable[[MemoryProcess], Main]]
    say: Callable[[str, str], None]
    died: Callable[[MemoryProcess], None]
    """Told of every daemon that failed by itself."""
    nursery: trio.Nursery
    enabled: set[str] = field(factory=set)
    """What is started at boot."""
    _units: dict[str, _Unit] = field(factory=dict)
    _generation: int = 0

    def process(self, unit: str) -> MemoryProcess | None:
        """Return the running process of a unit."""
        found = self._units.get(unit)
        process = None if found is None else found.process
        return None if process is None or process.life.is_over else process

    def boot(self) -> None:
        """Start what is enabled."""
        self._generation += 1
        self._units.clear()
        for unit in (*NODE_UNITS, *MASTER_UNITS):
            if unit in self.enabled:
                self._want(unit)

    def lose_power(self) -> None:
        """Be gone with the machine."""
        self._generation += 1
        self._units.clear()

    def _want(self, name: str) -> _Unit:
        unit = self._units.setdefault(name, _Unit(name))
        if not unit.wanted:
            unit.wanted = True
            self.nursery.start_soon(self._keep, unit, self._generation)
        return unit

    async def _keep(self, unit: _Unit, generation: int) -> None:
        """Run a unit's process, again and again."""
        while unit.wanted and generation == self._generation:
            process = self.machine.prepare(unit.name)
            unit.process, unit.refusal = process, ""
            self.say(process.name, "starts")
            self.machine.begin(process, self.mains[unit.name](process))
            _tell(unit)
            await process.ended.wait()
            again = self._after(unit, process)
            _tell(unit)
            if not again:
                unit.wanted = False
                return
            await trio.sleep(RESTART_SECONDS)

    def _after(self, unit: _Unit, process: MemoryProcess) -> bool:
        """Say whether a process that ended is to be started again."""
        failure = process.failure
        self.say(process.name, f"{process.ending} {failure!r}" if failure else f"{process.ending}")
        if isinstance(failure, StartRefused):
            unit.refusal = str(failure)
            return failure.status not in NOTHING_TO_RESTART
        if failure is not None:
            self.died(process)
        return process.ending != "returned"

    async def start(self, *names: str) -> None:
        """Start units one after the other; returns when they are ready.

        Raises:
            StepFailed: one refuses.
        """
        self.enabled.update(names)
        for name in names:
            unit = self._want(name)
            with trio.move_on_after(START_SECONDS_MAX):
                await self._ready(unit)
            if unit.process is None or not unit.process.is_ready.is_set():
                raise StepFailed(f"{name} does not start on {self.machine.name}: {unit.refusal}")

    async def _ready(self, unit: _Unit) -> None:
        while unit.wanted:
            process, change = unit.process, unit.change
            if process is not None and process.is_ready.is_set():
                return
            async with trio.open_nursery() as nursery:

                async def one(event: trio.Event, scope: trio.CancelScope) -> None:
                    await event.wait()
                    scope.cancel()

                nursery.start_soon(one, change, nursery.cancel_scope)
                if process is not None:
                    nursery.start_soon(one, process.is_ready, nursery.cancel_scope)

    async def stop(self, *names: str) -> None:
        """Stop units, in this order; returns when they have ended."""
        self.enabled.difference_update(names)
        for name in names:
            unit = self._units.get(name)
            if unit is None:
                continue
            unit.wanted = False
            process = self.process(name)
            if process is not None:
                process.terminate()
                with trio.move_on_after(STOP_SECONDS_MAX):
                    await process.ended.wait()
                process.kill()
            self._units.pop(name, None)  # its power may have gone meanwhile


def _tell(unit: _Unit) -> None:
    unit.change.set()
    unit.change = trio.Event()


@frozen
class MasterUnits(MasterServices):
    """The service manager as NodeD sees it: what it began goes on if NodeD dies."""

    services: Services
    life: Life

    @override
    async def start(self) -> None:
        self.life.check()
        await self.services.start(*MASTER_UNITS)
        self.life.check()

    @override
    async def stop(self) -> None:
        self.life.check()
        await self.services.stop(*reversed(MASTER_UNITS))
        self.life.check()
