"""LuxiD's end of the fork server, against a real one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gantry.daemons.luxid.launcher import Child, ForkServerLink
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.jobproc import FORK_SERVER_SOCKET, NotSpawned, SpawnRequest
from gantry.runtime.files import RealFiles
from gantry.runtime.paths import Paths

ROOT = Path(__file__).parents[4]
SCRIPTED_JOB = "tests.unit.daemons.forkserver.scripted_job:run"
PATIENCE_SECONDS = 20.0


class ForkServer:
    """A real fork server that can be started again."""

    def __init__(self, root: Path) -> None:
        self.variables = {"GANTRY_ROOT": str(root), "XDG_RUNTIME_DIR": str(root)}
        self.paths = Paths.of(self.variables)
        self.process: trio.Process | None = None

    @property
    def path(self) -> Path:
        return self.paths.socket(FORK_SERVER_SOCKET)

    def request(self, job: int) -> SpawnRequest:
        path = str(self.paths.socket(f"job-{job}"))
        return SpawnRequest(JobId(job), Attempt(1), path)

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        notify = self.paths.root / "notify"
        notify.unlink(missing_ok=True)
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            await manager.bind(str(notify))
            self.process = await trio.lowlevel.open_process(
                [
                    sys.executable,
                    "-m",
                    "gantry.daemons.forkserver.main",
                    "--job-main",
                    SCRIPTED_JOB,
                ],
                cwd=ROOT,
                env={**os.environ, **self.variables, "NOTIFY_SOCKET": str(notify)},
                stderr=subprocess.DEVNULL,
            )
            with trio.fail_after(PATIENCE_SECONDS):
                assert await manager.recv(100) == b"READY=1"

    async def kill(self) -> None:
        """Let it die at once."""
        if self.process is not None:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def linked(root: Path) -> AsyncIterator[tuple[ForkServer, ForkServerLink]]:
    """Run a server and a link; its children are killed at the end."""
    server = ForkServer(root)
    await server.start()
    link = ForkServerLink(RealFiles(), server.path)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)
            yield server, link
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await server.kill()


async def made(link: ForkServerLink, request: SpawnRequest) -> Child:
    with trio.fail_after(PATIENCE_SECONDS):
        child = await link.spawn(request)
    assert not isinstance(child, NotSpawned)
    return child


async def ended(child: Child) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        await child.ended()
    child.close()


async def describe(request: SpawnRequest) -> bytes:
    async with await trio.open_unix_socket(request.socket) as stream:
        await stream.send_all(b"describe")
        return bytes(await stream.receive_some(65536))


async def test_a_process_is_made_watched_and_killed(tmp_path: Path) -> None:
    async with linked(tmp_path) as (server, link):
        child = await made(link, server.request(1))
        assert b'"job":1' in await describe(server.request(1))
        child.kill()
        await ended(child)


async def test_many_processes_at_once(tmp_path: Path) -> None:
    async with linked(tmp_path) as (server, link):
        children: list[Child] = []

        async def one(job: int) -> None:
            children.append(await made(link, server.request(job)))

        async with trio.open_nursery() as nursery:
            for job in range(1, 11):
                nursery.start_soon(one, job)
        assert len({child.pid for child in children}) == 10
        for child in children:
            child.kill()
            await ended(child)


async def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    async with linked(tmp_path) as (_, link):
        refused = await link.spawn(SpawnRequest(JobId(1), Attempt(1), "/nonexistent/job-1"))
        assert isinstance(refused, NotSpawned)


async def test_a_server_that_was_started_again_is_found(tmp_path: Path) -> None:
    async with linked(tmp_path) as (server, link):
        first = await made(link, server.request(1))
        await server.kill()
        await server.start()
        second = await made(link, server.request(2))
        for child in (first, second):  # the first one lives on, and is watched as before
            child.kill()
            await ended(child)


async def test_a_job_without_a_server_is_adopted_by_its_socket(tmp_path: Path) -> None:
    async with linked(tmp_path) as (server, link):
        made_first = await made(link, server.request(1))
        await describe(server.request(1))  # it has reached its own code
        await server.kill()
        adopted = await link.adopt(Path(server.request(1).socket))
        assert adopted is not None
        assert adopted.pid == made_first.pid
        made_first.close()
        adopted.kill()
        await ended(adopted)
        assert await link.adopt(Path(server.request(1).socket)) is None


async def test_nobody_is_adopted_where_nobody_is(tmp_path: Path) -> None:
    assert await ForkServerLink(RealFiles(), tmp_path / "none").adopt(tmp_path / "job-1") is None


async def test_a_server_that_dies_while_it_is_asked_is_a_lost_connection(tmp_path: Path) -> None:
    path = tmp_path / "fork-server"
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        await listening.bind(str(path))
        listening.listen(1)
        link = ForkServerLink(RealFiles(), path)

        async def die() -> None:
            connection, _ = await listening.accept()
            await connection.recv(1000)
            connection.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)
            nursery.start_soon(die)
            with trio.fail_after(PATIENCE_SECONDS), pytest.raises(ConnectionLost):
                await link.spawn(SpawnRequest(JobId(1), Attempt(1), "x"))
            nursery.cancel_scope.cancel()
