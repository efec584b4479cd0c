"""The stage of a rehearsal: LuxiD, WConfD and a NodeD, played for jobs of another process.

They answer on sockets and from files of a temporary folder; the certificates are made for the
occasion.
"""

from __future__ import annotations

import os
import socket
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn, cast

import trio
from attrs import evolve, frozen

from gantry.core.founding.configuration import FoundingFacts, first_configuration
from gantry.core.founding.request import parse_request
from gantry.protocols.codec import Json, from_bytes
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

NODE: Final = NodeUuid("00000000-0000-4000-8000-000000000001")
NAME: Final = "node.rehearsal"
ADDRESS: Final = "127.0.0.1"

MESSAGE_BYTES_MAX: Final = 65536


def below(env: Environment, folder: str) -> Environment:
    """Return a world whose files and sockets are in a folder."""
    return evolve(env, paths=Paths(Path(folder), Path(folder)))


def spawn_request(env: Environment, number: int) -> SpawnRequest:
    """Return how a rehearsed job is called."""
    path = env.paths.socket(f"job-{number}")
    return SpawnRequest(JobId(number), Attempt(1), str(path))


def play(env: Environment, channel: socket.socket) -> NoReturn:
    """Play in this process, which was forked for it, until the channel is closed; then leave it.

    Says on which port the node answers; is told of each job, whose socket listens already, with a
    number and an opcode.
    """
    status = os.EX_SOFTWARE
    try:
        trio.run(_play, env, channel)
        status = os.EX_OK
    except BaseException:  # noqa: BLE001 - whatever it was, the process ends here
        traceback.print_exc()
    finally:
        os._exit(status)


async def _play(env: Environment, channel: socket.socket) -> None:
    told = trio.socket.from_stdlib_socket(channel)
    async with open_plain_nursery() as nursery:
        await _keep_configuration(env, nursery)
        port = await _be_node(env, nursery)
        await told.send(str(port).encode())
        while data := await told.recv(MESSAGE_BYTES_MAX):
            number, opcode = cast("tuple[int, dict[str, Json]]", from_bytes(data))
            await _conduct(env, spawn_request(env, number), opcode)
        nursery.cancel_scope.cancel()


async def _keep_configuration(env: Environment, nursery: trio.Nursery) -> None:
    """Have WConfD answer."""
    keeper = _WConfD(_configuration(env.clock.now()))
    listener = await env.network.listen_unix(env.paths.socket(SOCKET_NAME), 0o600)
    nursery.start_soon(serve, WCONFD, cast(WConfD, keeper), listener)


async def _be_node(env: Environment, nursery: trio.Nursery) -> int:
    """Have a NodeD answer at its door and on a port, which is returned."""
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
    return port


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


async def _conduct(env: Environment, spawn: SpawnRequest, opcode: dict[str, Json]) -> None:
    """Play LuxiD for one job."""
    async with connect(JOB_PROCESS, env.network, Path(spawn.socket)) as process:
        said = await process.assign(_assignment(spawn, opcode))
        while not any(isinstance(each.event, Ended) for each in said):
            said = await process.events(said[-1].number)
        with suppress(ConnectionLost):
            await process.events(said[-1].number)


def _assignment(spawn: SpawnRequest, opcode: dict[str, Json]) -> Assignment:
    return Assignment(
        job=spawn.job,
        attempt=spawn.attempt,
        epoch=Epoch(1),
        mode="run",
        opcodes=(opcode,),
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
