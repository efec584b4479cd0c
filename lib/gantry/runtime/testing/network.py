"""The network of machines in memory, as one process on one of them sees it.

It keeps the contract of :class:`gantry.runtime.environment.Network` (the same contract tests run
against both): sockets have names and ports that may be taken, nobody listening is refused, a
machine that is down or cut off answers nothing at all.
"""

from __future__ import annotations

import errno
import heapq
import ssl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import trio
from attrs import define, field
from typing_extensions import override

from gantry.runtime.environment import Datagram, DatagramSocket, Network, Peer, Pieces
from gantry.runtime.testing.life import Life
from gantry.runtime.testing.streams import EndPoint, MemoryStream, Watch, connection, ignore
from gantry.runtime.testing.wires import Station, Wires

BACKLOG: Final = 128

PORT_FIRST: Final = 32768
"""The first port that is given to who wants any (Linux's ip_local_port_range)."""

DATAGRAMS_MAX: Final = 4096
"""What waits in a socket's buffer; more is lost."""

DATAGRAM_BYTES_MAX: Final = 65507
"""The payload that UDP over IPv4 can carry."""

NO_ROUTE_SECONDS: Final = 3.0
"""How long the kernel asks for a machine that is not there before it says so."""


class Names(Protocol):
    """Where names of unix sockets are kept: the file system."""

    def bind(self, path: Path, listener: object) -> None:
        """Give a socket a name; raises :class:`OSError`."""

    def bound_to(self, path: Path) -> object:
        """Return what was bound to a name; raises :class:`OSError`."""

    async def remove(self, path: Path) -> None:
        """Remove a name."""


@define(eq=False)
class Sockets:
    """What is open on one machine."""

    station: Station
    names: Names
    tcp: dict[int, MemoryListener] = field(factory=dict, init=False)
    udp: dict[int, MemoryDatagramSocket] = field(factory=dict, init=False)
    streams: dict[int, MemoryStream] = field(factory=dict, init=False)

    def lose(self) -> None:
        """Lose everything with the machine's power: no peer hears of it."""
        for stream in [*self.streams.values()]:
            stream.vanish()
        self.tcp.clear()
        self.udp.clear()


@define(eq=False)
class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Takes connections in. Made by :class:`MemoryNetwork`."""

    network: MemoryNetwork
    pid: int
    port: int
    is_open: bool = field(default=True, init=False)
    _arrived: trio.MemorySendChannel[MemoryStream] = field(init=False)
    _accepting: trio.MemoryReceiveChannel[MemoryStream] = field(init=False)
    _take_back: Callable[[], None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._arrived, self._accepting = trio.open_memory_channel[MemoryStream](BACKLOG)
        self._take_back = self.network.life.at_end(self.close)

    @override
    async def accept(self) -> trio.abc.Stream:
        self.network.life.check()
        try:
            return await self._accepting.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            self.network.life.check()
            raise trio.ClosedResourceError("the listener was closed") from None

    def meet(self, network: MemoryNetwork) -> MemoryStream:
        """Connect somebody with this listener.

        Raises:
            trio.WouldBlock: too many wait to be accepted.
        """
        if self._arrived.statistics().current_buffer_used >= BACKLOG:
            raise trio.WouldBlock
        here = self.network
        ours, theirs = connection(here.wires, network.end_point, here.end_point)
        self._arrived.send_nowait(theirs)
        return ours

    def close(self) -> None:
        """Stop listening; who was not accepted yet is hung up on."""
        if not self.is_open:
            return
        self.is_open = False
        self._take_back()
        while True:
            try:
                self._accepting.receive_nowait().sever()
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        self._accepting.close()
        if self.network.sockets.tcp.get(self.port) is self:
            del self.network.sockets.tcp[self.port]

    @override
    async def aclose(self) -> None:
        if not self.network.life.is_over:
            self.close()
        await trio.lowlevel.checkpoint()


@define(eq=False)
class MemoryDatagramSocket(DatagramSocket):
    """A UDP socket. Made by :class:`MemoryNetwork`."""

    network: MemoryNetwork
    _port: int
    _waiting: list[tuple[float, int, bytes, Peer]] = field(factory=list, init=False)
    _count: int = field(default=0, init=False)
    _news: trio.Event = field(factory=trio.Event, init=False)
    _is_open: bool = field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        self.network.life.at_end(self.close)

    def _check(self) -> None:
        self.network.life.check()
        if not self._is_open:
            raise trio.ClosedResourceError("the socket was closed")

    @override
    async def receive(self) -> Datagram:
        return (await self.receive_some(1))[0]

    @override
    async def receive_some(self, most: int) -> list[Datagram]:
        await trio.lowlevel.checkpoint()
        while True:
            self._check()
            news, arrived = self._news, [*self._arrived(most)]
            if arrived:
                return arrived
            with trio.move_on_at(self._waiting[0][0] if self._waiting else float("inf")):
                await news.wait()

    def _arrived(self, most: int) -> Iterator[Datagram]:
        now = trio.current_time()
        while most > 0 and self._waiting and self._waiting[0][0] <= now:
            _, _, data, sender = heapq.heappop(self._waiting)
            most -= 1
            yield data, sender

    def arrive(self, moment: float, data: bytes, sender: Peer) -> None:
        """Take a datagram that comes at a moment."""
        if len(self._waiting) < DATAGRAMS_MAX:
            self._count += 1
            heapq.heappush(self._waiting, (moment, self._count, data, sender))
            self._news.set()
            self._news = trio.Event()

    @override
    async def send(self, data: bytes, to: Peer) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        if len(data) > DATAGRAM_BYTES_MAX:
            raise OSError(errno.EMSGSIZE, "the datagram is too large")
        self._send(data, to)

    @override
    async def send_some(self, datagrams: Sequence[tuple[Pieces, Peer]]) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        for pieces, to in datagrams:
            data = b"".join(pieces)
            if len(data) <= DATAGRAM_BYTES_MAX:
                self._send(data, to)

    def _send(self, data: bytes, to: Peer) -> None:
        here, wires = self.network.station, self.network.wires
        there = wires.stations.get(to[0])
        if there is None or not wires.carries(here, there) or wires.loses(here, there):
            return
        target = self.network.sockets_of(there).udp.get(to[1])
        if target is not None:
            moment = trio.current_time() + wires.seconds(here, there)
            target.arrive(moment, data, (here.address, self._port))

    @override
    def port(self) -> int:
        return self._port

    @override
    def close(self) -> None:
        self._is_open = False
        self._news.set()
        if self.network.sockets.udp.get(self._port) is self:
            del self.network.sockets.udp[self._port]


SocketsOf = Callable[[Station], Sockets]


@define(eq=False)
class MemoryNetwork(Network):
    """The network as one process sees it."""

    wires: Wires
    sockets: Sockets
    sockets_of: SocketsOf
    """Finds what is open on another machine."""
    life: Life
    pid: int = 1
    watch: Watch = ignore
    program: str = ""

    @property
    def station(self) -> Station:
        """The machine on which the process is."""
        return self.sockets.station

    @property
    def end_point(self) -> EndPoint:
        """What is told of this process to connections."""
        return EndPoint(self.station, self.life, self.sockets.streams, self.watch, self.program)

    # --- unix sockets ----------------------------------------------------------------------------

    @override
    async def connect_unix(self, path: Path) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.life.check()
        listener = self.listener_at(path)
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens", str(path))
        try:
            return listener.meet(self)
        except trio.WouldBlock:
            raise BlockingIOError(errno.EAGAIN, "too many wait there", str(path)) from None

    def listener_at(self, path: Path) -> MemoryListener | None:
        """Return who listens on a socket, if somebody does.

        Raises:
            OSError: there is no socket of that name.
        """
        bound = self.sockets.names.bound_to(path)
        return bound if isinstance(bound, MemoryListener) and bound.is_open else None

    @override
    async def listen_unix(
        self, path: Path, mode: int, owned_as: Path | None = None
    ) -> trio.abc.Listener[trio.abc.Stream]:
        await trio.lowlevel.checkpoint()
        self.life.check()
        try:
            if self.listener_at(path) is None:
                await self.sockets.names.remove(path)
        except FileNotFoundError:
            pass
        listener = MemoryListener(self, self.pid, 0)
        try:
            self.sockets.names.bind(path, listener)
        except OSError:
            listener.close()
            raise
        return listener

    # --- between machines ------------------------------------------------------------------------

    @override
    async def connect_tcp(
        self, address: str, port: int, tls: ssl.SSLContext | None = None
    ) -> trio.abc.Stream:
        self.life.check()
        there = self.wires.stations.get(address)
        if there is None:
            await trio.sleep(NO_ROUTE_SECONDS)
            raise OSError(errno.EHOSTUNREACH, f"no route to {address}")
        stream = await self._reached(there, port)
        if tls is None:
            return stream
        secured = trio.SSLStream(stream, tls, server_hostname=address, https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(secured)
            raise
        return secured

    async def _reached(self, there: Station, port: int) -> trio.abc.Stream:
        """Connect with a machine, however long it does not answer."""
        here, wires = self.station, self.wires
        while True:
            await trio.sleep(wires.seconds(here, there) + wires.seconds(there, here))
            self.life.check()
            if wires.carries(here, there) and wires.carries(there, here):
                listener = self.sockets_of(there).tcp.get(port)
                if listener is None:
                    text = f"nobody listens at {there.address}:{port}"
                    raise ConnectionRefusedError(errno.ECONNREFUSED, text)
                try:
                    return listener.meet(self)
                except trio.WouldBlock:
                    await trio.sleep(1.0)  # the kernel drops what is too much; it is sent again
            else:
                await wires.change()

    @override
    async def listen_tcp(self, address: str, port: int) -> trio.abc.Listener[trio.abc.Stream]:
        await trio.lowlevel.checkpoint()
        self.life.check()
        chosen = self._bound(address, port, self.sockets.tcp)
        listener = self.sockets.tcp[chosen] = MemoryListener(self, self.pid, chosen)
        return listener

    def _bound(
        self,
        address: str,
        port: int,
        taken: dict[int, MemoryListener] | dict[int, MemoryDatagramSocket],
    ) -> int:
        if address != self.station.address:
            raise OSError(errno.EADDRNOTAVAIL, f"{address} is not an address of this machine")
        if port in taken:
            raise OSError(errno.EADDRINUSE, f"{address}:{port} is in use")
        return port or next(p for p in range(PORT_FIRST, 65536) if p not in taken)

    @override
    def port_of(self, listener: trio.abc.Listener[trio.abc.Stream]) -> int:
        if not isinstance(listener, MemoryListener):
            raise TypeError(f"{listener!r} was not made by listen_tcp")
        return listener.port

    @override
    async def udp(self, address: str, port: int) -> DatagramSocket:
        await trio.lowlevel.checkpoint()
        self.life.check()
        chosen = self._bound(address, port, self.sockets.udp)
        made = self.sockets.udp[chosen] = MemoryDatagramSocket(self, chosen)
        return made

    @override
    async def resolve(self, name: str) -> str:
        await trio.lowlevel.checkpoint()
        self.life.check()
        known = self.wires.names.get(name)
        if known is None:
            raise OSError(errno.ENOENT, f"{name} does not resolve")
        return known
