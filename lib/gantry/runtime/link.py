"""A lasting link to a daemon on this node: it survives the daemon's restarts.

A call that loses its connection is made again on the next one. So only calls that may be
repeated go through a link: readings, and changes that carry a key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

import trio
from attrs import define, field

from gantry.protocols.errors import ConnectionLost
from gantry.protocols.service import Service
from gantry.runtime.environment import Network
from gantry.runtime.gate import Gate
from gantry.runtime.logs import Log
from gantry.runtime.rpc import connect

S = TypeVar("S")
T = TypeVar("T")

RETRY_SECONDS_FIRST: Final = 0.02
RETRY_SECONDS_MAX: Final = 1.0

LOG: Final = Log("link")


@define
class Link(Generic[S]):
    """Use :meth:`call` while :meth:`run` runs."""

    service: Service[S]
    network: Network
    path: Path
    _remote: S | None = field(default=None, init=False)
    _connected: Gate = field(factory=Gate, init=False)
    _broken: trio.Event = field(factory=trio.Event, init=False)
    _delay: float = field(default=RETRY_SECONDS_FIRST, init=False)
    """Before the next connection; short again as soon as a call was answered."""

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        while True:
            try:
                async with connect(self.service, self.network, self.path) as remote:
                    self._remote, self._broken = remote, trio.Event()
                    self._connected.open()
                    await self._broken.wait()
            except ConnectionLost as error:
                LOG.debug("not connected", service=self.service.name, reason=str(error))
            finally:
                self._remote = None
                self._connected.close()
            await trio.sleep(self._delay)
            self._delay = min(2 * self._delay, RETRY_SECONDS_MAX)

    async def call(self, ask: Callable[[S], Awaitable[T]]) -> T:
        """Make a call, again after each lost connection; bound it with a cancel scope."""
        while True:
            if self._remote is None:
                await self._connected.passed()
                continue
            remote = self._remote
            try:
                answer = await ask(remote)
            except ConnectionLost:
                if self._remote is remote:
                    self._remote = None
                    self._connected.close()
                    self._broken.set()
            else:
                self._delay = RETRY_SECONDS_FIRST
                return answer
