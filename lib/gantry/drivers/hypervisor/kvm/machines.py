"""Start, find and end QEMU processes.

A process is found again after a restart of NodeD by its record, the pid file that QEMU itself
writes, and the process's start time; where the start time was not seen yet, by the UUID that its
monitor tells.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio
from attrs import evolve, frozen

from gantry.drivers.file_sizes import size_bytes
from gantry.drivers.hypervisor.kvm import monitor
from gantry.drivers.hypervisor.kvm.command import Launch, command_line
from gantry.drivers.hypervisor.kvm.processes import TICKS_PER_SECOND, process_times
from gantry.drivers.hypervisor.kvm.record import KvmFiles, KvmRecord
from gantry.drivers.hypervisor.qmp import QmpError, open_qmp
from gantry.drivers.network.taps import Taps
from gantry.protocols.runtime_types import DriverFailed
from gantry.runtime.environment import Environment

START_DEADLINE_SECONDS: Final = 30.0
"""Until a new process's monitor answers; a tenth of a second on an idle machine."""

QUIT_DEADLINE_SECONDS: Final = 10.0
"""From the command to quit until the process is gone; then it is killed."""

KILL_DEADLINE_SECONDS: Final = 10.0
"""From SIGKILL until the process is gone; longer only if the kernel is stuck on its storage."""

LOOK_AGAIN_SECONDS: Final = 0.02
"""There is no event for a process that is not our child."""

LOG_LINES: Final = 5
LOG_BYTES_MAX: Final = 64 * 1024
"""Of what QEMU has written since its start."""
SERIAL_LOG_BYTES_MAX: Final = 16 * 1024 * 1024
"""At its next start, an instance's serial log that is longer moves aside, replacing the last."""


@frozen
class Machine:
    """A living QEMU process."""

    record: KvmRecord
    pid: int
    cpu_seconds: float


@frozen
class Machines:
    """The QEMU processes of one node."""

    environment: Environment
    files: KvmFiles
    taps: Taps

    async def find(self, instance: str) -> Machine | KvmRecord | None:
        """Return an instance's living process, or what is known of one that ended, or nothing."""
        record = await self.files.load(instance)
        if record is None:
            return None
        pid = await self._pid(instance)
        times = None if pid is None else await process_times(self.environment.files, pid)
        if pid is None or times is None:
            return record
        if record.start_ticks is None:
            if not await self._answers(record):
                return record
            record = evolve(record, start_ticks=times.start_ticks)
            with suppress(
                OSError
            ):  # it is asked again; a full disk keeps no guest from being ended
                await self.files.store(record)
        if record.start_ticks != times.start_ticks:  # the pid was given to another process
            return record
        return Machine(record, pid, times.cpu_ticks / TICKS_PER_SECOND)

    async def _pid(self, instance: str) -> int | None:
        try:
            text = await self.environment.files.read(self.files.pid_file(instance))
        except FileNotFoundError:
            return None
        return int(text) if text.strip().isdigit() else None

    async def _answers(self, record: KvmRecord) -> bool:
        path = self.files.sockets(record.spec.name).queries
        try:
            async with open_qmp(self.environment.network, path) as qmp:
                return await monitor.query_uuid(qmp) == record.spec.uuid
        except QmpError:
            return False

    async def launch(self, record: KvmRecord, launch: Launch) -> Machine:
        """Start a process and return when its monitor answers.

        Raises:
            DriverFailed: QEMU did not start; nothing of it is left but its log.
        """
        name = record.spec.name
        await self.files.prepare(name)
        await self._rotate_serial_log(name)
        await self.files.store(record)
        try:
            await self.taps.connect(record.nics)
            logged = await size_bytes(self.environment.processes, self.files.log(name)) or 0
            pid = await self.environment.processes.daemonize(
                command_line(launch),
                environment=_inherited(self.environment),
                folder=Path("/"),
                log=self.files.log(name),
            )
            return await self._ready(record, pid, logged)
        except BaseException:
            with trio.CancelScope(shield=True):  # bounded by the deadlines of quitting and killing
                await self.end(record)
            raise

    async def _ready(self, record: KvmRecord, pid: int, logged: int) -> Machine:
        subject = f"instance {record.spec.name}"
        path = self.files.sockets(record.spec.name).queries
        with trio.move_on_after(START_DEADLINE_SECONDS):
            while (times := await process_times(self.environment.files, pid)) is not None:
                try:
                    async with open_qmp(self.environment.network, path) as qmp:
                        uuid = await monitor.query_uuid(qmp)
                except QmpError:
                    await trio.sleep(LOOK_AGAIN_SECONDS)
                    continue
                if uuid != record.spec.uuid:
                    raise DriverFailed(subject, f"{path} belongs to another machine, {uuid}")
                seen = evolve(record, start_ticks=times.start_ticks)
                await self.files.store(seen)
                return Machine(seen, pid, 0.0)
            words = await self._last_words(record.spec.name, logged)
            raise DriverFailed(subject, f"QEMU ended: {words}")
        limit = f"{START_DEADLINE_SECONDS:g} s"
        raise DriverFailed(subject, f"QEMU's monitor did not answer within {limit}")

    async def _last_words(self, instance: str, since: int) -> str:
        log = self.files.log(instance)
        data = await self.environment.files.read_part(log, since, LOG_BYTES_MAX)
        lines = data.decode(errors="replace").splitlines()
        return " | ".join(lines[-LOG_LINES:]) or f"it wrote nothing to {log}"

    async def _rotate_serial_log(self, instance: str) -> None:
        log = self.files.serial_log(instance)
        if (await size_bytes(self.environment.processes, log) or 0) > SERIAL_LOG_BYTES_MAX:
            await self.environment.files.rename(log, log.with_suffix(".log.1"))

    async def end(self, record: KvmRecord) -> None:
        """End an instance's process at once, if it lives, and remove what it leaves."""
        found = await self.find(record.spec.name)
        if isinstance(found, Machine):
            await self._quit(found)
        await self.taps.disconnect(record.nics)
        await self.files.forget(record.spec.name)

    async def _quit(self, machine: Machine) -> None:
        path = self.files.sockets(machine.record.spec.name).actions
        try:
            async with open_qmp(self.environment.network, path, deadline_seconds=2.0) as qmp:
                await monitor.quit_qemu(qmp)
        except QmpError:  # gone already, or stuck: then it is killed
            pass
        else:
            if await self.gone(machine, QUIT_DEADLINE_SECONDS):
                return
        self.environment.processes.kill(machine.pid, signal.SIGKILL)
        if not await self.gone(machine, KILL_DEADLINE_SECONDS):
            subject = f"instance {machine.record.spec.name}"
            raise DriverFailed(subject, f"QEMU (pid {machine.pid}) can not be killed")

    async def gone(self, machine: Machine, deadline_seconds: float) -> bool:
        """Wait until a process is gone; whether that happened in time."""
        with trio.move_on_after(deadline_seconds):
            while True:
                times = await process_times(self.environment.files, machine.pid)
                if times is None or times.start_ticks != machine.record.start_ticks:
                    return True
                await trio.sleep(LOOK_AGAIN_SECONDS)
        return False


def _inherited(environment: Environment) -> dict[str, str]:
    """QEMU's environment: enough to find programs, and to see whose it is."""
    wanted = ("PATH", "HOME", "LANG", "GANTRY_ROOT", "GANTRY_DEVCLUSTER", "XDG_RUNTIME_DIR")
    return {name: environment.variables[name] for name in wanted if name in environment.variables}
