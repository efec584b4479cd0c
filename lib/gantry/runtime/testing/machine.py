"""A machine in memory: disks, sockets and processes, all of which go dark when its power does.

What is mounted on :data:`VOLATILE` folders is lost with the power; of the rest, what was not
flushed may be.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Final, Literal

import trio
from attrs import define, field
from typing_extensions import override

from gantry.runtime.environment import Clock, Environment, Options, Randomness, Readiness, Run
from gantry.runtime.files import in_place
from gantry.runtime.nursery import only
from gantry.runtime.paths import Paths
from gantry.runtime.testing.files import MemoryFiles, no_pause
from gantry.runtime.testing.life import Life
from gantry.runtime.testing.mounts import Mounts, ProcessFiles, mounts_of
from gantry.runtime.testing.network import MemoryListener, MemoryNetwork, Sockets
from gantry.runtime.testing.programs import MemoryProcesses, Program
from gantry.runtime.testing.tls import MemoryTls
from gantry.runtime.testing.wires import Station, Wires

START_TIME: Final = 2_000_000_000.0
"""Seconds since the epoch when trio's clock stands at 0."""

VOLATILE: Final = (Path("/run"), Path("/var/run"))

FIRST_PID: Final = 100

PATHS: Final = Paths(Path("/"), Path("/run/gantry"))

CURRENT: ContextVar[MemoryProcess] = ContextVar("CURRENT")
"""The process that a task belongs to."""

Main = Callable[[Environment], Awaitable[object]]
Note = Callable[["MemoryProcess", str, str], None]
"""Told what a process does: the kind of effect, and on what."""


@define
class MachineClock(Clock):
    """A machine's clock goes with trio's, and may be wrong."""

    ahead_seconds: float = 0.0

    @override
    def now(self) -> float:
        return START_TIME + trio.current_time() + self.ahead_seconds


@define(eq=False)
class SeededRandomness(Randomness):
    """Randomness of a seed."""

    source: random.Random

    @override
    def bytes(self, count: int) -> bytes:
        return self.source.randbytes(count)

    @override
    def uuid(self) -> str:
        digits = self.source.randbytes(16).hex()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


@define(eq=False)
class _Announced(Readiness):
    process: MemoryProcess

    @override
    def notify(self, state: str) -> None:
        if state == "READY=1" and not self.process.life.is_over:
            self.process.is_ready.set()


Ending = Literal["returned", "failed", "killed"]


@define(eq=False)
class MemoryProcess:
    """A process: the tasks of one ``main``. Made by :meth:`Machine.start`."""

    machine: Machine
    pid: int
    program: str
    life: Life
    env: Environment = field(init=False)
    scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    is_ready: trio.Event = field(factory=trio.Event, init=False)
    ended: trio.Event = field(factory=trio.Event, init=False)
    ending: Ending | None = field(default=None, init=False)
    failure: BaseException | None = field(default=None, init=False)
    _tasks_of: trio.lowlevel.Task | None = field(default=None, init=False)
    """The task from which all others of the process come, while there are any."""
    name: str = field(init=False)
    """What a timeline calls it."""

    def __attrs_post_init__(self) -> None:
        self.name = f"{self.machine.name}/{self.program}[{self.pid}]"

    @property
    def root_task(self) -> trio.lowlevel.Task | None:
        """The task from which all others of the process come, while it runs."""
        return self._tasks_of

    async def run(self, main: Main) -> None:
        """Be the process until it ends, whatever ends it."""
        CURRENT.set(self)
        self._tasks_of = trio.lowlevel.current_task()
        try:
            await self._live(main)
        finally:
            self._tasks_of = None

    async def _live(self, main: Main) -> None:
        try:
            with self.scope:
                await main(self.env)
        except BaseException as error:
            lone = only(error) if isinstance(error, BaseExceptionGroup) else error
            if not self.life.is_over:
                self.failure = lone
                self._over("failed")
            elif _is_cancellation(error):
                raise
        else:
            self._over("returned")

    def _over(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self.life.end()
            self.machine.processes.pop(self.pid, None)
            self.ended.set()

    def terminate(self) -> None:
        """Ask the process to stop, as ``SIGTERM`` does."""
        self.scope.cancel()

    def kill(self) -> None:
        """End the process on the spot; nothing that its code still does has an effect."""
        if self.ending is None and self.machine.killed is not None:
            self.machine.killed(self)
        self._over("killed")
        self.scope.cancel()
        self.machine.nursery.start_soon(self._unwind)

    async def _unwind(self) -> None:
        """Get all tasks of a dead process out of where they are, shielded or not.

        What a shield waits for will never come: it would have been an effect.
        """
        while self._tasks_of is not None:
            _take_shields(self._tasks_of)
            await trio.lowlevel.checkpoint()


def _take_shields(task: trio.lowlevel.Task) -> None:
    """Let a cancellation through to a task and to all below it."""
    status: trio._core._run.CancelStatus | None
    status = task._cancel_status  # noqa: SLF001 - trio keeps to itself who is shielded
    while status is not None:
        if status._scope.shield:  # noqa: SLF001 - likewise
            status._scope.shield = False  # noqa: SLF001 - likewise
        status = status._parent  # noqa: SLF001 - likewise
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            _take_shields(child)


def _is_cancellation(error: BaseException) -> bool:
    """Whether somebody outside cancels this, so that it has to be passed on."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)


async def _at_once(_operation: str, _path: Path) -> None:
    await trio.lowlevel.checkpoint()


@define(eq=False)
class Machine:
    """One machine. Its processes run in ``nursery``."""

    name: str
    """What timelines call it; :attr:`station` has its host name."""
    wires: Wires
    station: Station
    nursery: trio.Nursery
    random: random.Random
    programs: Mapping[str, Program]
    shared: Mapping[Path, MemoryFiles]
    """File systems that other machines mount too."""
    disk: MemoryFiles = field(factory=lambda: MemoryFiles(pause=no_pause))
    clock: MachineClock = field(factory=MachineClock)
    note: Note | None = None
    killed: Callable[[MemoryProcess], None] | None = None
    """Told of each process that is about to be killed, while its tasks still wait."""
    disk_watch: Callable[[str, Path], Awaitable[None]] = _at_once
    sockets_of: Callable[[Station], Sockets] | None = None
    offload: Run = in_place
    processes: dict[int, MemoryProcess] = field(factory=dict, init=False)
    sockets: Sockets = field(init=False)
    mounts: Mounts = field(init=False)
    _last_pid: int = field(default=FIRST_PID, init=False)

    def __attrs_post_init__(self) -> None:
        self.mounts = mounts_of(self.disk, self._others())
        self.sockets = Sockets(self.station, self.mounts)

    def _others(self) -> dict[Path, MemoryFiles]:
        fresh = {folder: MemoryFiles(pause=no_pause) for folder in VOLATILE}
        for folder, files in fresh.items():
            files.put_folder(folder)
        fresh[VOLATILE[0]].put_folder(PATHS.sockets)
        return {**fresh, **self.shared}

    # --- processes -------------------------------------------------------------------------------

    def prepare(self, program: str, variables: Mapping[str, str] | None = None) -> MemoryProcess:
        """Make a process that does not run yet; :meth:`begin` makes it run."""
        self._last_pid += 1
        life = Life()
        process = MemoryProcess(self, self._last_pid, program, life)
        process.env = self._environment(process, variables or {})
        self.processes[process.pid] = process
        return process

    def begin(self, process: MemoryProcess, main: Main) -> MemoryProcess:
        """Let a process run."""
        self.nursery.start_soon(process.run, main)
        return process

    def start(
        self, program: str, main: Main, variables: Mapping[str, str] | None = None
    ) -> MemoryProcess:
        """Start a process."""
        return self.begin(self.prepare(program, variables), main)

    def _environment(self, process: MemoryProcess, variables: Mapping[str, str]) -> Environment:
        async def watch(operation: str, path: Path) -> None:
            if self.note is not None:
                self.note(process, operation, str(path))
            await self.disk_watch(operation, path)

        def sent(size: int) -> None:
            if self.note is not None:
                self.note(process, "send", "")

        life = process.life
        files = ProcessFiles(self.mounts, life, watch)
        find = self.sockets_of or (lambda _: self.sockets)
        return Environment(
            node=self.station.name,
            paths=PATHS,
            variables=variables,
            clock=self.clock,
            random=SeededRandomness(self.random),
            files=files,
            network=MemoryNetwork(
                self.wires, self.sockets, find, life, process.pid, sent, process.program
            ),
            tls=MemoryTls(files, self.clock),
            processes=MemoryProcesses(self, self.mounts.at, self.programs, life),
            offload=self.offload,
            readiness=_Announced(process),
            options=Options(),
        )

    def is_alive(self, pid: int) -> bool:
        """Whether a process lives."""
        return pid in self.processes

    def kill(self, pid: int, number: int) -> None:
        """Send a signal; all but ``SIGTERM`` end a process on the spot."""
        process = self.processes.get(pid)
        if process is not None:
            if number == signal.SIGTERM:
                process.terminate()
            else:
                process.kill()

    def listener_of(self, path: Path) -> int | None:
        """Return who listens on a unix socket."""
        try:
            bound = self.mounts.bound_to(path)
        except OSError:
            return None
        return bound.pid if isinstance(bound, MemoryListener) and bound.is_open else None

    # --- power -----------------------------------------------------------------------------------

    def lose_power(
        self, kept: Callable[[int], int], is_lost: Callable[[], bool] | None = None
    ) -> None:
        """Go dark in the middle of everything; see :meth:`MemoryFiles.survivors`."""
        self.station.is_up = False
        self.sockets.lose()
        for process in [*self.processes.values()]:
            process.kill()
        self.disk = self.disk.survivors(kept, is_lost)
        self.mounts.mount(mounts_of(self.disk, self._others()).mounted)

    def boot(self) -> None:
        """Have power again; nothing runs yet."""
        self.station.is_up = True
        self.wires.tell()
