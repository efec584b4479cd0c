"""Real child processes behind :class:`gantry.runtime.environment.Processes`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import trio
from attrs import frozen
from typing_extensions import override

from gantry.runtime.environment import Finished, Process, Processes

OUTPUT_BYTES_MAX: Final = 4 * 1024 * 1024
"""What is kept of a program's output; the rest is read and dropped, so that it never blocks."""

DRAIN_SECONDS_MAX: Final = 0.2
"""What a program left running may hold its pipe open; only its own output counts."""

_DAEMONIZE: Final = 'log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null & echo $!'
"""The shell leaves at once, so the program becomes a child of init and never our zombie."""


_LEASH: Final = "read -r _; kill -KILL 0"
"""The end of its standard input is our end: then it ends its process group, itself included."""


async def listening_pid(path: Path) -> int | None:
    """Return the id of the process that listens on a unix socket: whoever called listen()."""
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            await probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        layout = "3i"  # struct ucred of unix(7): pid, uid, gid
        peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(layout))
        return int(struct.unpack(layout, peer)[0])


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


@asynccontextmanager
async def _leashed() -> AsyncIterator[int]:
    """Make a process group that ends with us, however that happens; leaving ends it, too.

    A script that went on after a SIGKILL of ours would meet the one that the next daemon starts
    in its place, or write to a disk that has been removed. The kernel's PR_SET_PDEATHSIG does not
    help: it does not reach the script's own children, and takes the end of a thread for ours.
    """
    leash = await trio.lowlevel.open_process(
        ["/bin/sh", "-c", _LEASH],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},  # whoever ends a node's processes by their environment ends us, not the leash
        process_group=0,
    )
    if leash.stdin is None:
        raise AssertionError("the pipe was asked for")
    try:
        yield leash.pid
    finally:
        _kill_group(leash.pid)
        with trio.CancelScope(shield=True):  # SIGKILL was sent: this is short
            await leash.wait()
            await leash.stdin.aclose()


async def _collect(stream: trio.abc.ReceiveStream, into: bytearray, done: trio.Event) -> None:
    async for chunk in stream:
        into += chunk[: max(0, OUTPUT_BYTES_MAX - len(into))]
    done.set()


async def _feed(stream: trio.abc.SendStream, data: bytes) -> None:
    async with stream:
        with suppress(trio.BrokenResourceError):  # it need not read all of its input
            await stream.send_all(data)


async def _run_in(
    group: int,
    argv: Sequence[str],
    environment: Mapping[str, str] | None,
    folder: Path | None,
    input_bytes: bytes,
) -> Finished:
    """Run a program to its end in a process group, of which nothing is left afterwards."""
    process = await trio.lowlevel.open_process(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        process_group=group,
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("the pipes were asked for")
    output, drained = bytearray(), trio.Event()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_feed, process.stdin, input_bytes)
            nursery.start_soon(_collect, process.stdout, output, drained)
            await process.wait()
            with trio.move_on_after(DRAIN_SECONDS_MAX):
                await drained.wait()
            nursery.cancel_scope.cancel()
    finally:
        _kill_group(group)
        with trio.CancelScope(shield=True):  # SIGKILL was sent: this is short
            await process.wait()
            await process.stdout.aclose()
            await process.stdin.aclose()
    return Finished(process.returncode or 0, bytes(output))


@frozen
class RealProcess(Process):
    """A child process of ours."""

    _process: trio.Process

    @property
    @override
    def pid(self) -> int:
        return self._process.pid

    @override
    async def wait(self) -> int:
        return await self._process.wait()

    @override
    def send_signal(self, number: int) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)


class RealProcesses(Processes):
    """The programs of this machine."""

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
        with trio.fail_after(deadline_seconds):
            async with _leashed() as group:
                return await _run_in(group, argv, environment, folder, input_bytes)

    @override
    def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path | None = None,
    ) -> AbstractAsyncContextManager[Process]:
        return self._started(argv, environment, folder, log)

    @asynccontextmanager
    async def _started(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str] | None,
        folder: Path | None,
        log: Path | None,
    ) -> AsyncIterator[Process]:
        path = log or Path(os.devnull)
        async with _leashed() as group:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                process = await trio.lowlevel.open_process(
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=fd,
                    stderr=fd,
                    env=environment,
                    cwd=folder,
                    process_group=group,
                )
            finally:
                os.close(fd)
            try:
                yield RealProcess(process)
            finally:
                _kill_group(group)
                with trio.CancelScope(shield=True):  # SIGKILL was sent: this is short
                    await process.wait()

    @override
    async def daemonize(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path,
    ) -> int:
        program = shutil.which(argv[0])
        if program is None:
            raise FileNotFoundError(2, "no such program", argv[0])
        ended = await trio.run_process(
            ["/bin/sh", "-c", _DAEMONIZE, "sh", str(log), program, *argv[1:]],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
        )
        return int(ended.stdout)

    @override
    def is_alive(self, pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rpartition(")")[2].split()[0] not in "ZX"

    @override
    def kill(self, pid: int, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    @override
    async def listener_of(self, path: Path) -> int | None:
        return await listening_pid(path)

    @override
    def find(self, program: str) -> Path | None:
        found = shutil.which(program)
        return None if found is None else Path(found)
