"""Whose the files of a system install are: those of Ganeti's users, as its own tools expect.

What root writes, NodeD and the commands that make a machine a node, is read and written by daemons
that are not root. The table says the same as ``systemd/gantry.tmpfiles.conf``, which puts right
what is there when the machine starts.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final

from gantry.runtime.paths import Paths

Owner = tuple[int, int]
"""User and group, by their numbers."""

Owners = Callable[[Path], Owner | None]
"""Says whose a file is to be; ``None``: that of who writes it."""

MASTERD: Final = "gnt-masterd"
CONFD: Final = "gnt-confd"
RAPI: Final = "gnt-rapi"
DAEMONS: Final = "gnt-daemons"

TABLE: Final = (
    (".", MASTERD, CONFD),
    ("config.data", MASTERD, CONFD),
    ("config.log", MASTERD, CONFD),
    ("config.committed", MASTERD, CONFD),
    ("locks.*", MASTERD, MASTERD),
    ("queue.*", MASTERD, MASTERD),
    ("solo-*.json", MASTERD, MASTERD),
    ("queue", MASTERD, DAEMONS),
    ("queue/*", MASTERD, DAEMONS),
    ("allegiance.json", "root", MASTERD),
    ("server.pem", MASTERD, MASTERD),
    ("client.pem", MASTERD, MASTERD),
    ("gantry-ca.key", MASTERD, MASTERD),
    ("cluster-domain-secret", MASTERD, MASTERD),
    ("known_hosts", MASTERD, MASTERD),
    ("watcher.pause", MASTERD, MASTERD),
    ("hmac.key", CONFD, MASTERD),
    ("rapi.pem", RAPI, MASTERD),
    ("rapi", RAPI, MASTERD),
    ("rapi/users", RAPI, MASTERD),
)
"""Pattern below the data folder, where ``*`` stands for folders too, user and group; the first
that matches. Everything else is root's."""


def nobody_else(_: Path) -> Owner | None:
    """Leave files to who writes them."""
    return None


def named_owner(relative: str) -> tuple[str, str] | None:
    """Return user and group of a path below the data folder."""
    for pattern, user, group in TABLE:
        if fnmatchcase(relative, pattern):
            return user, group
    return None


def owners_on(paths: Paths) -> Owners:
    """Return whose the files of this node are.

    Only root can give files away; and where Ganeti's users are not all known, as on a developer's
    machine, all daemons run as one user.
    """
    return _given_away(paths.data) if os.geteuid() == 0 else nobody_else


def _given_away(data: Path) -> Owners:
    def owner(path: Path) -> Owner | None:
        if not path.is_relative_to(data):
            return None
        named = named_owner(str(path.relative_to(data)))
        return None if named is None else _numbers().get(named)

    return owner


@cache
def _numbers() -> dict[tuple[str, str], Owner]:
    """Look all owners up, at the first write; none if one of them is not known."""
    wanted = {(user, group) for _, user, group in TABLE}
    try:
        return {
            (user, group): (pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
            for user, group in wanted
        }
    except KeyError:
        return {}
