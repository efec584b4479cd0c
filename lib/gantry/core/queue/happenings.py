"""What happens to the queue, what is to be done about it, and what is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import field, frozen

from gantry.core.queue.fold import replay
from gantry.core.queue.job_filters import JobFilters
from gantry.core.queue.state import NO_JOB, Queue
from gantry.core.queue.submission import (
    NewlyNumbered,
    Opcodes,
    Secrets,
)
from gantry.protocols.errors import GanetiError
from gantry.protocols.identity import Attempt, JobId, Key
from gantry.protocols.jobproc import LogLevel, Numbered
from gantry.protocols.jobs import Choice, Timestamp
from gantry.protocols.queue_records import (
    Outcomes,
    QueueRecord,
    Sending,
)
from gantry.protocols.steps import Decided


@frozen
class Rules:
    """What decisions depend on besides the queue."""

    running_max: int
    available: Callable[[str], bool]
    """Whether an opcode can be carried out, by its ``OP_ID``."""
    filters: JobFilters = field(factory=JobFilters)


# --- events --------------------------------------------------------------------------------------


@frozen
class Submit:
    """A client hands in jobs whose opcodes have been checked."""

    jobs: tuple[Opcodes, ...]
    at: Timestamp
    sending: Sending | None = None
    though_drained: bool = False
    old_through: JobId = NO_JOB
    """The last of the jobs that came too long ago to be what this repeats."""


@frozen
class Cancel:
    """A client wants a job to be cancelled, or its process killed."""

    job: JobId
    kill: bool
    at: Timestamp


@frozen
class Decide:
    """A client answers what a job asks."""

    job: JobId
    choice: Choice


@frozen
class ChangePriority:
    """A client wants another priority for a job."""

    job: JobId
    priority: int


@frozen
class SetPaused:
    """A client wants a job to stand still at its next step, or to go on."""

    job: JobId
    paused: bool
    at: Timestamp


@frozen
class SetLogLevel:
    """A client wants a job's processes to log more, or as usual."""

    job: JobId
    level: LogLevel


@frozen
class SetQueuePaused:
    """A client wants no job to begin, or jobs to begin again."""

    paused: bool


@frozen
class SetDrained:
    """A client closes or opens the queue."""

    drained: bool


@frozen
class Archive:
    """A job's file is in the archive now."""

    job: JobId


@frozen
class Tick:
    """Something that scheduling depends on may have changed."""

    at: Timestamp


@frozen
class Started:
    """The fork server has made an attempt's process."""

    job: JobId
    attempt: Attempt
    pid: int


@frozen
class NotStarted:
    """The fork server could not make an attempt's process."""

    job: JobId
    attempt: Attempt
    reason: str
    at: Timestamp


@frozen
class Reported:
    """A job process said something."""

    job: JobId
    attempt: Attempt
    events: tuple[Numbered, ...]
    at: Timestamp


@frozen
class Died:
    """An attempt's process is no more."""

    job: JobId
    attempt: Attempt
    at: Timestamp
    blameless: bool = False
    """Whether it had to end, since nobody may act on this master for now."""


Happening = (
    Submit
    | Cancel
    | Decide
    | ChangePriority
    | SetPaused
    | SetLogLevel
    | SetQueuePaused
    | SetDrained
    | Archive
    | Tick
    | Started
    | NotStarted
    | Reported
    | Died
)


# --- effects and answers -------------------------------------------------------------------------


@frozen
class Spawn:
    """Have a process made for an attempt."""

    job: JobId
    attempt: Attempt


@frozen
class AnswerWanted:
    """Tell a job process what became of the jobs that it wanted."""

    job: JobId
    attempt: Attempt
    key: Key
    outcomes: Outcomes


@frozen
class AskToCancel:
    """Tell a job process to stop and undo."""

    job: JobId


@frozen
class TellDecision:
    """Tell a job process what a person has decided."""

    job: JobId
    decided: Decided


@frozen
class AskForPriority:
    """Tell a job process its new priority."""

    job: JobId
    priority: int


@frozen
class AskToPause:
    """Tell a job process to stand still at its next step, or to go on."""

    job: JobId
    paused: bool


@frozen
class AskToLog:
    """Tell a job process how much to log."""

    job: JobId
    level: LogLevel


@frozen
class Kill:
    """Kill a job's process."""

    job: JobId


@frozen
class Keep:
    """Remember a job's secrets, in memory only, until it is closed."""

    job: JobId
    secrets: Secrets = field(repr=False)


@frozen
class Release:
    """The job is over: free what it holds at WConfD, forget its secrets, remove its socket."""

    job: JobId


Effect = (
    Spawn
    | AnswerWanted
    | AskToCancel
    | AskToPause
    | AskToLog
    | TellDecision
    | AskForPriority
    | Kill
    | Keep
    | Release
)


@frozen
class Accepted:
    """For each job its id, or why it was not accepted."""

    jobs: tuple[JobId | str, ...]


@frozen
class Refused:
    """The request changes nothing."""

    error: GanetiError


@frozen
class Said:
    """Whether it worked, and what the client shows."""

    success: bool
    text: str


@frozen
class Asked:
    """The job process was asked to cancel; how the job ends is the answer."""


Answer = Accepted | Refused | Said | Asked | None


@frozen
class Step:
    """What one event leads to."""

    queue: Queue
    records: tuple[QueueRecord, ...] = ()
    effects: tuple[Effect, ...] = ()
    answer: Answer = None


def decided(
    queue: Queue, *records: QueueRecord, effects: Iterable[Effect] = (), answer: Answer = None
) -> Step:
    """Return the step that makes these records."""
    return Step(replay(records, queue), records, tuple(effects), answer)


def keep(numbered: Iterable[NewlyNumbered]) -> list[Effect]:
    """Return the effects that keep the secrets of new jobs."""
    return [Keep(each.stored.id, each.secrets) for each in numbered if each.secrets]
