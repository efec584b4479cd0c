"""An Environment in memory: a daemon runs in it without touching the machine.

Time is trio's (use its autojump clock), randomness is counted out, sockets are memory streams,
and there are no programs.
"""

from __future__ import annotations

import errno
import ssl
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import trio
import trio.testing
from attrs import define, field, frozen
from typing_extensions import override

from gantry.runtime.environment import (
    Clock,
    DatagramSocket,
    Environment,
    Finished,
    Network,
    Options,
    Process,
    Processes,
    Randomness,
    Readiness,
)
from gantry.runtime.files import in_place
from gantry.runtime.paths import Paths
from gantry.runtime.testing.datagrams import DatagramWire
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.testing.tls import MemoryTls

START_TIME = 2_000_000_000.0
"""Seconds since the epoch when trio's clock stands at 0."""


class TrioClock(Clock):
    """Wall-clock time that goes with trio's, and so stands still or jumps with it."""

    @override
    def now(self) -> float:
        return START_TIME + trio.current_time()


@define
class CountedRandomness(Randomness):
    """Values that are different each time and the same in each run."""

    _drawn: int = field(default=0, init=False)

    @override
    def bytes(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")

    @override
    def uuid(self) -> str:
        self._drawn += 1
        return str(uuid.UUID(int=self._drawn, version=4))


@define
class _MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    network: MemoryNetwork
    path: Path
    arrivals: trio.MemoryReceiveChannel[trio.abc.Stream]

    @override
    async def accept(self) -> trio.abc.Stream:
        try:
            return await self.arrivals.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise trio.ClosedResourceError from None

    @override
    async def aclose(self) -> None:
        self.network.listening.pop(self.path, None)
        await self.arrivals.aclose()


@define
class MemoryNetwork(Network):
    """Unix sockets of one machine, as memory streams, and datagrams; there is no TCP."""

    listening: dict[Path, trio.MemorySendChannel[trio.abc.Stream]] = field(factory=dict, init=False)
    wire: DatagramWire = field(factory=DatagramWire, init=False)

    @override
    async def connect_unix(self, path: Path) -> trio.abc.Stream:
        if path not in self.listening:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens", str(path))
        ours, theirs = trio.testing.memory_stream_pair()
        await self.listening[path].send(theirs)
        return ours

    @override
    async def listen_unix(self, path: Path, mode: int) -> trio.abc.Listener[trio.abc.Stream]:
        await trio.lowlevel.checkpoint()
        sending, receiving = trio.open_memory_channel[trio.abc.Stream](16)
        self.listening[path] = sending
        return _MemoryListener(self, path, receiving)

    @override
    async def connect_tcp(
        self, address: str, port: int, tls: ssl.SSLContext | None = None
    ) -> trio.abc.Stream:
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"nothing at {address}:{port}")

    @override
    async def listen_tcp(self, address: str, port: int) -> trio.abc.Listener[trio.abc.Stream]:
        raise OSError(errno.EADDRNOTAVAIL, f"there is no {address} here")

    @override
    def port_of(self, listener: trio.abc.Listener[trio.abc.Stream]) -> int:
        raise OSError(errno.EINVAL, "this is no TCP listener")

    @override
    async def udp(self, address: str, port: int) -> DatagramSocket:
        await trio.lowlevel.checkpoint()
        return self.wire.bind(address, port)

    @override
    async def resolve(self, name: str) -> str:
        raise OSError(errno.ENOENT, f"{name} does not resolve")


class NoProcesses(Processes):
    """A machine without programs."""

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
        raise FileNotFoundError(errno.ENOENT, "no such program", argv[0])

    @override
    def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path | None = None,
    ) -> AbstractAsyncContextManager[Process]:
        raise FileNotFoundError(errno.ENOENT, "no such program", argv[0])

    @override
    async def daemonize(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path,
    ) -> int:
        raise FileNotFoundError(errno.ENOENT, "no such program", argv[0])

    @override
    def is_alive(self, pid: int) -> bool:
        return False

    @override
    def kill(self, pid: int, number: int) -> None:
        return

    @override
    async def listener_of(self, path: Path) -> int | None:
        await trio.lowlevel.checkpoint()
        return None

    @override
    def find(self, program: str) -> Path | None:
        return None


@frozen
class RecordedReadiness(Readiness):
    """Keeps what a service manager would have heard."""

    states: list[str] = field(factory=list, init=False)

    @override
    def notify(self, state: str) -> None:
        self.states.append(state)


def memory_environment(
    node: str,
    files: MemoryFiles,
    *,
    network: Network | None = None,
    variables: Mapping[str, str] | None = None,
) -> Environment:
    """Return the environment of a daemon on a node that has these files."""
    return Environment(
        node=node,
        paths=Paths(Path("/"), Path("/run/gantry")),
        variables=variables or {},
        clock=TrioClock(),
        random=CountedRandomness(),
        files=files,
        network=network or MemoryNetwork(),
        tls=MemoryTls(files, TrioClock()),
        processes=NoProcesses(),
        offload=in_place,
        readiness=RecordedReadiness(),
        options=Options(),
    )
