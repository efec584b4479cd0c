"""Programs of a machine in memory: functions that stand in for executables, run in virtual time."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.runtime.environment import Finished, Process, Processes
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.testing.life import Life

NOT_FOUND: Final = "no such program"

SHEBANG: Final = b"#!"
"""How a file begins that can be run."""


@frozen
class Run:
    """How a program was started."""

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    at: Callable[[Path], MemoryFiles]
    """Finds the file system of a path."""


Program = Callable[[Run], Awaitable[Finished]]
"""Does what an executable does; a script's is chosen by the name of its file."""


class ProcessTable(Protocol):
    """The processes of a machine."""

    def is_alive(self, pid: int) -> bool:
        """Whether a process lives."""

    def kill(self, pid: int, number: int) -> None:
        """Send a signal."""

    def listener_of(self, path: Path) -> int | None:
        """Return who listens on a unix socket."""


@define(eq=False)
class _Running(Process):
    _pid: int
    _work: Callable[[], Awaitable[Finished]]
    _finished: Finished | None = field(default=None, init=False)

    @property
    @override
    def pid(self) -> int:
        return self._pid

    @override
    async def wait(self) -> int:
        if self._finished is None:
            self._finished = await self._work()
        return self._finished.status

    @override
    def send_signal(self, number: int) -> None:
        raise NotImplementedError("no program in memory takes signals")


@frozen
class MemoryProcesses(Processes):
    """What one process can have run: programs end with it."""

    _table: ProcessTable
    _at: Callable[[Path], MemoryFiles]
    _programs: Mapping[str, Program]
    _life: Life

    def _program(self, argv: Sequence[str]) -> Program:
        name = Path(argv[0])
        if name.is_absolute():
            try:
                if not self._at(name).content(name).startswith(SHEBANG):
                    raise PermissionError(errno.EACCES, "not executable", argv[0])
            except IsADirectoryError:
                raise PermissionError(errno.EACCES, "is a folder", argv[0]) from None
        if name.name not in self._programs:
            raise FileNotFoundError(errno.ENOENT, NOT_FOUND, argv[0])
        return self._programs[name.name]

    @override
    async def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        input_bytes: bytes = b"",
        deadline_seconds: float,
    ) -> Finished:
        self._life.check()
        program = self._program(argv)
        with trio.fail_after(deadline_seconds):
            await trio.lowlevel.checkpoint()
            finished = await program(Run(tuple(argv), environment or {}, self._at))
        self._life.check()
        return finished

    @override
    def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path | None = None,
    ) -> AbstractAsyncContextManager[Process]:
        return self._started(argv, environment or {}, log)

    @asynccontextmanager
    async def _started(
        self, argv: Sequence[str], variables: Mapping[str, str], log: Path | None
    ) -> AsyncIterator[Process]:
        self._life.check()
        await trio.lowlevel.checkpoint()
        program = self._program(argv)

        async def work() -> Finished:
            finished = await program(Run(tuple(argv), variables, self._at))
            self._life.check()
            if log is not None:
                self._at(log).put(log, finished.output)
            return finished

        yield _Running(0, work)

    @override
    async def daemonize(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path,
    ) -> int:
        raise FileNotFoundError(errno.ENOENT, NOT_FOUND, argv[0])

    @override
    def is_alive(self, pid: int) -> bool:
        self._life.check()
        return self._table.is_alive(pid)

    @override
    def kill(self, pid: int, number: int) -> None:
        self._life.check()
        self._table.kill(pid, number)

    @override
    async def listener_of(self, path: Path) -> int | None:
        self._life.check()
        await trio.lowlevel.checkpoint()
        return self._table.listener_of(path)

    @override
    def find(self, program: str) -> Path | None:
        return Path("/usr/bin") / program if program in self._programs else None
