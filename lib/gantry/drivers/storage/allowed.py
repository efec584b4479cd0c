"""Which paths a node allows for disks that are files: pure.

A node's administrator can list the allowed folders in ``etc/ganeti/file-storage-paths``, one on
each line; without that file they are Ganeti's defaults. A path is taken as it is written: it must
be absolute, without ``.`` and ``..``, and lie below an allowed folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from gantry.protocols.runtime_types import FileTemplate, PathRefused

DEFAULT_FOLDERS: Final[dict[FileTemplate, str]] = {
    "file": "/srv/ganeti/file-storage",
    "sharedfile": "/srv/ganeti/shared-file-storage",
}


def parse_allowed(text: str) -> tuple[str, ...]:
    """Read a list of allowed folders; blank lines and comments (#) do not count."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def check_path(path: str, allowed: Sequence[str]) -> PurePosixPath:
    """Return a disk's path if the node allows it.

    Raises:
        PathRefused: it is not allowed; the error says why.
    """
    pure = PurePosixPath(path)
    if not pure.is_absolute() or "\0" in path:
        raise PathRefused(path, "it is not an absolute path")
    if {".", ".."} & set(path.split("/")):
        raise PathRefused(path, "it contains . or ..")
    if not any(PurePosixPath(folder) in pure.parents for folder in allowed):
        raise PathRefused(path, f"it is not below {' or '.join(allowed) or 'any allowed folder'}")
    return pure
