"""What a forked child does before it is a job: forget all that is the server's, and wait."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Final, NoReturn

import setproctitle
from attrs import define, field

from gantry.daemons.forkserver.preload import JobMain
from gantry.protocols.codec import from_bytes, load
from gantry.protocols.jobproc import DATAGRAM_BYTES_MAX, SpawnRequest

LISTENER_FD: Final = 3
"""Where the job finds its listening socket; every higher descriptor is closed."""

CHANNEL_FD: Final = LISTENER_FD
"""Where a child that waits for a job has its way to the server, until it has one."""

SPARE_TITLE: Final = "gantry-spare"
"""What a child is called that waits for a job."""

BACKLOG: Final = 16
"""LuxiD connects once; a restarted LuxiD may connect before the lost connection is noticed."""

UMASK: Final = 0o027
EXIT_CRASHED: Final = 70
"""The job's code raised: EX_SOFTWARE of sysexits(3)."""


@define
class Output:
    """The file that jobs share for what should never be said: tracebacks, warnings.

    The server holds it open, so that no child has to.
    """

    path: Path
    bytes_max: int
    opened: int = field(default=0, init=False)
    """How often the file was opened: a child that was made before the last time has an old one."""
    _fd: int = field(default=-1, init=False)

    def current(self) -> int:
        """Return the open file, after moving it aside if it has grown too long."""
        if self._fd < 0 or not self._may_stay():
            self.close()
            self._fd = self._open()
            self.opened += 1
        return self._fd

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _may_stay(self) -> bool:
        """Whether the file is short, and still where people look for it."""
        held = os.fstat(self._fd)
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        return held.st_ino == found.st_ino and held.st_size <= self.bytes_max

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self.path, flags, 0o600)
        if os.fstat(fd).st_size <= self.bytes_max:
            return fd
        os.close(fd)
        self.path.rename(self.path.with_name(self.path.name + ".1"))
        return os.open(self.path, flags, 0o600)


def become_child(main: JobMain, channel: socket.socket, output: int) -> NoReturn:
    """Wait in this process, which was just forked, for a job; run it, and leave the process.

    It leaves without a job when the other end of the channel is closed. Nothing of the server's
    may run here afterwards: no ``finally``, no ``atexit``, no finaliser of a socket whose number
    means something else now. So this always ends with ``os._exit``.
    """
    status = EXIT_CRASHED
    try:
        _become_independent()
        _forget_logs()
        _keep_only(channel, output)
        _name_process(SPARE_TITLE)
        request = _wait_for_work()
        if request is not None:
            _name_process(f"gantry-job {request.job}")
            main(LISTENER_FD, request)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it was, the process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _become_independent() -> None:
    """Leave the server's session and its ways with signals."""
    signal.set_wakeup_fd(-1)  # else a signal here would wake the server
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.setsid()
    os.umask(UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold secrets


def _forget_logs() -> None:
    """Forget the server's log in this process; until the job opens its own, warnings go to stderr.

    Kept, its handler would write to whatever gets its descriptor's number next.
    """
    logging.getLogger().handlers.clear()


def _keep_only(channel: socket.socket, written: int) -> None:
    """Keep nothing open but the way to the server and the three standard descriptors."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    if channel.fileno() != CHANNEL_FD:
        os.dup2(channel.fileno(), CHANNEL_FD, inheritable=False)
    os.closerange(CHANNEL_FD + 1, os.sysconf("SC_OPEN_MAX"))


def _wait_for_work() -> SpawnRequest | None:
    """Wait for a job with its socket, which takes the channel's place; ``None``: the server ended.

    Whoever calls listen() is whom SO_PEERCRED names to a peer: a restarted LuxiD finds out this
    process's id that way.
    """
    channel = socket.socket(fileno=CHANNEL_FD)
    data, descriptors, _, _ = socket.recv_fds(channel, DATAGRAM_BYTES_MAX, 1)
    if not data:
        return None
    os.dup2(descriptors[0], channel.detach(), inheritable=False)
    os.close(descriptors[0])
    own = socket.socket(fileno=LISTENER_FD)
    own.listen(BACKLOG)
    own.detach()
    return load(SpawnRequest, from_bytes(data))


def _name_process(title: str) -> None:
    # The title may use the room of the arguments only: by its environment a process is known to
    # belong to a node, and what ends a node finds it so.
    os.environ["SPT_NOENV"] = "1"
    setproctitle.setproctitle(title)
