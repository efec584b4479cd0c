"""What a development cluster's supervisor is asked, over a unix socket of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, Protocol

from attrs import frozen
from typing_extensions import override

from gantry.cli.devcluster.layout import DevClusterError, Layout
from gantry.protocols.errors import ConnectionLost, ServiceError
from gantry.protocols.service import Service, raises
from gantry.runtime.network import RealNetwork
from gantry.runtime.rpc import connect

State = Literal["starting", "ready", "waiting", "stopped"]
"""``waiting``: it has ended and is started again in a moment."""


@frozen
class ProcessStatus:
    """One supervised daemon."""

    node: str
    program: str
    state: State
    pid: int | None
    restarts: int
    uptime_seconds: float
    """Since it was started the last time; 0 if it does not run."""


@frozen
class StartFailed(ServiceError):
    """A daemon ended before it was ready."""

    node: str
    program: str
    status: int
    log: str
    last_lines: tuple[str, ...]

    @override
    def sentence(self) -> str:
        tail = "\n".join(f"  {line}" for line in self.last_lines)
        ended = f"{self.program} on {self.node} ended with status {self.status} while starting"
        return f"{ended}; its log is {self.log}; last lines:\n{tail}"


@frozen
class NoSuchProcess(ServiceError):
    """The supervisor was never asked to run this."""

    node: str
    program: str

    @override
    def sentence(self) -> str:
        return f"{self.program} is not supervised on {self.node}; see gantry devcluster status"


class Supervisor(Protocol):
    """Runs the daemons of one development cluster and restarts what dies."""

    @raises(StartFailed, NoSuchProcess)
    async def start(self, node: str, programs: tuple[str, ...]) -> None:
        """Start daemons at the same time; answered when all are ready."""

    @raises(NoSuchProcess)
    async def stop(self, node: str, programs: tuple[str, ...]) -> None:
        """Stop daemons at the same time; answered when all have ended."""

    async def status(self) -> tuple[ProcessStatus, ...]:
        """Return every daemon that was ever started."""

    @raises(NoSuchProcess)
    async def restarted(self, node: str, program: str, pid: int) -> int:
        """Wait until a daemon is ready as another process than ``pid``; return its pid."""

    async def shut_down(self) -> None:
        """Stop every daemon and end; the connection is lost when that is done."""


SUPERVISOR: Final = Service(Supervisor)


@asynccontextmanager
async def supervisor_of(layout: Layout) -> AsyncIterator[Supervisor]:
    """Talk with a cluster's supervisor.

    Raises:
        DevClusterError: it does not run.
    """
    network = RealNetwork(Path("/etc/hosts"), "")
    try:
        async with connect(SUPERVISOR, network, layout.control_socket) as supervisor:
            yield supervisor
    except ConnectionLost as error:
        raise DevClusterError(
            f"the supervisor of {layout.folder} does not run ({error}); "
            "start the cluster again: gantry devcluster up"
        ) from error
