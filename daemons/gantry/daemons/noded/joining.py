"""The master's side of joining: tokens are issued and redeemed here, and only here."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Final

import trio
from attrs import define, field
from typing_extensions import override

from gantry.core.ssconf import FILE_PREFIX
from gantry.protocols.codec import Malformed, dump, from_bytes, load, to_bytes
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.join import (
    LIFETIME_SECONDS_MAX,
    Admission,
    Invitation,
    Join,
    JoinRefused,
)
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log
from gantry.runtime.membership import CREDENTIALS_FOLDER
from gantry.security.authority import BadSigningRequest, Credential, NodeSubject, sign_request
from gantry.security.certificates import Certificate
from gantry.security.join_token import (
    JoinToken,
    TokenRefused,
    TokenStore,
    issue,
    new_secret,
    pruned,
    redeem,
)
from gantry.security.pem_files import (
    AUTHORITY_KEY,
    AUTHORITY_PEM,
    HMAC_KEY,
    RAPI_PEM,
    SERVER_PEM,
)

TOKENS: Final = "join-tokens.json"
TOKENS_MODE: Final = 0o600
KEEP_SECONDS: Final = 30 * 86400.0
"""Tokens are remembered so long, so that a late user is told why and not just "unknown"."""

LOG: Final = Log("noded.join")


@define
class JoinService(Join):
    """Admits nodes; serves on every node, works on those that have the authority's key."""

    _env: Environment
    _port: int
    _epoch: Callable[[], Epoch]
    _lock: trio.Lock = field(factory=trio.Lock, init=False)

    @override
    async def authority(self) -> str:
        return (await self._read(AUTHORITY_PEM)).decode()

    @override
    async def issue(self, node: str, lifetime_seconds: float) -> Invitation:
        if not 0 < lifetime_seconds <= LIFETIME_SECONDS_MAX:
            days = LIFETIME_SECONDS_MAX / 86400
            raise JoinRefused(f"a token lives up to {days:g} days, not {lifetime_seconds:g} s")
        authority = await self._authority()
        fingerprint = Certificate.of_pem(authority.certificate_pem).sha256
        now = self._env.clock.now()
        token = JoinToken(
            address=await self._env.address(),
            port=self._port,
            authority=fingerprint,
            secret=new_secret(self._env.random.bytes),
            node=node,
            expires=now + lifetime_seconds,
        )
        async with self._lock:
            await self._store(issue(pruned(await self._tokens(), now, KEEP_SECONDS), token))
        LOG.info("token issued", node=node, expires=token.expires)
        return Invitation(token.to_text(), node, token.expires)

    @override
    async def admit(self, node: str, address: str, secret: str, request_pem: str) -> Admission:
        authority, address = await self._authority(), _checked(address)
        async with self._lock:
            redeemed = redeem(await self._tokens(), secret, node, self._env.clock.now())
            if isinstance(redeemed, TokenRefused):
                LOG.warning("join refused", node=node, address=address, reason=redeemed.reason)
                raise JoinRefused(redeemed.sentence())
            # Reads the configuration, which is dear: only for whoever was invited.
            subject = NodeSubject(await self._uuid(node), node, address)
            certificate = self._signed(authority, request_pem, subject)
            # Used up before it is answered: a lost answer costs a new token, never a second node.
            await self._store(redeemed.store)
        LOG.info("node admitted", node=node, address=address, uuid=subject.uuid)
        ssconf = await self._ssconf()
        secrets = {name: (await self._read(name)).decode() for name in (HMAC_KEY, RAPI_PEM)}
        return Admission(
            uuid=subject.uuid,
            certificate_pem=certificate.decode(),
            authority_pem=authority.certificate_pem.decode(),
            cluster_name=ssconf.get("cluster_name", ""),
            epoch=self._epoch(),
            secrets={**secrets, **await self._prepared(subject.uuid)},
            ssconf=ssconf,
        )

    async def _prepared(self, uuid: NodeUuid) -> Mapping[str, str]:
        """Return the key and certificate that were made for a node when it was taken over.

        The configuration lists this certificate, and not that of the machine's own key. The file
        stays: a lost answer costs a new token and nothing else.
        """
        try:
            return {SERVER_PEM: (await self._read(f"{CREDENTIALS_FOLDER}/{uuid}.pem")).decode()}
        except FileNotFoundError:
            return {}

    def _signed(self, authority: Credential, request_pem: str, subject: NodeSubject) -> bytes:
        now, random = self._env.clock.now(), self._env.random.bytes
        try:
            return sign_request(authority, request_pem.encode(), subject, now, random)
        except (BadSigningRequest, ValueError) as error:
            raise JoinRefused(f"the machine's signing request is refused: {error}") from error

    async def _authority(self) -> Credential:
        try:
            key = await self._read(AUTHORITY_KEY)
        except FileNotFoundError:
            master = (await self._ssconf()).get("master_node", "the master")
            text = f"{self._env.node} can not admit nodes; ask {master}, which has the key"
            raise JoinRefused(text) from None
        return Credential(await self._read(AUTHORITY_PEM), key)

    async def _uuid(self, node: str) -> NodeUuid:
        """Return the UUID of a node that comes back, or a new one."""
        try:
            value = from_bytes(await self._env.files.read(self._env.paths.config))
        except (FileNotFoundError, Malformed):
            value = None
        nodes = value.get("nodes") if isinstance(value, dict) else None
        for uuid, known in nodes.items() if isinstance(nodes, dict) else ():
            if isinstance(known, dict) and known.get("name") == node:
                return NodeUuid(uuid)
        return NodeUuid(self._env.random.uuid())

    async def _ssconf(self) -> dict[str, str]:
        data = self._env.paths.data
        names = [n for n in await self._env.files.list(data) if n.startswith(FILE_PREFIX)]
        return {
            name.removeprefix(FILE_PREFIX): (await self._read(name))
            .decode(errors="replace")
            .removesuffix("\n")
            for name in names
        }

    async def _tokens(self) -> TokenStore:
        try:
            return load(TokenStore, from_bytes(await self._read(TOKENS)))
        except FileNotFoundError:
            return TokenStore()

    async def _store(self, tokens: TokenStore) -> None:
        path = self._env.paths.data / TOKENS
        await self._env.files.write(path, to_bytes(dump(tokens)), TOKENS_MODE)

    async def _read(self, name: str) -> bytes:
        return await self._env.files.read(self._env.paths.data / name)


def _checked(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise JoinRefused(f"{address!r:.60} is not an IP address") from None
