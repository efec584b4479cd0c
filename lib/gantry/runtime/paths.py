"""Where things are: Ganeti's paths below ``GANTRY_ROOT``.

Sockets are special: AF_UNIX paths end at 107 bytes, so they really live in a short run
directory, and Ganeti's place for them holds links (see :attr:`Paths.sockets`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from gantry.protocols.identity import JobId

SOCKET_PATH_BYTES_MAX: Final = 107
"""sizeof(sun_path) - 1 on Linux, unix(7)."""


class SocketPathTooLong(Exception):
    """A socket path does not fit into a socket address; use a shorter root or run directory."""


@frozen
class Paths:
    """The files and folders of one node."""

    root: Path
    """``GANTRY_ROOT``; ``/`` on a system install."""
    sockets: Path
    """The short folder in which unix sockets really live."""

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Paths:
        """Read ``GANTRY_ROOT`` and choose the run directory.

        The run directory is ``/run/gantry`` for the root ``/``; else
        ``$XDG_RUNTIME_DIR/gantry/<hash>`` or ``/tmp/gantry/<hash>``, where the hash is
        of the root, so that nodes on one machine never meet.
        """
        root = Path(variables.get("GANTRY_ROOT") or "/").absolute()
        if root == Path("/"):
            return cls(root, Path("/run/gantry"))
        name = hashlib.sha256(str(root).encode()).hexdigest()[:12]
        runtime = variables.get("XDG_RUNTIME_DIR")
        folder = Path(runtime) / "gantry" if runtime else Path("/tmp/gantry")
        return cls(root, folder / name)

    def below(self, path: str) -> Path:
        """Return an absolute path of the node as a path of this machine."""
        return self.root / path.lstrip("/")

    def socket(self, name: str) -> Path:
        """Return the real path of a socket.

        Raises:
            SocketPathTooLong: it would not fit into a socket address.
        """
        path = self.sockets / name
        if len(str(path).encode()) > SOCKET_PATH_BYTES_MAX:
            raise SocketPathTooLong(
                f"{path} is longer than {SOCKET_PATH_BYTES_MAX} bytes: "
                "set XDG_RUNTIME_DIR to a shorter directory"
            )
        return path

    @property
    def data(self) -> Path:
        """Ganeti's data directory."""
        return self.below("/var/lib/ganeti")

    @property
    def logs(self) -> Path:
        """Ganeti's log directory."""
        return self.below("/var/log/ganeti")

    @property
    def run(self) -> Path:
        """Ganeti's run directory."""
        return self.below("/var/run/ganeti")

    @property
    def etc(self) -> Path:
        """Ganeti's configuration directory (hooks, scripts)."""
        return self.below("/etc/ganeti")

    @property
    def config(self) -> Path:
        """The configuration's snapshot."""
        return self.data / "config.data"

    @property
    def queue(self) -> Path:
        """The job queue's folder."""
        return self.data / "queue"

    @property
    def step_journals(self) -> Path:
        """The folder of the step journals of jobs that are not over."""
        return self.queue / "steps"

    def step_journal(self, job: JobId) -> Path:
        """Return where a job's process writes what it is about to do and has done."""
        return self.step_journals / f"job-{job}"

    def farewell(self, job: JobId) -> Path:
        """Return where a process that leaves a job in the middle, unfailed, says which it was."""
        return self.step_journals / f"job-{job}.left"
