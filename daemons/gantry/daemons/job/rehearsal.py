"""A rehearsal: some jobs from their first instruction to their last, before there is any.

CPython specialises code, fills caches and binds library functions as it goes, and OpenSSL does
likewise. What the process that jobs are forked from has done once, no job does again: neither the
work nor the copying of the memory pages that it is written to.

LuxiD, WConfD and a NodeD are played here, on sockets and files of a temporary folder; the
certificates are made for the occasion. Nothing of the node's own is read or written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, cast

import trio
from attrs import evolve, frozen
from trio.abc import Listener, Stream

from gantry.core.founding.configuration import FoundingFacts, first_configuration
from gantry.core.founding.request import parse_request
from gantry.protocols.codec import Json
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import (
    Attempt,
    ClusterUuid,
    Epoch,
    GroupUuid,
    JobId,
    NodeUuid,
    Ticket,
)
from gantry.protocols.jobproc import (
    JOB_PROCESS,
    Assignment,
    Ended,
    EventNumber,
    SpawnRequest,
)
from gantry.protocols.locks import Granted, LockOwner, LockRequest
from gantry.protocols.noded import NODED, NodeD
from gantry.protocols.noded import SOCKET_NAME as DOOR_NAME
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.records import Index
from gantry.protocols.wconfd import SOCKET_NAME, WCONFD, ConfigPart, Selection, WConfD
from gantry.runtime.environment import Environment
from gantry.runtime.http.server import HttpServer
from gantry.runtime.http.service import http_handler
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.paths import Paths
from gantry.runtime.rpc import connect, serve
from gantry.security.authority import NodeSubject, new_authority, new_signing_request, sign_request
from gantry.security.pem_files import (
    AUTHORITY_PEM,
    SERVER_PEM,
    SecurityFile,
    node_files,
    write_files,
)

SECONDS_MAX: Final = 20.0
"""Jobs are made without a rehearsal rather than later than this."""

NODE: Final = NodeUuid("00000000-0000-4000-8000-000000000001")
NAME: Final = "node.rehearsal"
ADDRESS: Final = "127.0.0.1"


FIRST_ROUNDS: Final = 2
"""Enough to see what is called."""

ROUNDS: Final = 16
"""CPython 3.11 specialises a function that has been called eight times. Every second job calls a
node that is its own."""

OPCODE: Final[dict[str, Json]] = {
    "OP_ID": "OP_TEST_DELAY",
    "duration": 0.0,
    "on_nodes": [NAME],
    "reason": [],
}
"""It takes a lock, reads the configuration, has a step of its own and calls a node."""


class Main(Protocol):
    """A job process's main function."""

    def __call__(
        self, env: Environment, listener: Listener[Stream], spawn: SpawnRequest, /
    ) -> Awaitable[None]:
        """Be a job process."""


async def rehearse(env: Environment, main: Main, rounds: int) -> None:
    """Run ``main`` as if there were jobs, one after the other.

    Raises:
        trio.TooSlowError: that took too long.
    """
    with tempfile.TemporaryDirectory(prefix="gantry-") as folder, trio.fail_after(SECONDS_MAX):
        async with open_plain_nursery() as nursery:
            stage = await _set(_below(env, folder), nursery)
            stage = await _add_node(stage, nursery)
            at_home = evolve(stage, node=NAME)
            for number in range(1, rounds + 1):
                spawn = _spawn_request(stage, number)
                listener = await env.network.listen_unix(Path(spawn.socket), 0o600)
                nursery.start_soon(main, at_home if number % 2 else stage, listener, spawn)
                await _conduct(stage, spawn)
            nursery.cancel_scope.cancel()


def _below(env: Environment, folder: str) -> Environment:
    return evolve(env, paths=Paths(Path(folder), Path(folder)))


def _spawn_request(env: Environment, number: int) -> SpawnRequest:
    path = env.paths.socket(f"job-{number}")
    return SpawnRequest(JobId(number), Attempt(1), str(path))


async def _set(env: Environment, nursery: trio.Nursery) -> Environment:
    """Return a world in which WConfD answers."""
    keeper = _WConfD(_configuration(env.clock.now()))
    listener = await env.network.listen_unix(env.paths.socket(SOCKET_NAME), 0o600)
    nursery.start_soon(serve, WCONFD, cast(WConfD, keeper), listener)
    return env


async def _add_node(env: Environment, nursery: trio.Nursery) -> Environment:
    """Return the world with a NodeD that answers, on its port and at its door."""
    data = env.paths.data
    await env.files.make_folder(data)
    await write_files(env.files, data, _certificates(env))
    tls = await env.tls.server(
        data / SERVER_PEM, "required", await env.files.read(data / AUTHORITY_PEM)
    )
    handler = http_handler(NODED, cast(NodeD, _NodeD()))
    node = HttpServer(handler, env.clock, env.random, tls=tls)
    door = await env.network.listen_unix(env.paths.socket(DOOR_NAME), 0o600)
    nursery.start_soon(serve, NODED, cast(NodeD, _NodeD()), door)
    listener = await env.network.listen_tcp(ADDRESS, 0)
    port = env.network.port_of(listener)
    await nursery.start(node.serve, [listener])
    return evolve(env, variables={**env.variables, "GANTRY_NODED_PORT": str(port)})


def _certificates(env: Environment) -> tuple[SecurityFile, ...]:
    now, random = env.clock.now(), env.random.bytes
    authority = new_authority(ClusterUuid(NODE), now, random)
    request = new_signing_request(NAME, random)
    subject = NodeSubject(NODE, NAME, ADDRESS)
    certificate = sign_request(authority, request.request_pem, subject, now, random)
    return node_files(request.completed(certificate), authority.certificate_pem)


def _configuration(now: float) -> Configuration:
    facts = FoundingFacts(
        now=now,
        cluster_uuid=ClusterUuid(NODE),
        node_uuid=NODE,
        group_uuid=GroupUuid(NODE),
        node_name=NAME,
        node_address=ADDRESS,
        cluster_address=ADDRESS,
        certificate_digest="",
        host_key="",
    )
    return first_configuration(parse_request({"cluster_name": "cluster.rehearsal"}), facts)


async def _conduct(env: Environment, spawn: SpawnRequest) -> None:
    """Play LuxiD for one job."""
    async with connect(JOB_PROCESS, env.network, Path(spawn.socket)) as process:
        await process.assign(_assignment(spawn))
        after, is_over = EventNumber(0), False
        while not is_over:
            said = await process.events(after)
            after = said[-1].number
            is_over = any(isinstance(each.event, Ended) for each in said)
        with suppress(ConnectionLost):
            await process.events(after)


def _assignment(spawn: SpawnRequest) -> Assignment:
    return Assignment(
        job=spawn.job,
        attempt=spawn.attempt,
        epoch=Epoch(1),
        mode="run",
        opcodes=(OPCODE,),
        finished=0,
        records=(),
        priority=0,
        log_serial=0,
    )


@frozen
class _WConfD:
    """What a rehearsed job asks of WConfD."""

    configuration: Configuration

    async def read(self, selection: Selection) -> ConfigPart:
        await trio.lowlevel.checkpoint()
        whole = self.configuration
        return ConfigPart(Index(1), whole.cluster, dict(whole.nodes.items()), {}, {}, {}, {})

    async def lock(
        self, owner: LockOwner, requests: tuple[LockRequest, ...], priority: int
    ) -> Granted:
        await trio.lowlevel.checkpoint()
        return Granted(())


class _NodeD:
    """What a rehearsed job asks of a node."""

    async def delay(self, ticket: Ticket, seconds: float) -> None:
        await trio.lowlevel.checkpoint()
