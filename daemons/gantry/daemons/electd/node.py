"""What the election daemon sees of its own node."""

from __future__ import annotations

from typing import Final

import trio
from attrs import frozen

from gantry.core.election import ReplicaSeen
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.errors import ConnectionLost, ServiceError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import PORT
from gantry.protocols.replication import LEADING, REPLICAS, STREAMS, Stream, leading_socket
from gantry.protocols.service import stub
from gantry.runtime.allegiance import read_allegiance
from gantry.runtime.environment import Environment
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.service import http_call
from gantry.runtime.membership import own_certificate
from gantry.runtime.rpc import connect
from gantry.security.certificates import expect_node
from gantry.security.pem_files import AUTHORITY_PEM, CLIENT_PEM

ASK_SECONDS_MAX: Final = 2.0
"""A daemon of this node that takes longer counts as down."""


@frozen
class OwnNode:
    """Looks at the daemons and files of this node."""

    _env: Environment

    async def is_master(self) -> bool:
        """Whether this node's master daemons are to lead."""
        allegiance = await read_allegiance(self._env.files, self._env.paths)
        if allegiance.reign > FIRST_EPOCH:
            return allegiance.may_lead
        # In the first epoch nobody was told to lead.
        return allegiance.may_lead and self._env.node in await self._names("master_node")

    async def is_candidate(self) -> bool:
        """Whether this node may be promoted, as far as it knows."""
        return self._env.node in await self._names("master_candidates")

    async def cluster_name(self) -> str:
        """Return the name of the cluster, or an empty text."""
        return " ".join(await self._names("cluster_name"))

    async def _names(self, key: str) -> list[str]:
        try:
            raw = await self._env.files.read(self._env.paths.data / f"ssconf_{key}")
        except FileNotFoundError:
            return []
        return raw.decode(errors="replace").split()

    async def leads(self) -> bool:
        """Whether the master daemons of this node lead both streams, with a lease."""
        return all([await self._leads(stream) for stream in STREAMS])

    async def _leads(self, stream: Stream) -> bool:
        path = self._env.paths.socket(leading_socket(stream))
        try:
            with trio.fail_after(ASK_SECONDS_MAX):
                async with connect(LEADING, self._env.network, path) as leading:
                    return (await leading.figures()).has_lease
        except (ConnectionLost, ServiceError, trio.TooSlowError):
            return False

    async def replica(self) -> ReplicaSeen | None:
        """Return what NodeD knows of a master; ``None`` if it does not answer."""
        own = await own_certificate(self._env)
        if own is None:
            return None
        data = self._env.paths.data
        authority = await self._env.files.read(data / AUTHORITY_PEM)
        tls = await self._env.tls.client(authority, data / CLIENT_PEM)
        port = int(self._env.variables.get("GANTRY_NODED_PORT", PORT))
        who = expect_node(NodeUuid(own.common_name))
        address = await self._env.address()
        try:
            async with HttpClient(self._env.network, address, port, tls, who) as client:
                replicas = stub(REPLICAS, http_call(client, REPLICAS, ASK_SECONDS_MAX))
                states = [await replicas.replica_state(stream) for stream in STREAMS]
        except (ConnectionLost, ServiceError, OSError):
            return None
        heard = min(each.heard_seconds for each in states)
        return ReplicaSeen(heard, max(each.promised for each in states))
