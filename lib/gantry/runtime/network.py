"""Real sockets behind :class:`gantry.runtime.environment.Network`."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio
from attrs import frozen
from typing_extensions import override

from gantry.runtime.environment import Datagram, DatagramSocket, Network, Peer, Pieces

BACKLOG: Final = 128
DATAGRAM_BYTES_MAX: Final = 65535
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Room for some thousand datagrams that come at once; the kernel may allow less."""


@frozen
class RealDatagramSocket(DatagramSocket):
    """A UDP socket of this machine, which never blocks; trio tells when it is ready.

    System calls are made directly: trio's own socket would look up each address and switch tasks
    for each datagram, which costs more than the datagram.
    """

    _socket: socket.socket

    @override
    async def receive(self) -> Datagram:
        return (await self.receive_some(1))[0]

    @override
    async def receive_some(self, most: int) -> list[Datagram]:
        received: list[Datagram] = []
        receive = self._socket.recvfrom
        while not received:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                while len(received) < most:
                    data, sender = receive(DATAGRAM_BYTES_MAX)
                    received.append((data, (sender[0], sender[1])))
            except BlockingIOError:
                continue  # all are taken; or, if there was none, its checksum was wrong
            except ConnectionError:
                continue  # a datagram that was sent before has met nobody (ICMP)
        return received

    @override
    async def send(self, data: bytes, to: Peer) -> None:
        await trio.lowlevel.checkpoint()
        while True:
            try:
                self._socket.sendto(data, to)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
            else:
                return

    @override
    async def send_some(self, datagrams: Sequence[tuple[Pieces, Peer]]) -> None:
        await trio.lowlevel.checkpoint()
        send = self._socket.sendmsg
        for pieces, to in datagrams:
            try:
                send(pieces, (), 0, to)
            except BlockingIOError:
                with contextlib.suppress(OSError):
                    await self.send(b"".join(pieces), to)
            except OSError:
                continue  # its way is gone, or a firewall refuses: as good as lost

    @override
    def port(self) -> int:
        number: int = self._socket.getsockname()[1]
        return number

    @override
    def close(self) -> None:
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()


SILENT_SECONDS_MAX: Final = 30
"""A machine that says nothing for so long is gone, and with it what waits on a connection: it may
have lost its power, and then nobody says that the connection is over. Longer than a guest that is
moved stands still, shorter than people wait."""

PROBE_AFTER_SECONDS: Final = 10
PROBE_SECONDS: Final = 5

_LIVELINESS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS),
    (
        socket.IPPROTO_TCP,
        socket.TCP_KEEPCNT,
        (SILENT_SECONDS_MAX - PROBE_AFTER_SECONDS) // PROBE_SECONDS,
    ),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_SECONDS_MAX * 1000),
)
"""Idle connections are probed, and what was sent is to be confirmed (tcp(7))."""


def _watch_liveliness(tcp: trio.socket.SocketType) -> None:
    """Have the kernel give up a connection whose other end is silent; a listener hands it on."""
    for level, option, value in _LIVELINESS:
        tcp.setsockopt(level, option, value)


def _remove_stale(path: Path) -> None:
    """Unlink a socket on which nobody listens any more."""
    probe = socket.socket(socket.AF_UNIX)
    try:
        probe.setblocking(False)  # noqa: FBT003 - the standard library's signature
        probe.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        path.unlink(missing_ok=True)
    except BlockingIOError:  # somebody listens, with a full backlog
        pass
    finally:
        probe.close()


def _bind_unix(path: Path, mode: int, owned_as: Path | None) -> socket.socket:
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)  # nobody else may connect before the mode is set
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        if owned_as is not None:
            given = owned_as.stat()
            os.chown(path, given.st_uid, given.st_gid)
        path.chmod(mode)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _lookup(hosts: Path, name: str) -> str | None:
    """Look a name up in a hosts file (hosts(5))."""
    with contextlib.suppress(FileNotFoundError):
        for line in hosts.read_text().splitlines():
            address, *names = line.split("#")[0].split() or [""]
            if name in names:
                return address
    return None


@frozen
class RealNetwork(Network):
    """The network of this machine, as one node sees it."""

    hosts: Path
    """The node's own etc/hosts."""
    node: str
    """The node's name; its address is the source of outgoing connections."""

    @override
    async def connect_unix(self, path: Path) -> trio.abc.Stream:
        return await trio.open_unix_socket(str(path))

    @override
    async def listen_unix(
        self, path: Path, mode: int, owned_as: Path | None = None
    ) -> trio.abc.Listener[trio.abc.Stream]:
        await trio.lowlevel.checkpoint()  # before the socket is there: it must not get lost
        bound = _bind_unix(path, mode, owned_as)
        return trio.SocketListener(trio.socket.from_stdlib_socket(bound))

    @override
    async def connect_tcp(
        self, address: str, port: int, tls: ssl.SSLContext | None = None
    ) -> trio.abc.Stream:
        source = _lookup(self.hosts, self.node)
        stream = await trio.open_tcp_stream(address, port, local_address=source)
        _watch_liveliness(stream.socket)
        if tls is None:
            return stream
        secured = trio.SSLStream(stream, tls, server_hostname=address, https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(secured)
            raise
        return secured

    @override
    async def listen_tcp(self, address: str, port: int) -> trio.abc.Listener[trio.abc.Stream]:
        (listener,) = await trio.open_tcp_listeners(port, host=address, backlog=BACKLOG)
        _watch_liveliness(listener.socket)
        return listener

    @override
    def port_of(self, listener: trio.abc.Listener[trio.abc.Stream]) -> int:
        if not isinstance(listener, trio.SocketListener):
            raise TypeError(f"{listener!r} was not made by listen_tcp")
        number: int = listener.socket.getsockname()[1]
        return number

    @override
    async def udp(self, address: str, port: int) -> DatagramSocket:
        await trio.lowlevel.checkpoint()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            bound.bind((address, port))
        except BaseException:
            bound.close()
            raise
        return RealDatagramSocket(bound)

    @override
    async def resolve(self, name: str) -> str:
        known = await trio.to_thread.run_sync(_lookup, self.hosts, name)
        if known is not None:
            return known
        found = await trio.socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return str(found[0][4][0])
