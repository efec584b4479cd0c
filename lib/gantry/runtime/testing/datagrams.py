"""UDP in memory: datagrams arrive in order, or get lost where a buffer is full or nobody listens.

It keeps the contract of :class:`gantry.runtime.environment.DatagramSocket` (the same contract tests
run against both).
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio
from attrs import define, field
from typing_extensions import override

from gantry.runtime.environment import Datagram, DatagramSocket, Peer

BUFFERED_MAX: Final = 4096
"""Datagrams that wait at one socket; more get lost, as in a real one."""

DATAGRAM_BYTES_MAX: Final = 65507
"""The payload that UDP over IPv4 can carry."""

FIRST_FREE_PORT: Final = 32768


@define
class DatagramWire:
    """What all sockets of one network are plugged into."""

    _bound: dict[Peer, _MemoryDatagramSocket] = field(factory=dict, init=False)

    def bind(self, address: str, port: int) -> DatagramSocket:
        """Bind a socket (port 0: any free one).

        Raises:
            OSError: the port is taken.
        """
        if port == 0:
            port = next(
                free for free in range(FIRST_FREE_PORT, 65536) if (address, free) not in self._bound
            )
        if (address, port) in self._bound:
            raise OSError(errno.EADDRINUSE, f"{address}:{port} is taken")
        made = self._bound[address, port] = _MemoryDatagramSocket(self, (address, port))
        return made

    def carry(self, datagram: Datagram, to: Peer) -> None:
        """Bring a datagram to whoever is bound there."""
        there = self._bound.get(to)
        if there is not None:
            there.arrive(datagram)

    def unbind(self, address: Peer) -> None:
        """Free an address."""
        self._bound.pop(address, None)


@define(eq=False)
class _MemoryDatagramSocket(DatagramSocket):
    _wire: DatagramWire
    _own: Peer
    _arrived: deque[Datagram] = field(factory=deque, init=False)
    _news: trio.Event = field(factory=trio.Event, init=False)
    _closed: bool = field(default=False, init=False)

    def arrive(self, datagram: Datagram) -> None:
        """Take a datagram in, if there is room."""
        if len(self._arrived) < BUFFERED_MAX:
            self._arrived.append(datagram)
            self._news.set()

    @override
    async def receive(self) -> Datagram:
        return (await self.receive_some(1))[0]

    @override
    async def receive_some(self, most: int) -> list[Datagram]:
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            self._check_open()
            self._news = trio.Event()
            await self._news.wait()
        self._check_open()
        return [self._arrived.popleft() for _ in range(min(most, len(self._arrived)))]

    @override
    async def send(self, data: bytes, to: Peer) -> None:
        await trio.lowlevel.checkpoint()
        self._check_open()
        if len(data) > DATAGRAM_BYTES_MAX:
            raise OSError(errno.EMSGSIZE, "the datagram is too large")
        self._wire.carry((data, self._own), to)

    @override
    async def send_some(self, datagrams: Sequence[Datagram]) -> None:
        await trio.lowlevel.checkpoint()
        self._check_open()
        for data, to in datagrams:
            if len(data) <= DATAGRAM_BYTES_MAX:
                self._wire.carry((data, self._own), to)

    @override
    def port(self) -> int:
        return self._own[1]

    @override
    def close(self) -> None:
        self._closed = True
        self._wire.unbind(self._own)
        self._news.set()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError
