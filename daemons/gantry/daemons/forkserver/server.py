"""The fork server: one thread, one loop, no event loop of trio's.

It makes a process for each attempt of a job, and tells each LuxiD that is connected of bad ends.
It owns nothing: if it dies, its children live on, and a new server is started; if LuxiD dies,
the children live on too, and the next LuxiD finds them by their sockets.
"""

from __future__ import annotations

import array
import errno
import os
import select
import selectors
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from gantry.daemons.forkserver.child import BACKLOG, Output
from gantry.daemons.forkserver.preload import JobMain
from gantry.daemons.forkserver.spare import Spare
from gantry.protocols.codec import Malformed, dump, from_bytes, load, to_bytes
from gantry.protocols.jobproc import (
    DATAGRAM_BYTES_MAX,
    ForkServerMessage,
    NotSpawned,
    Reaped,
    Spawned,
    SpawnRequest,
)
from gantry.runtime.logs import Log

CLIENTS_MAX: Final = 8
"""There is one LuxiD; a restarted one may connect before the loss of the old one is seen."""

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

LOG: Final = Log("forkserver")


@frozen
class Child:
    """A process that was made for an attempt and has not been reaped."""

    request: SpawnRequest
    pid: int
    pidfd: int

    def has_ended(self) -> bool:
        """Whether it waits to be reaped."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))


@frozen
class Heartbeat:
    """How a watchdog is told that the loop turns, and the longest that it may hear nothing."""

    seconds: float
    tell: Callable[[], None]


def listen_packets(path: Path) -> socket.socket:
    """Bind the server's own socket, which only the same user may connect to.

    Raises:
        OSError: another server listens there, or the path can not be bound.
    """
    if _is_answered(path, socket.SOCK_SEQPACKET):
        raise OSError(errno.EADDRINUSE, "another fork server runs already", str(path))
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    _bind(listening, path)
    listening.listen(CLIENTS_MAX)
    listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listening


def _is_answered(path: Path, kind: socket.SocketKind) -> bool:
    """Whether a living process listens on a socket; one that is too busy to accept counts."""
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)  # noqa: FBT003 - the standard library's signature
        return probe.connect_ex(str(path)) in (0, errno.EAGAIN)


def _bind(listening: socket.socket, path: Path) -> None:
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)


@define
class ForkServer:
    """The loop and what it watches. :meth:`run` returns after SIGTERM or SIGINT."""

    main: JobMain
    path: Path
    output: Output
    _selector: selectors.BaseSelector = field(factory=selectors.DefaultSelector, init=False)
    _clients: list[socket.socket] = field(factory=list, init=False)
    _children: dict[int, Child] = field(factory=dict, init=False)
    """By process id."""
    _spare: Spare | None = field(default=None, init=False)
    _stopping: bool = field(default=False, init=False)

    def run(self, ready: Callable[[], None], alive: Heartbeat | None = None) -> None:
        """Serve until told to stop; ``ready`` is called once the socket listens."""
        listening, (woken, wakes) = listen_packets(self.path), socket.socketpair()
        for end in (woken, wakes):
            end.setblocking(False)  # noqa: FBT003 - the standard library's signature
        previous = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, self._stop) for number in STOP_SIGNALS}
        self._selector.register(woken, selectors.EVENT_READ, lambda: woken.recv(DATAGRAM_BYTES_MAX))
        self._selector.register(listening, selectors.EVENT_READ, lambda: self._accept(listening))
        try:
            self._prepare()
            ready()
            while not self._stopping:
                for key, _ in self._selector.select(alive.seconds if alive else None):
                    key.data()
                if alive:
                    alive.tell()
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            self._close([listening, woken, wakes])

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _close(self, sockets: list[socket.socket]) -> None:
        self.path.unlink(missing_ok=True)
        self._selector.close()
        for each in [*sockets, *self._clients]:
            each.close()
        for child in self._children.values():
            os.close(child.pidfd)
        if self._spare is not None:
            self._spare.discard()
        self.output.close()

    # --- LuxiDs ----------------------------------------------------------------------------------

    def _accept(self, listening: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            client, _ = listening.accept()
            client.setblocking(False)  # noqa: FBT003 - the standard library's signature
            if len(self._clients) >= CLIENTS_MAX:
                client.close()
                return
            self._clients.append(client)
            self._selector.register(client, selectors.EVENT_READ, lambda: self._receive(client))

    def _receive(self, client: socket.socket) -> None:
        try:
            data = client.recv(DATAGRAM_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:  # ECONNRESET: it left without reading all that we said
            data = b""
        if not data:
            self._drop(client)
            return
        try:
            request = load(SpawnRequest, from_bytes(data))
        except Malformed as error:
            LOG.warning("a client sent nonsense", reason=str(error))
            self._drop(client)
            return
        self._answer(client, request)

    def _drop(self, client: socket.socket) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client)
            client.close()

    def _send(self, client: socket.socket, message: ForkServerMessage, *fds: int) -> None:
        """Say something to a LuxiD; one that does not read loses its connection."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            client.sendmsg([to_bytes(dump(message, ForkServerMessage))], rights)
        except OSError as error:
            LOG.warning("a client was dropped", reason=str(error))
            self._drop(client)

    # --- children --------------------------------------------------------------------------------

    def _answer(self, client: socket.socket, request: SpawnRequest) -> None:
        job, attempt = request.job, request.attempt
        known = next((c for c in self._children.values() if c.request.job == job), None)
        if known is not None and known.has_ended():  # LuxiD saw it before we did
            self._reap(known)
            known = None
        if known is not None and known.request != request:
            reason = f"attempt {known.request.attempt} of job {job} still lives"
            self._send(client, NotSpawned(job, attempt, reason))
            return
        try:
            child = known or self._spawn(request)
        except OSError as error:
            LOG.error("no child", job=job, attempt=attempt, reason=str(error))
            self._send(client, NotSpawned(job, attempt, str(error)))
            return
        self._send(client, Spawned(job, attempt, child.pid), child.pidfd)
        self._prepare()

    def _spawn(self, request: SpawnRequest) -> Child:
        """Make a child that listens on the job's socket already.

        Raises:
            OSError: the socket can not be bound, or there is no room for a process.
        """
        path = Path(request.socket)
        if path.exists() and _is_answered(path, socket.SOCK_STREAM):
            raise OSError(errno.EADDRINUSE, "a process answers there already", request.socket)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            _bind(listening, path)
            listening.listen(BACKLOG)
            spare = self._fork(request, listening)
            child = Child(request, spare.pid, spare.pidfd)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            listening.close()  # the child alone holds it now: when it ends, the socket refuses
        self._children[child.pid] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._reap(child))
        LOG.debug("spawned", job=request.job, attempt=request.attempt, pid=child.pid)
        return child

    def _fork(self, request: SpawnRequest, listening: socket.socket) -> Spare:
        """Give the job to the child that waits, or to a new one if that can not take it."""
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                self.output.current()
                if spare.opened == self.output.opened:
                    spare.begin(request, listening)
                    return spare
            except OSError as error:
                LOG.warning("the waiting child is gone", pid=spare.pid, reason=str(error))
            spare.discard()
        spare = Spare.fork(self.main, self.output)
        try:
            spare.begin(request, listening)
        except OSError:
            spare.discard()
            raise
        return spare

    def _prepare(self) -> None:
        """Make the child that waits for the next job."""
        if self._spare is not None:
            return
        try:
            self._spare = Spare.fork(self.main, self.output)
        except OSError as error:  # the next job finds out whether there is room again
            LOG.warning("no child in advance", reason=str(error))

    def _reap(self, child: Child) -> None:
        if self._children.pop(child.pid, None) is None:
            return  # reaped on the way to its next attempt
        _, status = os.waitpid(child.pid, 0)  # its pidfd is readable: this does not wait
        self._selector.unregister(child.pidfd)
        os.close(child.pidfd)
        Path(child.request.socket).unlink(missing_ok=True)
        code = os.waitstatus_to_exitcode(status)
        request = child.request
        told = LOG.debug if code == 0 and self._clients else LOG.info
        told("reaped", job=request.job, attempt=request.attempt, pid=child.pid, status=code)
        for client in [*self._clients] if code else []:  # LuxiD sees the end itself, not the cause
            self._send(client, Reaped(request.job, request.attempt, child.pid, code))
