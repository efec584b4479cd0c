"""What a job has gone through: its plan's steps, attempts, waits and pauses, for people to read.

Nothing is decided by it. It says less than the step journal (no arguments, no results), so it is
kept when its step records are forgotten, and in a file of its own when the job is archived.
"""

from __future__ import annotations

from typing import Final, Literal

from attrs import frozen

from gantry.protocols.identity import Attempt, JobId, NodeUuid
from gantry.protocols.jobs import Timestamp
from gantry.protocols.locks import Held
from gantry.protocols.steps import Kind

StepState = Literal["planned", "running", "interrupted", "done", "undone", "left over"]
"""``interrupted``: its process has died, or it failed, and it is not known how far it came."""


@frozen
class StepOutline:
    """One step of a plan, without the values that it works with."""

    name: str
    kind: Kind
    action: str
    """What is done, in a few words."""
    nodes: tuple[NodeUuid, ...]
    """The nodes that it is done on; none if it is done on the master."""
    undo: str
    """How it is undone, or why it is not."""
    is_undone: bool
    """Whether there is an undo."""
    is_tolerated: bool = False
    """Whether a failure is warned of, and nothing more."""


@frozen
class PlanOutline:
    """A plan, without the values that it works with."""

    steps: tuple[StepOutline, ...]
    no_return: str | None = None
    """The step after which nothing is undone any more."""


@frozen
class StepCourse:
    """One step and how far it is; times are in seconds since the epoch, if they are known."""

    outline: StepOutline
    state: StepState = "planned"
    attempt: Attempt | None = None
    began: float | None = None
    ended: float | None = None
    """When it was done, or undone."""


@frozen
class StepProgress:
    """How far a step is that takes long."""

    done: float
    total: float
    """Of what is known to be to do now: it may still grow."""
    unit: Literal["bytes", "seconds"]
    note: str = ""
    """What it is at, in the words of whoever does it."""


@frozen
class OpcodeCourse:
    """The plan of one opcode and how far it is."""

    opcode: int
    steps: tuple[StepCourse, ...]
    no_return: str | None = None
    locks: tuple[Held, ...] = ()
    """What is held for it; of a plan that changes nothing they are not told."""
    dry_run: bool = False
    """Whether it was only planned."""


@frozen
class AttemptCourse:
    """One process that was to work on the job."""

    attempt: Attempt
    mode: Literal["run", "roll back"]
    at: Timestamp


@frozen
class LockWait:
    """The job waited for locks, and for whom."""

    opcode: int
    began: float
    ended: float
    jobs: tuple[JobId, ...]
    """Who held them, or was before it in line, at any time of the wait."""


@frozen
class Pause:
    """The job was paused; ``ended`` is ``None`` while it is."""

    began: Timestamp
    ended: Timestamp | None = None


@frozen
class JobCourse:
    """All that a job has gone through. Lists are bounded; the oldest entries go first."""

    opcodes: tuple[OpcodeCourse, ...] = ()
    """Those that have a plan, in their order."""
    attempts: tuple[AttemptCourse, ...] = ()
    waits: tuple[LockWait, ...] = ()
    pauses: tuple[Pause, ...] = ()


NOTHING_YET: Final = JobCourse()
"""The course of a job that was just accepted."""
