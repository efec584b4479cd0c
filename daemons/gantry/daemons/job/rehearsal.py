"""A rehearsal: some jobs from their first instruction to their last, before there is any.

CPython specialises code, fills caches and binds library functions as it goes, and OpenSSL does
likewise. What the process that jobs are forked from has done once, no job does again: neither the
work nor the copying of the memory pages that it is written to.

LuxiD, WConfD and a NodeD are played by a process of its own (:mod:`gantry.daemons.job.stage`), so
that what is left behind here is what jobs do, and nothing else: CPython looks methods up in a
table in which the newest takes the place of an older one. Nothing of the node's own is read or
written.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import trio
from attrs import define, evolve

from gantry.daemons.job.stage import MESSAGE_BYTES_MAX, NAME, below, play, spawn_request
from gantry.protocols.codec import Json, to_bytes
from gantry.protocols.jobproc import SpawnRequest
from gantry.runtime.environment import Environment

SECONDS_MAX: Final = 20.0
"""Jobs are made without a rehearsal rather than later than this."""

FIRST_ROUNDS: Final = 2
"""Enough to see what is called."""

ROUNDS: Final = 16
"""CPython 3.11 specialises a function that has been called eight times. Every second job calls a
node that is its own."""

LAST_ROUNDS: Final = 2
"""The last jobs call no node: what every job does has the last word in the caches."""

PLAIN: Final[dict[str, Json]] = {"OP_ID": "OP_TEST_DELAY", "duration": 0.0, "reason": []}
"""It takes a lock and has a step of its own."""

CALLING: Final[dict[str, Json]] = {**PLAIN, "on_nodes": [NAME]}
"""It reads the configuration and calls a node, too."""

Job = Callable[[Environment, int, SpawnRequest], Awaitable[None]]
"""A job process's life: in this world, with this listening socket, as this job."""


@define
class Rehearsal:
    """Jobs in this process, and whoever they speak with in another; made by :func:`rehearsing`."""

    _home: Environment
    """Of a job that runs on the node that it calls."""
    _away: Environment
    _channel: socket.socket
    _jobs: int = 0

    def run(self, job: Job, rounds: int) -> None:
        """Run jobs, one after the other; blocking.

        Raises:
            trio.TooSlowError: one takes too long.
            OSError: nobody plays any more.
        """
        for _ in range(rounds):
            self._run_one(job, CALLING)
        for _ in range(LAST_ROUNDS):
            self._run_one(job, PLAIN)

    def _run_one(self, job: Job, opcode: dict[str, Json]) -> None:
        self._jobs += 1
        env = self._home if self._jobs % 2 else self._away
        spawn = spawn_request(env, self._jobs)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(spawn.socket)
            listening.listen()
            self._channel.send(to_bytes([self._jobs, opcode]))
            trio.run(_bounded, job, env, listening.fileno(), spawn)


async def _bounded(job: Job, env: Environment, listener_fd: int, spawn: SpawnRequest) -> None:
    with trio.fail_after(SECONDS_MAX):
        await job(env, listener_fd, spawn)


@contextmanager
def rehearsing(env: Environment) -> Iterator[Rehearsal]:
    """Set the stage for the body; afterwards nothing is left of it.

    Raises:
        OSError: there is no room for a process, or it does not begin to play.
    """
    with tempfile.TemporaryDirectory(prefix="gantry-") as folder, ExitStack() as undoing:
        world = below(env, folder)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        undoing.callback(ours.close)
        with theirs:
            pid = os.fork()
            if pid == 0:
                ours.close()
                play(world, theirs)
        undoing.callback(os.waitpid, pid, 0)
        undoing.callback(os.kill, pid, signal.SIGKILL)
        ours.settimeout(SECONDS_MAX)
        port = ours.recv(MESSAGE_BYTES_MAX).decode()
        if not port:
            raise ConnectionError("the stage could not be set")
        away = evolve(world, variables={**world.variables, "GANTRY_NODED_PORT": port})
        yield Rehearsal(evolve(away, node=NAME), away, ours)
