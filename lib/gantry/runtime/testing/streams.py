"""Connections in memory, like sockets: late, bounded, and broken when their peer dies."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

import trio
from attrs import define, field
from typing_extensions import override

from gantry.runtime.environment import PromptStream
from gantry.runtime.network import SILENT_SECONDS_MAX
from gantry.runtime.testing.alarms import Alarm
from gantry.runtime.testing.life import Life
from gantry.runtime.testing.wires import Station, Wires

BUFFER_BYTES: Final = 212_992
"""What a sender may be ahead of its receiver: Linux's default of a socket's send buffer."""

CHUNK_BYTES: Final = 65536

Watch = Callable[[int], None]
"""Told of the size of what is sent."""


def ignore(_: int) -> None:
    """Watch nothing."""


@define(eq=False)
class EndPoint:
    """Whose one end of a connection is."""

    station: Station
    life: Life
    open_streams: dict[int, MemoryStream]
    """All that are open on that machine, by number."""
    watch: Watch = ignore
    program: str = ""
    """What the process is called, for whoever breaks connections."""


@define(eq=False)
class _OneAtATime:
    """Refuses a second task, as sockets of trio do."""

    what: str
    is_busy: bool = False

    def __enter__(self) -> None:
        if self.is_busy:
            raise trio.BusyResourceError(f"another task is {self.what}")
        self.is_busy = True

    def __exit__(self, *_: object) -> None:
        self.is_busy = False


@define(eq=False)
class _Pipe:
    """One direction of a connection."""

    wires: Wires
    source: Station
    target: Station
    chunks: deque[tuple[float, bytes]] = field(factory=deque, init=False)
    """What is under way or has arrived, each with the moment of its arrival."""
    size: int = field(default=0, init=False)
    closed_at: float | None = field(default=None, init=False)
    """When the receiver hears that its sender has closed."""
    reset_at: float | None = field(default=None, init=False)
    """When the receiver hears that its sender does not know this connection any more."""
    silent_at: float | None = field(default=None, init=False)
    """When the receiver's kernel gives up a sender whose machine is silent."""
    last: float = field(default=0.0, init=False)
    news: trio.Event = field(factory=trio.Event, init=False)
    _alarm: Alarm = field(factory=Alarm, init=False)
    """Ends the receiver's wait."""

    def tell(self) -> None:
        """Wake both ends."""
        self.news.set()
        self.news = trio.Event()
        self._alarm.wake()

    def arrival(self) -> float:
        """Draw when something that is sent now arrives: nothing overtakes."""
        seconds = self.wires.seconds(self.source, self.target)
        self.last = max(self.last, trio.current_time() + seconds)
        return self.last

    def put(self, data: bytes) -> None:
        """Send; a receiver that waits is not woken before it arrives."""
        moment = self.arrival()
        self.chunks.append((moment, data))
        self.size += len(data)
        self._alarm.bring_forward(moment)

    def take(self, size: int) -> bytes:
        """Return what has arrived, up to a size."""
        parts: list[bytes] = []
        while size > 0 and self.chunks and self.chunks[0][0] <= trio.current_time():
            moment, data = self.chunks.popleft()
            if len(data) > size:
                self.chunks.appendleft((moment, data[size:]))
                data = data[:size]
            size -= len(data)
            parts.append(data)
        taken = b"".join(parts)
        was_full = self.size >= BUFFER_BYTES
        self.size -= len(taken)
        if was_full:
            self.tell()
        return taken

    def has_something(self) -> bool:
        """Whether there is something to be taken, or all was."""
        if self.chunks:
            arrived = self.chunks[0][0] <= trio.current_time()
            return arrived and self.wires.carries(self.source, self.target)
        return self.is_heard(self.closed_at)

    def is_heard(self, moment: float | None) -> bool:
        """Whether what happened at the other end is known at this one."""
        arrived = moment is not None and moment <= trio.current_time()
        return arrived and self.wires.carries(self.source, self.target)

    async def something(self) -> None:
        """Wait until there may be something new to know for the receiver."""
        moments = [self.closed_at, self.reset_at, self.chunks[0][0] if self.chunks else None]
        known = [moment for moment in moments if moment is not None]
        if self.silent_at is not None:
            known.append(self.silent_at)
        elif known and not self.wires.carries(self.source, self.target):
            await self.wires.change()
            return
        now = trio.current_time()
        later = [moment for moment in known if moment > now]
        await self._alarm.wait(min(later, default=math.inf))


@define(eq=False)
class MemoryStream(PromptStream):
    """One end of a connection. Made by :func:`connection`."""

    _incoming: _Pipe
    _outgoing: _Pipe
    _end_point: EndPoint
    _number: int
    is_open: bool = field(default=True, init=False)
    is_gone: bool = field(default=False, init=False)
    _said_end: bool = field(default=False, init=False)
    peer: MemoryStream | None = field(default=None, init=False, repr=False)
    _take_back: Callable[[], None] = field(init=False)
    _sending: _OneAtATime = field(factory=lambda: _OneAtATime("sending"), init=False)
    _receiving: _OneAtATime = field(factory=lambda: _OneAtATime("receiving"), init=False)

    def __attrs_post_init__(self) -> None:
        self._end_point.open_streams[self._number] = self
        self._take_back = self._end_point.life.at_end(self.sever)

    @property
    def station(self) -> Station:
        """The machine of this end."""
        return self._outgoing.source

    @property
    def is_between_machines(self) -> bool:
        """Whether the other end is on another machine."""
        return self._outgoing.target is not self._outgoing.source

    @property
    def program(self) -> str:
        """Whose end this is."""
        return self._end_point.program

    def reset(self) -> None:
        """Break the connection for both ends, as a firewall does that forgets it."""
        for pipe in (self._incoming, self._outgoing):  # each is heard of at its end
            pipe.reset_at = trio.current_time()
            pipe.tell()

    def _check(self) -> None:
        self._end_point.life.check()
        if not self.is_open:
            raise trio.ClosedResourceError("this end was closed")
        if self._incoming.is_heard(self._incoming.reset_at):
            raise trio.BrokenResourceError("connection reset by peer")
        silent_at = self._incoming.silent_at
        if silent_at is not None and silent_at <= trio.current_time():
            raise trio.BrokenResourceError("connection timed out")

    @override
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check()
            if self._said_end:
                raise trio.ClosedResourceError("this end has sent its end")
            self._end_point.watch(len(data))
            view = memoryview(bytes(data))
            while view:
                await self._room()
                self._send(bytes(view[:CHUNK_BYTES]))
                view = view[CHUNK_BYTES:]

    @override
    def write_at_once(self, data: bytes) -> int:
        self._check_writable()
        room = BUFFER_BYTES - self._outgoing.size
        if room <= 0 or self._sending.is_busy:
            return 0
        if self._said_end:
            raise trio.ClosedResourceError("this end has sent its end")
        taken = data[:room]
        self._end_point.watch(len(taken))
        self._send(taken)
        return len(taken)

    def _check_writable(self) -> None:
        self._check()
        if self._peer_has_left:
            raise trio.BrokenResourceError("broken pipe")

    async def _room(self) -> None:
        while True:
            self._check_writable()
            if self._outgoing.size < BUFFER_BYTES:
                return
            with trio.move_on_at(self._incoming.silent_at or math.inf):
                await self._outgoing.news.wait()

    @property
    def _peer_has_left(self) -> bool:
        peer = self.peer
        left = peer is not None and not peer.is_open and not peer.is_gone
        return left and self._incoming.is_heard(self._incoming.closed_at)

    def _send(self, data: bytes) -> None:
        self._outgoing.put(data)
        peer = self.peer
        if peer is not None and peer.is_gone and peer.station.is_up:
            # The machine has come back and does not know what this is about.
            self._incoming.reset_at = self._incoming.arrival()
            self._incoming.tell()

    @override
    async def wait_send_all_might_not_block(self) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            await self._room()

    @override
    async def send_eof(self) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check()
            self._end()

    def _end(self) -> None:
        if not self._said_end:
            self._said_end = True
            self._outgoing.closed_at = self._outgoing.arrival()
            self._outgoing.tell()

    @override
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        with self._receiving:
            await trio.lowlevel.checkpoint_if_cancelled()
            pipe, waited = self._incoming, False
            while True:
                self._check()
                if pipe.has_something():
                    break
                waited = True
                await pipe.something()
            if not waited:
                await trio.lowlevel.cancel_shielded_checkpoint()
                self._check()
            return pipe.take(max_bytes or CHUNK_BYTES)

    @override
    async def aclose(self) -> None:
        if self.is_open and not self._end_point.life.is_over:
            self.sever()
        await trio.lowlevel.checkpoint()

    def sever(self) -> None:
        """Close this end, whoever uses it: what its owner or the kernel does."""
        if self.is_open:
            self.is_open = False
            self._forget()
            self._end()
            self._incoming.tell()

    def vanish(self) -> None:
        """Lose this end with its machine: nobody is told, but the other end's kernel notices."""
        if self.is_open:
            self.is_open, self.is_gone = False, True
            self._forget()
            if self.is_between_machines:
                self._outgoing.silent_at = trio.current_time() + SILENT_SECONDS_MAX
            self._incoming.tell()
            self._outgoing.tell()

    def _forget(self) -> None:
        self._take_back()
        self._end_point.open_streams.pop(self._number, None)


def connection(wires: Wires, ours: EndPoint, theirs: EndPoint) -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of a new connection."""
    forth = _Pipe(wires, ours.station, theirs.station)
    back = _Pipe(wires, theirs.station, ours.station)
    near = MemoryStream(back, forth, ours, wires.number())
    far = MemoryStream(forth, back, theirs, wires.number())
    near.peer, far.peer = far, near
    return near, far
