"""Instance names as file names."""

from __future__ import annotations

import re
from typing import Final

from gantry.protocols.runtime_types import PathRefused

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def is_file_name(name: str) -> bool:
    """Whether a name can be an instance's file: not hidden, not temporary, not a path."""
    return _FILE_NAME.fullmatch(name) is not None


def file_name(instance: str) -> str:
    """Return an instance's name as a file name.

    Raises:
        PathRefused: it could lead out of the folder.
    """
    if not is_file_name(instance):
        raise PathRefused(instance, "an instance's name must be usable as a file name")
    return instance
