"""One supervised daemon: started, awaited, started again when it ends, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio
from attrs import define, field, frozen

from gantry.cli.devcluster.control import ProcessStatus, StartFailed, State
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, EXIT_NOT_MASTER
from gantry.runtime.logs import Log

RETRY_SECONDS_FIRST: Final = 0.1
RETRY_SECONDS_MAX: Final = 5.0
STEADY_SECONDS: Final = 10.0
"""A daemon that has run so long starts with the shortest delay again."""

FAILED_STARTS_MAX: Final = 3
"""A daemon that was never ready and ended so often will not be: whoever waits is told."""

FINAL_STATUSES: Final = frozenset({EXIT_NOT_CLUSTER, EXIT_NOT_MASTER})
"""A daemon that ends so is not to run on this node; starting it again would not help."""

STOP_SECONDS_MAX: Final = 25.0
"""Above the daemons' own limit for an orderly stop."""

LAST_LINES: Final = 12
DATAGRAM_BYTES_MAX: Final = 4096

LOG: Final = Log("devcluster")


@frozen
class Command:
    """What to run."""

    node: str
    program: str
    argv: Sequence[str]
    variables: Mapping[str, str]
    log: Path
    notify: Path
    """Where the daemon says ``READY=1`` (sd_notify(3))."""


@define(eq=False)
class Supervised:
    """A daemon that is kept running between :meth:`launch` and :meth:`stop`."""

    command: Command
    state: State = "stopped"
    restarts: int = -1
    pid: int | None = None
    _started_at: float = 0.0
    _failed_starts: int = 0
    _last_status: int = 0
    _changed: trio.Event = field(factory=trio.Event)
    _stopping: trio.Event = field(factory=trio.Event)
    _ended: trio.Event | None = None

    def status(self) -> ProcessStatus:
        """Describe the daemon."""
        uptime = 0.0 if self.pid is None else trio.current_time() - self._started_at
        return ProcessStatus(
            self.command.node, self.command.program, self.state, self.pid, self.restarts, uptime
        )

    async def ready(self, *, other_than: int | None = None) -> int:
        """Wait until the daemon is ready (as another process than one), and return its pid.

        Raises:
            StartFailed: it keeps ending before it is ready.
        """
        while True:
            if self.state == "ready" and self.pid is not None and self.pid != other_than:
                return self.pid
            if self._failed_starts >= FAILED_STARTS_MAX or self._ended is None:
                raise self._start_failed()
            await self._changed.wait()

    def _start_failed(self) -> StartFailed:
        lines: deque[str] = deque(maxlen=LAST_LINES)
        with suppress(FileNotFoundError), self.command.log.open(errors="replace") as log:
            lines.extend(line.rstrip() for line in log)
        return StartFailed(
            self.command.node,
            self.command.program,
            self._last_status,
            str(self.command.log),
            tuple(lines),
        )

    async def stop(self) -> None:
        """Stop the daemon and wait for its end; nothing happens if it does not run."""
        if self._ended is not None:
            self._stopping.set()
            await self._ended.wait()

    def launch(self, nursery: trio.Nursery) -> None:
        """Keep the daemon running, in a task of ``nursery``, until :meth:`stop`.

        Nothing happens if it is kept running already. Cancelling the nursery kills it.
        """
        if self._ended is None:
            self._ended, self._stopping = trio.Event(), trio.Event()
            self._failed_starts = 0
            nursery.start_soon(self._keep_running, self._ended)

    async def _keep_running(self, ended: trio.Event) -> None:
        delay = RETRY_SECONDS_FIRST
        try:
            while not self._stopping.is_set():
                began = trio.current_time()
                await self._run_once()
                if trio.current_time() - began > STEADY_SECONDS:
                    delay = RETRY_SECONDS_FIRST
                with trio.move_on_after(delay):
                    await self._stopping.wait()
                delay = min(2 * delay, RETRY_SECONDS_MAX)
        finally:
            self._ended = None
            self._enter("stopped", None)
            ended.set()

    def _enter(self, state: State, pid: int | None) -> None:
        self.state, self.pid = state, pid
        self._changed.set()
        self._changed = trio.Event()

    async def _run_once(self) -> None:
        """Run the daemon to its end, which may be a stop."""
        notifications = _bind(self.command.notify)
        try:
            process = await self._spawn()
            self.restarts += 1
            self._started_at = trio.current_time()
            self._enter("starting", process.pid)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._hear, notifications, process.pid)
                    nursery.start_soon(self._end_on_stop, process)
                    self._last_status = await process.wait()
                    nursery.cancel_scope.cancel()
            finally:
                _kill(process.pid, signal.SIGKILL)
                with trio.CancelScope(shield=True):  # SIGKILL was sent: this is short
                    await process.wait()
        finally:
            notifications.close()
            self.command.notify.unlink(missing_ok=True)
        if self._last_status in FINAL_STATUSES:
            self._stopping.set()
        if not self._stopping.is_set():
            self._failed_starts += self.state == "starting"
            LOG.warning(
                "ended",
                node=self.command.node,
                program=self.command.program,
                status=self._last_status,
            )
            self._enter("waiting", None)

    async def _spawn(self) -> trio.Process:
        variables = {**self.command.variables, "NOTIFY_SOCKET": str(self.command.notify)}
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        log = os.open(self.command.log, flags, 0o600)
        try:
            return await trio.lowlevel.open_process(
                list(self.command.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables,
                start_new_session=True,
            )
        finally:
            os.close(log)

    async def _hear(self, notifications: trio.socket.SocketType, pid: int) -> None:
        """Note when the daemon says that it is ready."""
        while True:
            message = await notifications.recv(DATAGRAM_BYTES_MAX)
            if b"READY=1" in message.splitlines():
                self._failed_starts = 0
                self._enter("ready", pid)

    async def _end_on_stop(self, process: trio.Process) -> None:
        await self._stopping.wait()
        process.terminate()
        await trio.sleep(STOP_SECONDS_MAX)
        LOG.warning("did not stop", node=self.command.node, program=self.command.program)
        process.kill()


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _bind(path: Path) -> trio.socket.SocketType:
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    bound.bind(str(path))
    return trio.socket.from_stdlib_socket(bound)
