"""Whether the node still is one of its cluster: it asks others, which may know more.

Nobody tells a node that was removed while it was down. So it asks when it starts, and from time to
time: who knows a newer configuration than the node has, without the node in it, is believed.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

import trio
from attrs import define, field

from gantry.daemons.noded.cluster_files import ClusterFiles, Position
from gantry.protocols.codec import Malformed
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.errors import ConnectionLost, ServiceError
from gantry.protocols.noded import NODED, PORT, Membership
from gantry.protocols.records import CorruptRecord
from gantry.protocols.service import stub
from gantry.runtime.environment import Environment
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.service import http_call
from gantry.runtime.logs import Log
from gantry.runtime.newest_configuration import read_newest
from gantry.security.pem_files import AUTHORITY_PEM, SERVER_PEM

FIRST_SECONDS_MAX: Final = 1.0
"""How long a start waits for an answer: after a power cut nobody is there to give one."""

ASK_SECONDS_MAX: Final = 5.0
AGAIN_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 10.0
"""When nobody has answered: the network may come up after the node."""

ASKED_MAX: Final = 5
"""Any of them is enough; those of large clusters need not all be asked."""

LOG: Final = Log("noded.belonging")


@define
class Belonging:
    """What others say about this node's membership."""

    _env: Environment
    _files: ClusterFiles
    removed: str | None = field(default=None, init=False)
    """Who says that this node is none any more, once somebody does."""

    async def ask_first(self) -> None:
        """Ask before anything is served, for a short time."""
        with trio.move_on_after(FIRST_SECONDS_MAX):
            await self.ask()

    async def until_removed(self) -> None:
        """Ask from time to time until somebody says that this node is none any more."""
        while self.removed is None:
            has_heard = await self.ask()
            if self.removed is None:
                await trio.sleep(AGAIN_SECONDS if has_heard else RETRY_SECONDS)

    async def ask(self) -> bool:
        """Ask some others at the same time, and say whether any has answered, or there are none."""
        known, heard = await self._known(), list[Membership]()
        if known is None:
            return False
        others = await self._others()
        if not others:  # of one node there is nobody to ask, however often
            return True
        tls = await self._env.tls.client(
            await self._env.files.read(self._env.paths.data / AUTHORITY_PEM),
            self._env.paths.data / SERVER_PEM,
        )

        async def one(name: str, address: str) -> None:
            try:
                answer = await self._asked(address, tls)
            except (ConnectionLost, ServiceError, OSError) as error:
                LOG.debug("no answer", node=name, reason=str(error))
                return
            heard.append(answer)
            if not answer.is_member and Position(answer.epoch, answer.serial) > known:
                self.removed = name

        async with trio.open_nursery() as nursery:
            for name, address in others:
                nursery.start_soon(one, name, address)
        return bool(heard)

    async def _known(self) -> Position | None:
        """Return as of which configuration this is a node; ``None``: it is about to become one."""
        if self._env.node in await self._names("node_list"):
            return await self._files.position()
        try:  # a candidate that went down before its first ssconf files came
            newest = await read_newest(self._env)
        except (FileNotFoundError, Malformed, CorruptRecord):
            return None
        names = [node.name for node in newest.configuration.nodes.values()]
        if self._env.node not in names:
            return None
        epoch = max(newest.epoch, FIRST_EPOCH)  # a file without a record is of the first one
        return Position(epoch, newest.configuration.serial_no)

    async def _asked(self, address: str, tls: ssl.SSLContext) -> Membership:
        port = int(self._env.variables.get("GANTRY_NODED_PORT", PORT))
        async with HttpClient(self._env.network, address, port, tls) as client:
            noded = stub(NODED, http_call(client, NODED, ASK_SECONDS_MAX))
            return await noded.membership(self._env.node)

    async def _others(self) -> list[tuple[str, str]]:
        """Return names and addresses of those to ask, the candidates first."""
        candidates = await self._names("master_candidates")
        others = sorted(
            self._pairs(await self._files.ssconf("node_primary_ips") or ""),
            key=lambda each: (each[0] not in candidates, each[0]),
        )
        return others[:ASKED_MAX]

    def _pairs(self, text: str) -> Iterator[tuple[str, str]]:
        for line in text.splitlines():
            name, _, address = line.partition(" ")
            if address and name != self._env.node:
                yield name, address

    async def _names(self, key: str) -> list[str]:
        return (await self._files.ssconf(key) or "").split()
