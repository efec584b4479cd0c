"""The master's way to the nodes' NodeDs: HTTPS with mutual TLS, one kept-alive pool per node.

To the NodeD of its own node the way is a unix socket, which saves the two handshakes; one that has
none, since it is older, is called as all others are.

A call whose connection is lost is made again: readings may be, and changes carry a key under
which NodeD attaches the repeat to the call in flight or answers from its journal.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import trio
from attrs import define, field

from gantry.protocols.codec import Json
from gantry.protocols.errors import ConnectionLost, OpExecError, Unreachable
from gantry.protocols.identity import NodeUuid
from gantry.protocols.job_archive import JOB_ARCHIVE, JobArchive
from gantry.protocols.noded import NODED, PORT, SOCKET_NAME, NodeD
from gantry.protocols.objects.node import Node
from gantry.protocols.replication import REPLICAS, Replicas
from gantry.protocols.service import Call, Method, Service, stub
from gantry.runtime.environment import Environment
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.service import http_call
from gantry.runtime.rpc_pool import RpcPool
from gantry.security.certificates import expect_node
from gantry.security.pem_files import AUTHORITY_PEM, CLIENT_PEM

T = TypeVar("T")

UNREACHABLE_SECONDS_MAX: Final = 5.0
"""A NodeD that restarts is back in this time; one that is not back counts as down."""

RETRY_SECONDS_FIRST: Final = 0.05
RETRY_SECONDS_MAX: Final = 1.0

FindNode = Callable[[NodeUuid], Awaitable[Node]]
"""Looks a node up in the configuration; raises a GanetiError if there is none."""


@define
class NodeLinks:
    """Connections to nodes, made when first needed. Made by :meth:`opened`."""

    _env: Environment
    _find: FindNode
    _tls: ssl.SSLContext | None = field(default=None, init=False)
    """Made when the first node is called: many jobs call none."""
    _clients: dict[tuple[str, NodeUuid], HttpClient] = field(factory=dict, init=False)
    _known: dict[NodeUuid, Node] = field(factory=dict, init=False)
    _door: RpcPool = field(init=False)
    """The way to this node's own NodeD."""

    def __attrs_post_init__(self) -> None:
        path = self._env.paths.socket(SOCKET_NAME)
        self._door = RpcPool(NODED, self._env.network, path)

    @classmethod
    @asynccontextmanager
    async def opened(cls, env: Environment, find: FindNode) -> AsyncIterator[NodeLinks]:
        """Open the links; leaving the context closes all connections."""
        links = cls(env, find)
        try:
            yield links
        finally:
            await links._door.aclose()
            for client in links._clients.values():
                await client.aclose()

    def know(self, nodes: Iterable[Node]) -> None:
        """Take note of nodes that were read: they need not be looked up."""
        self._known.update((node.uuid, node) for node in nodes)

    def name(self, node: NodeUuid) -> str:
        """Return the name of a node that is known, such as one that was called.

        Raises:
            OpExecError: it never was, since it is no node of the cluster any more.
        """
        if node not in self._known:
            raise OpExecError(f"there is no node {node}")
        return self._known[node].name

    async def ask(
        self, node: NodeUuid, question: Callable[[NodeD], Awaitable[T]], deadline_seconds: float
    ) -> T:
        """Call a method of a node that is known by its UUID. See :meth:`ask_at`."""
        return await self.ask_at(await self._node(node), question, deadline_seconds)

    async def ask_at(
        self, node: Node, question: Callable[[NodeD], Awaitable[T]], deadline_seconds: float
    ) -> T:
        """Call a method of a node.

        Raises:
            ServiceError: the node's answer.
            ConnectionLost: no answer in time; whether the node acted is unknown.
            Unreachable: nobody answers there; the node did not act.
        """
        remote = stub(NODED, await self._way_to(node, deadline_seconds))
        return await self._again(lambda: question(remote), node, deadline_seconds)

    async def ask_replicas(
        self, node: Node, question: Callable[[Replicas], Awaitable[T]], deadline_seconds: float
    ) -> T:
        """Call a method of a node's replicas; see :meth:`ask_at` for the errors."""
        remote = stub(REPLICAS, await self._way_to(node, deadline_seconds, REPLICAS))
        return await self._again(lambda: question(remote), node, deadline_seconds)

    async def ask_archive(
        self,
        node: NodeUuid,
        question: Callable[[JobArchive], Awaitable[T]],
        deadline_seconds: float,
    ) -> T:
        """Call a method of a node's archive; see :meth:`ask_at` for the errors."""
        found = await self._node(node)
        remote = stub(JOB_ARCHIVE, await self._way_to(found, deadline_seconds, JOB_ARCHIVE))
        return await self._again(lambda: question(remote), found, deadline_seconds)

    async def call(
        self, node: NodeUuid, method: str, args: Mapping[str, Json], deadline_seconds: float
    ) -> Json:
        """Make a call whose arguments are in their wire form; see :meth:`ask_at` for the errors."""
        found = await self._node(node)
        way = await self._way_to(found, deadline_seconds)
        declared = NODED.methods[method]
        return await self._again(lambda: way(method, declared, args), found, deadline_seconds)

    async def _node(self, node: NodeUuid) -> Node:
        if node not in self._known:
            self._known[node] = await self._find(node)
        return self._known[node]

    async def _way_to(
        self, node: Node, deadline_seconds: float, service: Service[Any] = NODED
    ) -> Call:
        if service is NODED and node.name == self._env.node:
            return self._way_here(node, deadline_seconds)
        return await self._way_there(node, deadline_seconds, service)

    def _way_here(self, node: Node, deadline_seconds: float) -> Call:
        through_the_door = self._door.call(deadline_seconds)

        async def call(wire_name: str, method: Method, args: Mapping[str, object]) -> object:
            try:
                return await through_the_door(wire_name, method, args)
            except Unreachable:
                way = await self._way_there(node, deadline_seconds, NODED)
                return await way(wire_name, method, args)

        return call

    async def _way_there(self, node: Node, deadline_seconds: float, service: Service[Any]) -> Call:
        where = (node.primary_ip, node.uuid)
        if self._tls is None:
            self._tls = await _credentials(self._env)
        if where not in self._clients:
            port = int(self._env.variables.get("GANTRY_NODED_PORT", PORT))
            # A machine that is just being added has no UUID in the configuration yet.
            check = expect_node(node.uuid) if node.uuid else None
            self._clients[where] = HttpClient(
                self._env.network, node.primary_ip, port, self._tls, check
            )
        return http_call(self._clients[where], service, deadline_seconds)

    async def _again(
        self, ask: Callable[[], Awaitable[T]], node: Node, deadline_seconds: float
    ) -> T:
        """Ask until there is an answer, or it is clear that none will come."""
        began, delay = trio.current_time(), RETRY_SECONDS_FIRST
        away_since: float | None = None
        has_been_asked = False
        while True:
            try:
                with trio.fail_after(max(0.0, began + deadline_seconds - trio.current_time())):
                    return await ask()
            except trio.TooSlowError:
                raise ConnectionLost(f"no answer within {deadline_seconds:g} s") from None
            except Unreachable as error:
                away_since = trio.current_time() if away_since is None else away_since
                if trio.current_time() - away_since > UNREACHABLE_SECONDS_MAX:
                    if has_been_asked:
                        raise ConnectionLost(str(error)) from error
                    raise
            except ConnectionLost:
                away_since, has_been_asked = None, True
                if trio.current_time() - began > deadline_seconds:
                    raise
            await trio.sleep(delay)
            delay = min(2 * delay, RETRY_SECONDS_MAX)


async def _credentials(env: Environment) -> ssl.SSLContext:
    """Return the context with which this node speaks to others."""
    authority = await env.files.read(env.paths.data / AUTHORITY_PEM)
    return await env.tls.client(authority, env.paths.data / CLIENT_PEM)
