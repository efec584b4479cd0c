"""Whether the node still is one of its cluster: it asks others, which may know more.

Nobody tells a node that was removed while it was down. So it asks when it starts, and from time to
time: who knows a newer configuration than the node has, without the node in it, is believed. Nor
does anybody tell a node that was away who has become a candidate since; so it asks about whom it is
about to refuse.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterable, Iterator
from typing import Final

import trio
from attrs import define, field, frozen

from gantry.daemons.noded.access import Access
from gantry.daemons.noded.cluster_files import ClusterFiles, Position
from gantry.protocols.codec import Malformed
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.errors import ConnectionLost, ServiceError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import NODED, PORT, Membership
from gantry.protocols.records import CorruptRecord
from gantry.protocols.service import stub
from gantry.runtime.environment import Environment
from gantry.runtime.http.client import HttpClient, PeerCheck
from gantry.runtime.http.service import http_call
from gantry.runtime.logs import Log
from gantry.runtime.newest_configuration import read_newest
from gantry.security.certificates import Certificate
from gantry.security.pem_files import AUTHORITY_PEM, SERVER_PEM

FIRST_SECONDS_MAX: Final = 1.0
"""How long a start waits for an answer: after a power cut nobody is there to give one."""

ASK_SECONDS_MAX: Final = 5.0
AGAIN_SECONDS_FIRST: Final = 5.0
"""A removal is known elsewhere a few seconds after it counts, and the node may be back before."""

AGAIN_SECONDS_MAX: Final = 300.0
"""Each time it is twice as long until the node asks again, up to this."""

RETRY_SECONDS: Final = 10.0
"""When nobody has answered: the network may come up after the node."""

CONFIRM_SECONDS_MAX: Final = 3.0
"""Whoever is about to be refused waits so long until others have said whether it is a candidate."""

CONFIRM_AGAIN_SECONDS: Final = 10.0
"""How long an answer about a certificate holds: it may try again and again."""

ASKED_MAX: Final = 5
"""Any of them is enough; those of large clusters need not all be asked."""

LOG: Final = Log("noded.belonging")


@frozen
class Standing:
    """As what the node knows itself."""

    since: Position
    """How new the configuration is in which it is a node; it may be one in newer ones, too."""
    others: tuple[tuple[str, str], ...]
    """Names and addresses of those to ask, the candidates first."""


@frozen
class Removal:
    """The node is none any more."""

    told_by: str
    since: Position
    """As what it knew itself is put aside."""


@define
class Belonging:
    """What others say about this node's membership."""

    _env: Environment
    _uuid: NodeUuid
    _files: ClusterFiles
    removed: Removal | None = field(default=None, init=False)
    """Set once somebody says that this node is none any more."""
    _has_heard: bool = field(default=False, init=False)
    """Whether somebody has answered the last time, or there is nobody to ask."""
    _asked_about: dict[str, float] = field(factory=dict, init=False)
    """When others were asked last about a certificate, by its digest."""

    async def ask_first(self) -> None:
        """Ask before anything is served, for a short time."""
        with trio.move_on_after(FIRST_SECONDS_MAX):
            self._has_heard = await self.ask()

    async def until_removed(self) -> None:
        """Ask from time to time until somebody says that this node is none any more."""
        again_seconds = AGAIN_SECONDS_FIRST
        while self.removed is None:
            if self._has_heard:
                await trio.sleep(again_seconds)
                again_seconds = min(2 * again_seconds, AGAIN_SECONDS_MAX)
            self._has_heard = await self.ask()
            if not self._has_heard:
                await trio.sleep(RETRY_SECONDS)

    async def ask(self) -> bool:
        """Ask some others at the same time, and say whether any has answered, or there are none."""
        standing, heard = await self._standing(), list[Membership]()
        if standing is None:
            return False
        if not standing.others:  # of one node there is nobody to ask, however often
            return True
        tls = await self._tls()

        async def one(name: str, address: str) -> None:
            try:
                answer = await self._asked(address, tls, self._uuid)
            except (ConnectionLost, ServiceError, OSError) as error:
                LOG.debug("no answer", node=name, reason=str(error))
                return
            heard.append(answer)
            if not answer.is_member and Position(answer.epoch, answer.serial) > standing.since:
                self.removed = Removal(name, standing.since)

        async with trio.open_nursery() as nursery:
            for name, address in standing.others:
                nursery.start_soon(one, name, address)
        return bool(heard)

    async def confirms(self, access: Access, peer: Certificate) -> bool:
        """Ask the candidates that are known here whether somebody has become one meanwhile.

        Only those are asked, and believed, who may change things here, and whose configuration
        is newer than what this node has been told.
        """
        now = trio.current_time()
        if now - self._asked_about.get(peer.sha1, -math.inf) < CONFIRM_AGAIN_SECONDS:
            return False
        self._asked_about = {peer.sha1: now}  # of one only: nobody is to fill the memory
        standing, heard = await self._standing(), list[str]()
        if standing is None:
            return False
        tls = await self._tls()

        def problem(other: Certificate | None) -> str | None:
            known = other is not None and access.knows(other)
            return None if known else "it is no master candidate as far as is known here"

        async def one(name: str, address: str) -> None:
            try:
                answer = await self._asked(address, tls, NodeUuid(peer.common_name), problem)
            except (ConnectionLost, ServiceError, OSError) as error:
                LOG.debug("no answer", node=name, reason=str(error))
                return
            is_newer = Position(answer.epoch, answer.serial) > standing.since
            if is_newer and answer.candidate_digest == peer.sha1:
                heard.append(name)
                nursery.cancel_scope.cancel()

        with trio.move_on_after(CONFIRM_SECONDS_MAX):
            async with trio.open_nursery() as nursery:
                for name, address in standing.others:
                    nursery.start_soon(one, name, address)
        if heard:
            LOG.info("a new master candidate", node=peer.common_name, told_by=heard[0])
        return bool(heard)

    async def _tls(self) -> ssl.SSLContext:
        return await self._env.tls.client(
            await self._env.files.read(self._env.paths.data / AUTHORITY_PEM),
            self._env.paths.data / SERVER_PEM,
        )

    async def _standing(self) -> Standing | None:
        """Return what the node knows of itself; ``None``: it is about to become one."""
        told = await self._files.told()
        if self._uuid in told.nodes:
            candidates = (await self._files.ssconf("master_candidates") or "").split()
            pairs = _pairs(await self._files.ssconf("node_primary_ips") or "")
            return Standing(told.position, self._some(pairs, candidates))
        try:  # a candidate that went down before its first ssconf files came
            newest = await read_newest(self._env)
        except (FileNotFoundError, Malformed, CorruptRecord):
            return None
        nodes = newest.configuration.nodes
        if self._uuid not in nodes:
            return None
        epoch = max(newest.epoch, FIRST_EPOCH)  # a file without a record is of the first one
        candidates = [each.name for each in nodes.values() if each.master_candidate]
        pairs = ((each.name, each.primary_ip) for each in nodes.values())
        since = Position(epoch, newest.configuration.serial_no)
        return Standing(since, self._some(pairs, candidates))

    def _some(
        self, nodes: Iterable[tuple[str, str]], candidates: list[str]
    ) -> tuple[tuple[str, str], ...]:
        others = [each for each in nodes if each[0] != self._env.node]
        others.sort(key=lambda each: (each[0] not in candidates, each[0]))
        return tuple(others[:ASKED_MAX])

    async def _asked(
        self, address: str, tls: ssl.SSLContext, about: NodeUuid, check: PeerCheck | None = None
    ) -> Membership:
        port = int(self._env.variables.get("GANTRY_NODED_PORT", PORT))
        async with HttpClient(self._env.network, address, port, tls, check) as client:
            noded = stub(NODED, http_call(client, NODED, ASK_SECONDS_MAX))
            return await noded.membership(about)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, address = line.partition(" ")
        if address:
            yield name, address
