"""RConfD: answers signed questions about the cluster, on every node that has a replica."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn

import trio
from attrs import define, field

from gantry.daemons.rconfd.door import Door, Dropped
from gantry.daemons.rconfd.replica import Replica
from gantry.protocols.rconfd import PORT, Request
from gantry.runtime.daemon import Daemon
from gantry.runtime.daemon import run as run_daemon
from gantry.runtime.environment import Datagram, DatagramSocket, Environment, Peer, Pieces
from gantry.runtime.logs import Log

LOG: Final = Log("rconfd")

DATAGRAMS_AT_ONCE: Final = 128
"""Answered before others have their turn: three milliseconds' work at the most, and few of the
event loop's turns, which cost as much as two or three answers."""

TALLY_SECONDS: Final = 60.0
"""Dropped datagrams are counted and logged this often: a flood must not become a flood of logs."""


@define
class Server:
    """Answers the datagrams of one socket."""

    env: Environment
    replica: Replica
    socket: DatagramSocket
    dropped: Counter[Dropped] = field(factory=Counter, init=False)
    _door: Door | None = field(default=None, init=False)

    async def serve(self) -> None:
        """Answer until cancelled."""
        while True:
            datagrams = await self.socket.receive_some(DATAGRAMS_AT_ONCE)
            await self.socket.send_some(list(self._replies(datagrams)))

    def _replies(self, datagrams: Iterable[Datagram]) -> Iterator[tuple[Pieces, Peer]]:
        now = self.env.clock.now()
        for datagram, sender in datagrams:
            reply = self.answer(datagram, now)
            if reply is not None:
                yield reply, sender

    def answer(self, datagram: bytes, now: float) -> Pieces | None:
        """Return the datagram to send back, in pieces, or ``None`` for silence."""
        key, book = self.replica.key, self.replica.book
        if key is None or book is None:
            return None
        if self._door is None or self._door.key != key:
            self._door = Door(key)
        request = self._door.admit(datagram, now)
        if not isinstance(request, Request):
            self.dropped[request] += 1
            return None
        return self._door.sealed(*book.answer(request), request.rsalt)

    async def tally(self) -> None:
        """Log what was dropped, from time to time, until cancelled."""
        while True:
            await trio.sleep(TALLY_SECONDS)
            if self.dropped:
                LOG.info("datagrams dropped", **dict(self.dropped))
                self.dropped.clear()


async def main(env: Environment) -> None:
    """Run RConfD until cancelled.

    Raises:
        OSError: the port is taken.
    """
    port = PORT if env.options.port is None else env.options.port
    socket = await env.network.udp(await env.address(), port)
    replica = Replica(env)
    server = Server(env, replica, socket)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(replica.follow)
            nursery.start_soon(server.tally)
            LOG.info("serving", port=socket.port(), replica=replica.book is not None)
            env.readiness.notify("READY=1")
            await server.serve()
    finally:
        socket.close()


def run() -> NoReturn:
    """Run the daemon: the entry point."""
    run_daemon(Daemon("gantry-rconfd", "conf-daemon", main))
