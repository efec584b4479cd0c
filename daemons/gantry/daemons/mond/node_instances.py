"""What runs on this node, asked of its NodeD, and what is meant to, asked of RConfD."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol, get_args

import trio
from attrs import define, field, frozen
from typing_extensions import override

from gantry.core.ssconf import FILE_PREFIX
from gantry.protocols.codec import Json, Malformed
from gantry.protocols.identity import InstanceUuid, NodeUuid
from gantry.protocols.noded import NODED
from gantry.protocols.noded import PORT as NODED_PORT
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.vocabulary import AdminState
from gantry.protocols.objects.wire import load_object
from gantry.protocols.rconfd import RequestType, Status
from gantry.protocols.runtime_types import HypervisorName, InstanceRuntime
from gantry.protocols.service import stub
from gantry.runtime.confd_client import NoAnswer, ask_cluster
from gantry.runtime.environment import Environment
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.service import http_call
from gantry.runtime.membership import own_certificate
from gantry.security.certificates import expect_node
from gantry.security.pem_files import AUTHORITY_PEM, CLIENT_PEM

NODED_SECONDS_MAX: Final = 5.0
"""NodeD is on the same machine; what takes longer is stuck."""

FRESH_SECONDS: Final = 1.0
"""An answer serves all that ask within this time: several scrapers cost NodeD one call."""

HYPERVISORS_FILE: Final = f"{FILE_PREFIX}hypervisor_list"


class Unavailable(Exception):
    """Nobody could say; the text says who was asked and why it failed."""


@frozen
class Intended:
    """An instance as the configuration has it."""

    name: str
    uuid: InstanceUuid
    admin_state: AdminState
    mtime: float


class NodeInstances(Protocol):
    """What is known of this node's instances. Both raise :class:`Unavailable`."""

    async def running(self) -> tuple[InstanceRuntime, ...]:
        """Return what the hypervisors of this node have."""

    async def intended(self) -> tuple[Intended, ...]:
        """Return the instances whose primary node this is."""


@define
class AskedInstances(NodeInstances):
    """Asks NodeD with the node's own certificate. Made by :meth:`opened`."""

    _env: Environment
    _client: HttpClient | None = field(default=None, init=False)
    _answer: tuple[float, tuple[InstanceRuntime, ...]] | None = field(default=None, init=False)
    _asking: trio.Lock = field(factory=trio.Lock, init=False)

    @classmethod
    @asynccontextmanager
    async def opened(cls, env: Environment) -> AsyncIterator[AskedInstances]:
        """Open the way to NodeD; leaving the context closes its connections."""
        asked = cls(env)
        try:
            yield asked
        finally:
            await asked._disconnect()

    @override
    async def running(self) -> tuple[InstanceRuntime, ...]:
        async with self._asking:
            if self._answer is None or trio.current_time() - self._answer[0] > FRESH_SECONDS:
                found = await self._asked()
                self._answer = trio.current_time(), found
            return self._answer[1]

    async def _asked(self) -> tuple[InstanceRuntime, ...]:
        hypervisors = await self._hypervisors()
        if not hypervisors:
            return ()
        try:
            if self._client is None:
                self._client = await self._connected()
            noded = stub(NODED, http_call(self._client, NODED, NODED_SECONDS_MAX))
            return await noded.instances(hypervisors)
        except Exception as error:  # whatever NodeD's trouble is, it becomes ours to tell
            await self._disconnect()  # the node may have got a new certificate
            raise Unavailable(f"NodeD: {error}") from error

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _connected(self) -> HttpClient:
        own = await own_certificate(self._env)
        if own is None:
            raise Unavailable("this machine is no node of a cluster")
        data = self._env.paths.data
        authority = await self._env.files.read(data / AUTHORITY_PEM)
        tls = await self._env.tls.client(authority, data / CLIENT_PEM)
        address = await self._env.address()
        who = expect_node(NodeUuid(own.common_name))
        port = int(self._env.variables.get("GANTRY_NODED_PORT", NODED_PORT))
        return HttpClient(self._env.network, address, port, tls, who)

    async def _hypervisors(self) -> tuple[str, ...]:
        """Return the cluster's hypervisors, as far as NodeD has drivers for them."""
        try:
            text = await self._env.files.read(self._env.paths.data / HYPERVISORS_FILE)
        except FileNotFoundError:
            return ()
        return tuple(
            name
            for name in text.decode(errors="replace").split()
            if name in get_args(HypervisorName)
        )

    @override
    async def intended(self) -> tuple[Intended, ...]:
        try:
            answer = await ask_cluster(self._env, RequestType.NODE_INSTANCES, self._env.node)
        except (NoAnswer, OSError) as error:
            raise Unavailable(f"RConfD: {error}") from error
        reply = answer.reply
        if reply.status is not Status.OK:
            raise Unavailable(f"RConfD: error {reply.answer}")
        try:
            return _parsed(reply.answer)
        except Malformed as error:
            raise Unavailable(f"RConfD: {error}") from error


def _parsed(answer: Json) -> tuple[Intended, ...]:
    match answer:
        case [list(primary), list(_)]:
            found = [load_object(Instance, each) for each in primary if not _is_forthcoming(each)]
            return tuple(Intended(i.name, i.uuid, i.admin_state, i.mtime) for i in found)
        case _:
            raise Malformed("expected the primary and the secondary instances")


def _is_forthcoming(sent: Json) -> bool:
    return isinstance(sent, dict) and sent.get("forthcoming") is True
