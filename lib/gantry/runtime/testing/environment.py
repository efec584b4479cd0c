"""An Environment in memory: a daemon runs in it without touching the machine.

Time is trio's (use its autojump clock), randomness is counted out, sockets are memory streams,
and there are no programs.
"""

from __future__ import annotations

import errno
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.runtime.environment import (
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
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.testing.life import Life
from gantry.runtime.testing.machine import MachineClock
from gantry.runtime.testing.network import MemoryNetwork, Sockets
from gantry.runtime.testing.tls import MemoryTls
from gantry.runtime.testing.wires import Wires

LONE_ADDRESS = "127.0.0.1"


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


def lone_network(node: str, files: MemoryFiles) -> MemoryNetwork:
    """Return the network of a machine that has none but its own unix sockets and ports."""
    wires = Wires()
    sockets = Sockets(wires.add(node, LONE_ADDRESS), files)
    return MemoryNetwork(wires, sockets, lambda _: sockets, Life())


def memory_environment(
    node: str,
    files: MemoryFiles,
    *,
    network: Network | None = None,
    variables: Mapping[str, str] | None = None,
) -> Environment:
    """Return the environment of a daemon on a node that has these files."""
    paths = Paths(Path("/"), Path("/run/gantry"))
    files.put_folder(paths.sockets)
    return Environment(
        node=node,
        paths=paths,
        variables=variables or {},
        clock=MachineClock(),
        random=CountedRandomness(),
        files=files,
        network=network or lone_network(node, files),
        tls=MemoryTls(files, MachineClock()),
        processes=NoProcesses(),
        offload=in_place,
        readiness=RecordedReadiness(),
        options=Options(),
    )
