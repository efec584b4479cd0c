"""Real NodeDs over real TLS, in one process: nodes are roots and loopback addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field
from typing_extensions import override

from gantry.cli.devcluster import subnets
from gantry.daemons.noded.main import main
from gantry.daemons.noded.master_services import MasterServices
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, Ticket
from gantry.protocols.noded import NODED, PORT, SOCKET_NAME, NodeD
from gantry.protocols.service import stub
from gantry.runtime.environment import Environment, Readiness
from gantry.runtime.founding import found_cluster
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.service import http_call
from gantry.runtime.joining import issue_token, join_cluster
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.real import real_environment
from gantry.runtime.rpc_pool import RpcPool
from gantry.security.contexts import client_context
from gantry.security.pem_files import AUTHORITY_PEM, CLIENT_PEM

CLUSTER = "cluster.gantry.test"
DEADLINE_SECONDS = 30


@define
class Heard(Readiness):
    """Hears that a daemon is ready."""

    ready: trio.Event = field(factory=trio.Event)

    @override
    def notify(self, state: str) -> None:
        if state == "READY=1":
            self.ready.set()


@define
class Machines:
    """Machines that can be nodes."""

    folder: Path
    subnet: str

    def machine(self, number: int) -> Environment:
        """Return a machine; its root is made when it is first asked for."""
        root = self.folder / f"node{number}.gantry.test"
        (root / "etc").mkdir(parents=True, exist_ok=True)
        hosts = [f"{self.subnet}.254 {CLUSTER}"]
        hosts += [f"{self.subnet}.{n} node{n}.gantry.test" for n in range(1, 10)]
        (root / "etc/hosts").write_text("\n".join(hosts))
        env = real_environment({"GANTRY_ROOT": str(root), "PATH": "/usr/bin:/bin:/usr/sbin"})
        env.paths.sockets.mkdir(parents=True, exist_ok=True)  # as the harness of daemons does
        return env

    async def founded(self) -> Environment:
        """Make a cluster on machine 1 and return that."""
        env = self.machine(1)
        await found_cluster(env, {"cluster_name": CLUSTER, "enabled_hypervisors": "fake"})
        return env

    async def joined(self, number: int) -> Environment:
        """Have another machine join; the master's NodeD must run."""
        env = self.machine(number)
        invitation = await issue_token(self.machine(1), env.node, 60.0)
        await join_cluster(env, invitation.text, None)
        return env


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    subnet = subnets.take()
    yield Machines(tmp_path, subnet.prefix)
    subnet.free()


@asynccontextmanager
async def running(
    env: Environment, services: MasterServices | None = None
) -> AsyncIterator[trio.Event]:
    """Run a machine's NodeD; leaving stops it. The event is set when it ends by itself."""
    heard, ended = Heard(), trio.Event()

    async def run() -> None:
        await main(evolve(env, readiness=heard), services)
        ended.set()

    with trio.fail_after(DEADLINE_SECONDS):
        async with open_plain_nursery() as nursery:
            nursery.start_soon(run)
            await heard.ready.wait()
            yield ended
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def calling(caller: Environment, called: Environment) -> AsyncIterator[NodeD]:
    """Call a machine's NodeD with another's (or its own) certificate."""
    data = caller.paths.data
    tls = client_context((data / AUTHORITY_PEM).read_bytes(), data / CLIENT_PEM)
    client = HttpClient(caller.network, await called.address(), PORT, tls)
    async with client:
        yield stub(NODED, http_call(client, NODED, DEADLINE_SECONDS))


@asynccontextmanager
async def at_the_door(env: Environment) -> AsyncIterator[NodeD]:
    """Call a machine's NodeD from the machine itself."""
    pool = RpcPool(NODED, env.network, env.paths.socket(SOCKET_NAME))
    try:
        yield stub(NODED, pool.call(DEADLINE_SECONDS))
    finally:
        await pool.aclose()


def ticket(step: int, job: int = 1) -> Ticket:
    return Ticket(Key(JobId(job), 0, step), Attempt(1), Epoch(1), f"digest {step}")
