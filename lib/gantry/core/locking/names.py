"""The names of locks: their order, and which lock covers which.

``<level>/[lockset]`` covers every member of its level, also those to come. The configuration
lock, ``cluster/config``, is a level of its own and is covered by nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from gantry.protocols.errors import BadCall
from gantry.protocols.locks import LEVELS, LOCKSET, Level, LockName, LockRequest, lock_set

CONFIG: Final = LockName("cluster/config")

Rank = tuple[int, bool, str]
"""Locks must be taken in ascending order of rank."""


def level_of(name: LockName) -> Level:
    """Return the level of a lock.

    Raises:
        BadCall: this is not the name of a lock.
    """
    if name == CONFIG:
        return "config"
    level, _, member = name.partition("/")
    if level not in LEVELS or level == "config" or not member:
        raise BadCall("lock", f"{name!r} is not the name of a lock")
    return cast(Level, level)


def rank(name: LockName) -> Rank:
    """Return a lock's place in the order: by level, the lockset before its members."""
    member = name.partition("/")[2]
    return LEVELS.index(level_of(name)), member != LOCKSET, member


def by_level(requests: Iterable[LockRequest]) -> tuple[tuple[LockRequest, ...], ...]:
    """Return the requests of each level that has some, in the order of the levels.

    Raises:
        BadCall: one names no lock.
    """
    levels: dict[Level, list[LockRequest]] = {}
    for each in requests:
        levels.setdefault(level_of(each.name), []).append(each)
    return tuple(tuple(levels[level]) for level in LEVELS if level in levels)


def cover_of(name: LockName) -> LockName | None:
    """Return the lockset that covers a lock; nothing covers a lockset or the config lock."""
    level = level_of(name)
    covering = lock_set(level)
    return None if level == "config" or name == covering else covering
