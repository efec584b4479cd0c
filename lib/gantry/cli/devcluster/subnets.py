"""A loopback network for each cluster: the first free 127.x.y.0/24, held by a lock file.

The lock (flock(2)) lives as long as a process holds the descriptor: the supervisor does. So a
network is free again as soon as its cluster is gone, however it went.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

from gantry.cli.devcluster.layout import DevClusterError

FOLDER: Final = Path("/tmp/gantry-subnets")
"""One for all users of the machine."""

FIRST: Final = 64
"""127.0 is used by many, small numbers by some."""


@frozen
class Subnet:
    """A network that is ours while the descriptor is open."""

    prefix: str
    """Such as ``127.64.1``."""
    fd: int
    path: Path

    def free(self) -> None:
        """Give the network back."""
        self.path.unlink(missing_ok=True)
        os.close(self.fd)


def take(folder: Path = FOLDER) -> Subnet:
    """Take the first network that nobody holds.

    Raises:
        DevClusterError: all are taken.
    """
    _make(folder)
    for prefix in _prefixes():
        subnet = _try(folder, prefix)
        if subnet is not None:
            return subnet
    raise DevClusterError(f"every 127.x.y.0/24 is taken; see {folder} for the clusters' locks")


def take_again(prefix: str, folder: Path = FOLDER) -> Subnet:
    """Take one particular network.

    Raises:
        DevClusterError: another cluster holds it.
    """
    _make(folder)
    subnet = _try(folder, prefix)
    if subnet is None:
        raise DevClusterError(
            f"{prefix}.0/24 is held by another cluster; stop that one, or remove this "
            "one (gantry devcluster down) and start anew"
        )
    return subnet


def forget(prefix: str, folder: Path = FOLDER) -> None:
    """Remove the lock file that a killed supervisor has left, unless somebody holds it now."""
    if (folder / prefix).exists():
        subnet = _try(folder, prefix)
        if subnet is not None:
            subnet.free()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o1777)
        folder.chmod(0o1777)
    except FileExistsError:
        pass


def _prefixes() -> Iterator[str]:
    return (f"127.{x}.{y}" for x in range(FIRST, 255) for y in range(1, 255))


def _try(folder: Path, prefix: str) -> Subnet | None:
    path = folder / prefix
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError:  # another user's
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), path.stat()):
            return Subnet(prefix, fd, path)
    except (BlockingIOError, FileNotFoundError):
        pass  # held by another, or removed by its last holder between our two steps
    os.close(fd)
    return None
