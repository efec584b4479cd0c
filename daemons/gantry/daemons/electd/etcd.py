"""The office of the master as a key of etcd, over the JSON form of its v3 API.

See etcd's manual, "gRPC gateway": keys and values are base64, and 64-bit numbers are strings.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Mapping
from typing import Final

from attrs import define, field

from gantry.daemons.electd.settings import Endpoint, Settings
from gantry.protocols.codec import Json, Malformed, from_bytes, to_bytes
from gantry.protocols.errors import ConnectionLost, GantryError
from gantry.runtime.environment import Environment
from gantry.runtime.http.client import HttpClient

ASK_SECONDS_MAX: Final = 2.0
"""One member that takes longer counts as down; the next one is asked."""

OK: Final = 200


class EtcdFailed(GantryError):
    """No member of etcd could do what it was asked; the text says why."""


@define
class Office:
    """The key; one task at a time uses it. :meth:`aclose` closes the connections."""

    _env: Environment
    _settings: Settings
    _key: str
    _me: str
    _lease: str | None = field(default=None, init=False)
    """The lease on which this node holds the office."""
    _clients: dict[Endpoint, HttpClient] = field(factory=dict, init=False)
    _tls: ssl.SSLContext | None = field(default=None, init=False)

    async def holder(self) -> str | None:
        """Return who holds the office.

        Raises:
            EtcdFailed: it is not known.
        """
        answer = await self._ask("/v3/kv/range", {"key": _encoded(self._key)})
        found = answer.get("kvs")
        if not isinstance(found, list) or not found:
            return None
        match found[0]:
            case {"value": str() as value}:
                return _decoded(value)
            case _:
                return ""

    async def take(self) -> bool:
        """Take the office if it is vacant, and say whether this node has got it.

        Raises:
            EtcdFailed: it is not known.
        """
        granted = await self._ask("/v3/lease/grant", {"TTL": str(self._settings.lease_seconds)})
        lease = str(granted.get("ID"))
        key = _encoded(self._key)
        put = {"key": key, "value": _encoded(self._me), "lease": lease}
        answer = await self._ask(
            "/v3/kv/txn",
            {
                "compare": [{"key": key, "target": "CREATE", "createRevision": "0"}],
                "success": [{"requestPut": put}],
            },
        )
        if answer.get("succeeded") is not True:
            await self._revoke(lease)
            return False
        self._lease = lease
        return True

    async def keep(self) -> bool:
        """Keep the office, and say whether this node still has it.

        Raises:
            EtcdFailed: it is not known.
        """
        if self._lease is None:  # an earlier life of this daemon has taken it
            return await self._take_over()
        answer = await self._ask("/v3/lease/keepalive", {"ID": self._lease})
        result = answer.get("result")
        alive = isinstance(result, dict) and _is_positive(result.get("TTL"))
        if not alive:
            self._lease = None
        return alive

    async def _take_over(self) -> bool:
        """Put the key on a lease of this life, if it still names this node."""
        key, value = _encoded(self._key), _encoded(self._me)
        granted = await self._ask("/v3/lease/grant", {"TTL": str(self._settings.lease_seconds)})
        lease = str(granted.get("ID"))
        answer = await self._ask(
            "/v3/kv/txn",
            {
                "compare": [{"key": key, "target": "VALUE", "value": value}],
                "success": [{"requestPut": {"key": key, "value": value, "lease": lease}}],
            },
        )
        if answer.get("succeeded") is not True:
            await self._revoke(lease)
            return False
        self._lease = lease
        return True

    async def resign(self) -> None:
        """Give the office back, if this node holds it.

        Raises:
            EtcdFailed: it may still be held; it ends with its lease.
        """
        if self._lease is None and not await self._take_over():
            return
        lease, self._lease = self._lease, None
        if lease is not None:
            await self._revoke(lease)

    async def _revoke(self, lease: str) -> None:
        await self._ask("/v3/lease/revoke", {"ID": lease})

    async def aclose(self) -> None:
        """Close all connections; the office ends with its lease."""
        for client in self._clients.values():
            await client.aclose()

    async def _ask(self, target: str, body: Mapping[str, Json]) -> Mapping[str, Json]:
        problems: list[str] = []
        for endpoint in self._settings.endpoints:
            try:
                return await self._ask_one(endpoint, target, body)
            except (ConnectionLost, EtcdFailed, Malformed, OSError) as error:
                problems.append(str(error))
        raise EtcdFailed("; ".join(problems))

    async def _ask_one(
        self, endpoint: Endpoint, target: str, body: Mapping[str, Json]
    ) -> Mapping[str, Json]:
        client = await self._client(endpoint)
        reply = await client.request(
            "POST", target, body=to_bytes(dict(body)), deadline_seconds=ASK_SECONDS_MAX
        )
        if reply.status != OK:
            said = reply.body[:200].decode(errors="replace").strip()
            raise EtcdFailed(f"{client.name} answers {reply.status} to {target}: {said}")
        answer = from_bytes(reply.body)
        if not isinstance(answer, dict):
            raise EtcdFailed(f"{client.name} is no etcd: it answers {target} with no JSON object")
        return answer

    async def _client(self, endpoint: Endpoint) -> HttpClient:
        if endpoint not in self._clients:
            tls = await self._context() if endpoint.encrypted else None
            self._clients[endpoint] = HttpClient(
                self._env.network, endpoint.host, endpoint.port, tls
            )
        return self._clients[endpoint]

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None and self._settings.authority is not None:
            authority = await self._env.files.read(self._settings.authority)
            self._tls = await self._env.tls.client(authority, self._settings.certificate)
        if self._tls is None:
            raise EtcdFailed("no authority for etcd's certificates is known")
        return self._tls


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode(errors="replace")
    except ValueError as error:
        raise EtcdFailed(f"etcd holds what is no base 64: {error}") from None


def _is_positive(number: Json) -> bool:
    """Whether it is a number above 0, which etcd writes as a string."""
    return re.fullmatch("0*[1-9][0-9]{0,18}", str(number)) is not None
