"""Processes for jobs: asked of the fork server, watched through pidfds.

A pidfd tells of the end of any process, whoever its parent is. So jobs are watched in the same
way whether this LuxiD had them made, adopted them, or the fork server has died meanwhile.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.protocols.codec import Malformed, dump, from_bytes, load, to_bytes
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.jobproc import (
    DATAGRAM_BYTES_MAX,
    ForkServerMessage,
    NotSpawned,
    Reaped,
    Spawned,
    SpawnRequest,
)
from gantry.runtime.comeback import Comeback
from gantry.runtime.environment import Files
from gantry.runtime.gate import Gate
from gantry.runtime.logs import Log
from gantry.runtime.processes import listening_pid

LOG: Final = Log("luxid.launcher")


class Child(Protocol):
    """A job's process."""

    @property
    def pid(self) -> int:
        """The process id."""

    def kill(self) -> None:
        """End the process with SIGKILL; nothing happens if it has ended."""

    async def ended(self) -> None:
        """Wait for the end of the process."""

    def close(self) -> None:
        """Stop watching."""


class Launcher(Protocol):
    """Where processes come from."""

    async def run(self) -> None:
        """Keep what connections are needed, until cancelled."""

    async def spawn(self, request: SpawnRequest) -> Child | NotSpawned:
        """Have a process made; waits while the fork server is away.

        Raises:
            ConnectionLost: the fork server went away meanwhile: there may be a process or not.
        """

    async def adopt(self, path: Path) -> Child | None:
        """Watch the process that listens on a job's socket; ``None`` if none does."""


@define
class PidfdChild(Child):
    """A process known by a pidfd, which is closed by :meth:`close`."""

    _pid: int
    _pidfd: int

    @property
    @override
    def pid(self) -> int:
        return self._pid

    @override
    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    @override
    async def ended(self) -> None:
        await trio.lowlevel.wait_readable(self._pidfd)

    @override
    def close(self) -> None:
        if self._pidfd >= 0:
            trio.lowlevel.notify_closing(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1


@frozen
class _Asked:
    answered: trio.Event
    answer: list[PidfdChild | NotSpawned]


@define
class ForkServerLink(Launcher):
    """A lasting connection with the fork server."""

    files: Files
    path: Path
    _socket: trio.socket.SocketType | None = field(default=None, init=False)
    _connected: Gate = field(factory=Gate, init=False)
    _asked: dict[tuple[JobId, Attempt], _Asked] = field(factory=dict, init=False)

    @override
    async def run(self) -> None:
        async with Comeback.of(self.files, self.path) as comeback:
            while True:
                try:
                    async with self._connection() as connection:
                        comeback.connected()
                        await self._listen(connection)
                except (OSError, Malformed) as error:
                    LOG.debug("no fork server", reason=str(error))
                await comeback.wait()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[trio.socket.SocketType]:
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            await connection.connect(str(self.path))
            self._socket = connection
            self._connected.open()
            try:
                yield connection
            finally:
                self._socket = None
                self._connected.close()
                for asked in self._asked.values():
                    asked.answered.set()

    async def _listen(self, connection: trio.socket.SocketType) -> None:
        room = socket.CMSG_SPACE(struct.calcsize("i"))
        while True:
            data, ancillary, _, _ = await connection.recvmsg(DATAGRAM_BYTES_MAX, room)
            if not data:
                return
            fds = [
                fd
                for level, kind, body in ancillary
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                for (fd,) in struct.iter_unpack("i", body)
            ]
            self._hear(_load_message(data), fds)

    def _hear(self, message: ForkServerMessage, fds: list[int]) -> None:
        answer: PidfdChild | NotSpawned
        match message:
            case Spawned(pid=pid):
                answer = PidfdChild(pid, fds[0])
            case NotSpawned():
                answer = message
            case Reaped(job, attempt, pid, status):
                LOG.info("reaped", job=job, attempt=attempt, pid=pid, status=status)
                return
        asked = self._asked.get((message.job, message.attempt))
        if asked is not None and not asked.answer:
            asked.answer.append(answer)
            asked.answered.set()
        elif isinstance(answer, PidfdChild):  # whoever asked has been cancelled
            answer.close()

    @override
    async def spawn(self, request: SpawnRequest) -> Child | NotSpawned:
        while self._socket is None:
            await self._connected.passed()
        key = (request.job, request.attempt)
        asked = self._asked[key] = _Asked(trio.Event(), [])
        try:
            await self._socket.send(to_bytes(dump(request)))
            await asked.answered.wait()
        except OSError as error:
            raise ConnectionLost(f"the fork server is gone: {error}") from error
        finally:
            del self._asked[key]
        if not asked.answer:
            raise ConnectionLost("the fork server is gone")
        return asked.answer[0]

    @override
    async def adopt(self, path: Path) -> Child | None:
        first = await listening_pid(path)
        if first is None:
            return None
        try:
            child = PidfdChild(first, os.pidfd_open(first))
        except ProcessLookupError:
            return None
        if await listening_pid(path) == first:  # so it lived when the pidfd was opened
            return child
        child.close()
        return None


def _load_message(data: bytes) -> ForkServerMessage:
    return load(ForkServerMessage, from_bytes(data))  # type: ignore[arg-type]  # a union is no type[T] for mypy
