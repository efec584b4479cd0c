"""The fork server in a simulated node: children are tasks of the same loop.

It speaks the same protocol as the real one, and refuses what that refuses: two processes of one
job, and a socket at which somebody answers. Its children outlive it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.daemons.job.main import main as job_main
from gantry.daemons.luxid.launcher import Child, Launcher
from gantry.protocols.codec import dump, from_bytes, load, to_bytes
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.jobproc import NotSpawned, Spawned, SpawnRequest
from gantry.runtime.environment import Environment
from gantry.runtime.testing.life import Life
from gantry.runtime.testing.machine import Machine, MemoryProcess

FORK_SECONDS: Final = (0.001, 0.01)
RETRY_SECONDS: Final = 0.05


@define(eq=False)
class Children:
    """What a fork server knows; lost with it."""

    by_job: dict[int, tuple[SpawnRequest, MemoryProcess]] = field(factory=dict)


@define(eq=False)
class ForkServer:
    """All fork servers that one machine has, one after the other."""

    machine: Machine
    spawned: Callable[[MemoryProcess, SpawnRequest], None]
    """Told of every job's process."""
    ended: Callable[[MemoryProcess], None]
    """Told of the end of every one."""
    now: tuple[MemoryProcess, Children] | None = None

    async def main(self, process: MemoryProcess, env: Environment) -> None:
        """Be the fork server's process."""
        self.now = process, Children()
        env.readiness.notify("READY=1")
        await trio.sleep_forever()

    @property
    def process(self) -> MemoryProcess | None:
        """The process of the newest one."""
        return None if self.now is None else self.now[0]

    @property
    def is_alive(self) -> bool:
        """Whether one runs."""
        return self.process is not None and not self.process.life.is_over

    async def answer(
        self, request: SpawnRequest
    ) -> tuple[Spawned, MemoryProcess] | NotSpawned | None:
        """Have a process made; ``None``: no fork server runs."""
        if self.now is None or self.now[0].life.is_over:
            return None
        job, attempt = request.job, request.attempt
        known, process = self.now[1].by_job.get(job, (None, None))
        if process is None or process.life.is_over:
            listener = self.machine.listener_of(Path(request.socket))
            if listener is not None:
                return NotSpawned(job, attempt, "a process answers there already")
            process = self.machine.prepare(f"job-{job}")
            self.now[1].by_job[job] = request, process
            self.spawned(process, request)
            # In a task of its own: who asked may die meanwhile, and the child is made all the same.
            bound = trio.Event()
            self.machine.nursery.start_soon(self._live, process, request, bound)
            await bound.wait()
        elif known != request:
            return NotSpawned(job, attempt, "an earlier attempt still lives")
        return Spawned(job, attempt, process.pid), process

    async def _live(self, process: MemoryProcess, request: SpawnRequest, bound: trio.Event) -> None:
        """Be a child from its socket to its burial."""
        path, server = Path(request.socket), self.now
        listener = await process.env.network.listen_unix(path, 0o600)

        async def run(env: Environment) -> None:
            await job_main(env, listener, request)

        self.machine.begin(process, run)
        bound.set()
        await process.ended.wait()
        self.ended(process)
        if server is not None and not server[0].life.is_over:
            await self.machine.mounts.remove(path)


@frozen
class SimulatedChild(Child):
    """A job's process as one LuxiD knows it."""

    process: MemoryProcess
    life: Life

    @property
    @override
    def pid(self) -> int:
        return self.process.pid

    @override
    def kill(self) -> None:
        self.life.check()
        self.process.kill()

    @override
    async def ended(self) -> None:
        await self.process.ended.wait()
        self.life.check()

    @override
    def close(self) -> None:
        """Nothing is held."""


@frozen
class SimulatedLauncher(Launcher):
    """A LuxiD's way to its fork server."""

    server: ForkServer
    life: Life
    seconds: Callable[[], float]

    @override
    async def run(self) -> None:
        await trio.sleep_forever()

    @override
    async def spawn(self, request: SpawnRequest) -> Child | NotSpawned:
        sent = load(SpawnRequest, from_bytes(to_bytes(dump(request))))
        while not self.server.is_alive:  # noqa: ASYNC110 - as the real link tries again
            await trio.sleep(RETRY_SECONDS)
        asked = self.server.process
        await trio.sleep(self.seconds())
        self.life.check()
        answer = None if asked is None or asked.life.is_over else await self.server.answer(sent)
        await trio.sleep(self.seconds())
        if answer is None or asked is None or asked.life.is_over:
            raise ConnectionLost("the fork server is gone")
        if isinstance(answer, NotSpawned):
            return answer
        return SimulatedChild(answer[1], self.life)

    @override
    async def adopt(self, path: Path) -> Child | None:
        await trio.lowlevel.checkpoint()
        self.life.check()
        pid = self.server.machine.listener_of(path)
        process = None if pid is None else self.server.machine.processes.get(pid)
        return None if process is None else SimulatedChild(process, self.life)


def forking(seconds: Callable[[float, float], float]) -> Callable[[], float]:
    """Return how long a fork takes, drawn anew each time."""
    return partial(seconds, *FORK_SECONDS)
