"""Locks: their levels, names, modes, and what is asked of and answered by their owner, WConfD.

Levels and names are Ganeti's: instances by name, everything else by UUID; ``<level>/[lockset]``
stands for all members of a level. A lock belongs to a job, not to a process: its owner is
(job, attempt), so that a new attempt takes over what a dead one held.
"""

from __future__ import annotations

from typing import Final, Literal, NewType, get_args

from attrs import frozen

from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.records import Index

Level = Literal["cluster", "instance", "nodegroup", "node", "node-res", "network", "config"]
"""The levels in the order in which they must be taken."""

LEVELS: Final[tuple[Level, ...]] = get_args(Level)

LockName = NewType("LockName", str)
"""``<level>/<object>``, for example ``instance/web1.example.com``."""

LOCKSET: Final = "[lockset]"
BGL: Final = LockName("cluster/BGL")

Mode = Literal["shared", "exclusive"]


def lock_name(level: Level, member: str) -> LockName:
    """Return the name of one member's lock."""
    return LockName(f"{level}/{member}")


def lock_set(level: Level) -> LockName:
    """Return the name of the lock on all members of a level, present and future."""
    return lock_name(level, LOCKSET)


@frozen
class LockRequest:
    """Ask for one lock in a mode; ``release`` gives it back."""

    name: LockName
    mode: Mode | Literal["release"]


@frozen
class LockOwner:
    """Who holds or wants a lock."""

    job: JobId
    attempt: Attempt


@frozen
class Held:
    """One lock that an owner holds."""

    name: LockName
    mode: Mode


@frozen
class Granted:
    """All that was asked for is held now."""

    held: tuple[Held, ...]
    index: Index | None = None
    """The last change of the configuration at that moment: what was read at it is still true."""


@frozen
class Blocked:
    """Nothing changed; these jobs stand in the way."""

    by: tuple[JobId, ...]


@frozen
class LockWait:
    """A job that waits for a lock, as shown to people."""

    job: JobId
    mode: Mode
    behind: tuple[JobId, ...]
    """The jobs that it waits for: those that hold what it wants, and those before it in line."""
    since: float | None = None
    """In seconds since the epoch."""


@frozen
class LockState:
    """One lock that is held or waited for, as shown to people."""

    name: LockName
    mode: Mode | None
    owners: tuple[JobId, ...]
    waits: tuple[LockWait, ...]
    since: tuple[float | None, ...] = ()
    """Since when each of the owners has it, in seconds since the epoch; unknown for what was held
    already when WConfD started."""
