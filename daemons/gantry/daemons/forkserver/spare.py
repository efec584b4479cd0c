"""A child that is made ahead and waits for a job, so that no job waits for a fork.

It has nothing of any job's, holds nothing of the node's, and ends when the server does. There is
one at a time: what a second one would win is less than the memory that it takes.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import ExitStack, suppress

from attrs import frozen

from gantry.daemons.forkserver.child import Output, become_child
from gantry.daemons.forkserver.preload import JobMain
from gantry.protocols.codec import dump, to_bytes
from gantry.protocols.jobproc import SpawnRequest


@frozen
class Spare:
    """A waiting child. It is given a job once, or discarded."""

    pid: int
    pidfd: int
    channel: socket.socket
    opened: int
    """See :attr:`gantry.daemons.forkserver.child.Output.opened`."""

    @classmethod
    def fork(cls, main: JobMain, output: Output) -> Spare:
        """Make one.

        Raises:
            OSError: there is no room for a process.
        """
        sys.stdout.flush()  # else both processes would write what is buffered
        sys.stderr.flush()
        written = output.current()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, ExitStack() as undoing:
            undoing.callback(ours.close)
            pid = os.fork()
            if pid == 0:
                become_child(main, theirs, written)
            undoing.callback(os.waitpid, pid, 0)
            undoing.callback(os.kill, pid, signal.SIGKILL)
            spare = cls(pid, os.pidfd_open(pid), ours, output.opened)
            undoing.pop_all()
        return spare

    def begin(self, request: SpawnRequest, listening: socket.socket) -> None:
        """Give it its job and the job's socket; from now on it is the job's process.

        Raises:
            OSError: it has died.
        """
        body = to_bytes(dump(request))
        socket.send_fds(self.channel, [body], [listening.fileno()], socket.MSG_NOSIGNAL)
        self.channel.close()

    def discard(self) -> None:
        """End it, and take it off the kernel's books."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        self.channel.close()
