"""The world as a daemon sees it: every effect comes in through an :class:`Environment`.

Production hands in the real ports (:mod:`gantry.runtime.real`); tests and the simulation hand
in others that pass the same contract tests. Code that reaches around the Environment - the
``time``, ``random``, ``socket`` or ``subprocess`` modules, or ``open`` - is a defect.

Waiting and deadlines are trio's (``trio.sleep``, ``trio.fail_after``): trio's clock is already
replaceable. Wall-clock time is only ever read from :class:`Clock`.
"""

from __future__ import annotations

import ssl
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeVar

import trio
from attrs import frozen

from gantry.runtime.descriptors import DESCRIPTORS_USUAL
from gantry.runtime.paths import Paths
from gantry.security.contexts import ClientCertificates

T = TypeVar("T")


class Run(Protocol):
    """How work is done that blocks, or that computes for longer than the event loop can wait."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Do it and return what it returns."""


class Clock(Protocol):
    """Wall-clock time; monotonic time is ``trio.current_time()``."""

    def now(self) -> float:
        """Return seconds since the epoch (UTC)."""


class Randomness(Protocol):
    """Randomness good enough for secrets."""

    def bytes(self, count: int) -> bytes:
        """Return ``count`` random bytes."""

    def uuid(self) -> str:
        """Return a fresh random UUID in lower case (RFC 9562, version 4)."""


class AppendFile(Protocol):
    """A file that only grows: a journal. Opened by :meth:`Files.append_to`."""

    async def append(self, data: bytes) -> None:
        """Write ``data`` at the end; it is durable only after :meth:`sync`.

        Raises:
            OSError: for example no space; part of ``data`` may have been written.
        """

    async def sync(self) -> None:
        """Flush everything appended so far to the disk."""

    async def append_durably(self, data: bytes) -> None:
        """Write ``data`` at the end and flush, which may be cheaper as one operation.

        Raises:
            OSError: as :meth:`append` and :meth:`sync`.
        """
        await self.append(data)
        await self.sync()

    async def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes and flush."""

    async def aclose(self) -> None:
        """Close without flushing."""


class FileChanges(Protocol):
    """Tells of changes to files. Opened by :meth:`Files.watch`."""

    async def wait(self) -> None:
        """Return once a file may have changed since the watch was opened or this last returned."""


class Files(Protocol):
    """The file system. All methods raise :class:`OSError` as the operating system does."""

    async def read(self, path: Path) -> bytes:
        """Return a file's whole content."""

    async def read_part(self, path: Path, offset: int, size: int) -> bytes:
        """Return at most ``size`` bytes from ``offset`` on; fewer, or none, at the file's end."""

    async def write(self, path: Path, data: bytes, mode: int = 0o640) -> None:
        """Replace a file's content atomically and durably.

        A reader sees the old or the new content; a crash leaves one of them: temporary file,
        flush, rename, flush of the folder.
        """

    async def overwrite(self, path: Path, data: bytes, mode: int = 0o640) -> None:
        """Write over the beginning of a file, making the file if need be; nothing is flushed.

        For what is small, changes often and is worth nothing after a crash. A reader may find it
        half written, so it needs a check of its own.
        """

    async def write_all(
        self, contents: Mapping[Path, bytes], mode: int = 0o640, by_way_of: Path | None = None
    ) -> None:
        """Replace the content of several files, each as :meth:`write` does, but cheaper.

        After an error or a crash some may have been replaced and others not.

        Args:
            contents: by path.
            mode: of all.
            by_way_of: the folder for temporary files, on the same file system: one where those of
                killed writers are looked for; ``None``: beside each file.
        """
        for path, data in contents.items():
            await self.write(path, data, mode)

    async def append_to(self, path: Path, mode: int = 0o640) -> AppendFile:
        """Open a file for appending, creating it (durably) if need be. The caller closes it."""

    async def append_to_new(self, path: Path, data: bytes, mode: int = 0o640) -> AppendFile:
        """Open a new file for appending that durably begins with ``data``.

        The same as :meth:`append_to` and :meth:`AppendFile.append_durably`, but cheaper.
        """
        file = await self.append_to(path, mode)
        try:
            await file.append_durably(data)
        except BaseException:
            await file.aclose()
            raise
        return file

    async def remove(self, path: Path) -> None:
        """Remove a file; it is no error if there is none."""

    async def remove_all(self, paths: Iterable[Path]) -> None:
        """Remove several files, each as :meth:`remove` does, but cheaper."""
        for path in paths:
            await self.remove(path)

    async def rename(self, old: Path, new: Path) -> None:
        """Rename a file, replacing ``new``, durably."""

    async def make_folder(self, path: Path, mode: int = 0o750) -> None:
        """Make a folder and its parents; it is no error if it exists."""

    async def remove_tree(self, path: Path) -> None:
        """Remove a folder and everything in it; it is no error if there is none."""

    async def list(self, path: Path) -> tuple[str, ...]:
        """Return the sorted names in a folder; none if there is no such folder."""

    async def exists(self, path: Path) -> bool:
        """Whether a file, folder or link exists (a dangling link does not)."""

    async def link(self, path: Path, target: Path) -> None:
        """Make or replace a symbolic link at ``path`` to ``target``."""

    def watch(self, *paths: Path) -> AbstractAsyncContextManager[FileChanges]:
        """Watch files that may come, change and go; links are not followed.

        Open the watch, read the files, and read them again whenever it tells of a change.
        """


Peer = tuple[str, int]
"""An address and a port."""

Datagram = tuple[bytes, Peer]
"""What was received, and from whom; or what is to be sent, and to whom."""

Pieces = tuple[bytes, ...]
"""What a datagram is put together of when it is sent: large pieces need not be copied before."""


class DatagramSocket(Protocol):
    """A bound UDP socket. Opened by :meth:`Network.udp`."""

    async def receive(self) -> Datagram:
        """Return the next datagram."""

    async def receive_some(self, most: int) -> list[Datagram]:
        """Wait for a datagram, and return it with up to ``most`` that are there already."""

    async def send(self, data: bytes, to: Peer) -> None:
        """Send one datagram; it may get lost.

        Raises:
            OSError: it can not be sent: there is no way to the peer, or it is too large.
        """

    async def send_some(self, datagrams: Sequence[tuple[Pieces, Peer]]) -> None:
        """Send datagrams; any of them may get lost, those that can not be sent among them."""

    def port(self) -> int:
        """Return the local port."""

    def close(self) -> None:
        """Close the socket."""


class Tls(Protocol):
    """Contexts for connections between nodes, of what is in a node's files.

    All raise :class:`OSError` if a file can not be read, and :class:`ssl.SSLError` if it holds no
    matching key and certificate. See :mod:`gantry.security.contexts` for who verifies whom.
    """

    async def client(self, authority_pem: bytes, combined: Path | None = None) -> ssl.SSLContext:
        """Return the context of a client that trusts one authority and nobody else.

        Args:
            authority_pem: who signs the server's certificate.
            combined: this client's own key and certificate in one PEM file, if it has any.
        """

    async def server(
        self, combined: Path, clients: ClientCertificates, authority_pem: bytes | None = None
    ) -> ssl.SSLContext:
        """Return the context of a server.

        Args:
            combined: key and certificate in one PEM file.
            clients: what is wanted of clients.
            authority_pem: who signs clients' certificates; needed unless ``clients`` is ``none``.
        """

    async def introduction(self) -> ssl.SSLContext:
        """Return the context of a client that verifies nothing; no secret may travel over it."""


class PromptStream(trio.abc.HalfCloseableStream):
    """A stream that takes some bytes without waiting, as a kernel's buffer does."""

    @abstractmethod
    def write_at_once(self, data: bytes) -> int:
        """Write what fits into the buffer now; return how many bytes that were.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: nobody reads any more.
        """


class Network(Protocol):
    """Sockets and names."""

    async def connect_unix(self, path: Path) -> trio.abc.Stream:
        """Connect to a unix socket; the caller closes the stream.

        Raises:
            OSError: nobody listens there.
        """

    async def listen_unix(
        self, path: Path, mode: int, owned_as: Path | None = None
    ) -> trio.abc.Listener[trio.abc.Stream]:
        """Bind and listen on a unix socket, replacing a stale one; the caller closes it.

        Args:
            path: the socket's.
            mode: its permissions.
            owned_as: the file whose user and group it is given to; by default this process's.
        """

    async def connect_tcp(
        self, address: str, port: int, tls: ssl.SSLContext | None = None
    ) -> trio.abc.Stream:
        """Connect to a TCP port, from the node's own address; handshake done if TLS is asked for.

        Raises:
            OSError: nobody answers.
            trio.BrokenResourceError: the TLS handshake failed.
        """

    async def listen_tcp(self, address: str, port: int) -> trio.abc.Listener[trio.abc.Stream]:
        """Bind and listen on a TCP port (0: any free one); the caller closes it."""

    def port_of(self, listener: trio.abc.Listener[trio.abc.Stream]) -> int:
        """Return the TCP port on which a listener of :meth:`listen_tcp` listens."""

    async def udp(self, address: str, port: int) -> DatagramSocket:
        """Bind a UDP socket (port 0: any free one); the caller closes it."""

    async def resolve(self, name: str) -> str:
        """Return the IP address of a host name: first the root's etc/hosts, then the system.

        Raises:
            OSError: the name does not resolve.
        """


@frozen
class Finished:
    """How a program that was run to its end ended."""

    status: int
    """The exit status; negative: the number of the signal that killed it."""
    output: bytes
    """What it wrote on standard output and standard error, in order, cut at a bound."""


class Process(Protocol):
    """A running child process. Started by :meth:`Processes.start`."""

    @property
    def pid(self) -> int:
        """The process id."""

    async def wait(self) -> int:
        """Wait for the end and return the exit status (negative: a signal's number)."""

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""


class Processes(Protocol):
    """Programs of the node."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        input_bytes: bytes = b"",
        deadline_seconds: float,
    ) -> Finished:
        """Run a program to its end; cancellation or the deadline kills its process group.

        Args:
            argv: program and arguments; no shell is involved.
            environment: the whole environment of the program; ``None`` inherits ours.
            folder: the working directory.
            input_bytes: given on standard input.
            deadline_seconds: after this the process group is killed.

        Raises:
            FileNotFoundError: there is no such program.
            trio.TooSlowError: the deadline passed.
        """

    def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path | None = None,
    ) -> AbstractAsyncContextManager[Process]:
        """Start a program; leaving the context kills its process group if it still runs."""

    async def daemonize(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path,
    ) -> int:
        """Start a program in a session of its own that outlives us; return its pid.

        Standard input is empty, output goes to ``log`` (appended).
        """

    def is_alive(self, pid: int) -> bool:
        """Whether a process with this id exists and is no zombie."""

    def kill(self, pid: int, number: int) -> None:
        """Send a signal to any process; nothing happens if it does not exist."""

    async def listener_of(self, path: Path) -> int | None:
        """Return the id of the process that listens on a unix socket; ``None`` if none does."""

    def find(self, program: str) -> Path | None:
        """Return the path of a program, or ``None`` if the node lacks it."""


class Readiness(Protocol):
    """What a service manager wants to hear."""

    def notify(self, state: str) -> None:
        """Tell the service manager a state, such as ``READY=1`` (sd_notify(3))."""


@frozen
class Options:
    """What the command line of a daemon, and whoever starts it, may change."""

    bind: str | None = None
    """The address to bind instead of the node's own."""
    port: int | None = None
    """The port to listen on instead of the default; 0 takes any free one."""
    debug: bool = False
    descriptors: int = DESCRIPTORS_USUAL
    """How many files and sockets the process may have open."""


@frozen
class Environment:
    """All that a daemon may touch."""

    node: str
    """This node's name: the last component of ``GANTRY_ROOT``, else the host name."""
    paths: Paths
    variables: Mapping[str, str]
    """The process's environment variables, as they were at the start."""
    clock: Clock
    random: Randomness
    files: Files
    network: Network
    tls: Tls
    processes: Processes
    offload: Run
    """For what takes as long as the cluster is large: the event loop goes on meanwhile."""
    readiness: Readiness
    options: Options = Options()

    async def address(self) -> str:
        """Return the node's own address, to which its daemons bind: never the wildcard.

        Raises:
            OSError: the node's name does not resolve.
        """
        return self.options.bind or await self.network.resolve(self.node)
