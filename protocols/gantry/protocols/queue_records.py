"""The records of the job queue's stream: folded in order, they are the queue.

Every record says what was decided, never what follows from it: statuses of jobs, log serials,
timestamps of jobs are derived when records are folded (:mod:`gantry.core.queue.state`). What a
job process reports is stored as it was said, in one record for everything that arrived together.
No record holds a secret: secret parameters are ``<redacted>`` before a job becomes a record.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from gantry.protocols.codec import Json, dump, load
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.identity import Attempt, Epoch, JobId, Key
from gantry.protocols.job_course import NOTHING_YET, JobCourse
from gantry.protocols.jobproc import Event, EventNumber, LogLevel, Mode, NotSubmitted, Submitted
from gantry.protocols.jobs import JobStatus, Timestamp
from gantry.protocols.records import Position
from gantry.protocols.replication import LogEnd
from gantry.protocols.steps import Decided, StepRecord

ReasonEntry = tuple[str, str, int]
OpcodeJson = Mapping[str, Json]
Outcomes = tuple[Submitted | NotSubmitted, ...]


@frozen
class NewJob:
    """A job as it was accepted: opcodes in normal form, without secrets."""

    id: JobId
    ops: tuple[OpcodeJson, ...]


@frozen
class Sending:
    """How a repetition of a submission is recognised."""

    digest: str
    """Of the method, the peer's user id and the opcodes as they were sent."""
    connection: str
    """On which connection it came; a client that means a second job uses the same one."""


@frozen
class Wanted:
    """The answer to a job that asked for jobs, kept to answer the same key in the same way."""

    key: Key
    outcomes: Outcomes


@frozen
class JobsSubmitted:
    """Jobs were accepted, all of them together."""

    jobs: tuple[NewJob, ...]
    received: Timestamp
    sending: Sending | None = None
    wanted: Wanted | None = None


@frozen
class AttemptBegun:
    """A process is about to be spawned for a job; committed before that happens."""

    job: JobId
    attempt: Attempt
    mode: Mode
    at: Timestamp
    blameless: bool = False
    """Whether the earlier process ended for a reason that is not its own."""


@frozen
class ProcessStarted:
    """The attempt's process exists and has its work; committed with what it says first.

    So an attempt without this record has changed nothing, whatever became of its process: before
    its first change it waits until what it said is committed.
    """

    job: JobId
    attempt: Attempt
    pid: int


@frozen
class JobReported:
    """What a job process said; ``through`` is the number of its last event."""

    job: JobId
    attempt: Attempt
    through: EventNumber
    events: tuple[Event, ...]


@frozen
class JobClosed:
    """A finished job's process is gone and everything that the job held was released."""

    job: JobId


@frozen
class JobCanceled:
    """A queued job was dequeued."""

    job: JobId
    at: Timestamp


@frozen
class CancelWanted:
    """A job that has begun is to stop and undo, in this attempt or a later one."""

    job: JobId


@frozen
class JobPauseSet:
    """A job is to stand still at its next step, or to go on."""

    job: JobId
    paused: bool
    at: Timestamp


@frozen
class JobLogLevelSet:
    """A job's processes, this one and later ones, are to log more, or as usual."""

    job: JobId
    level: LogLevel


@frozen
class JobDecided:
    """A person has answered what a job asked."""

    job: JobId
    decided: Decided


@frozen
class JobFailed:
    """LuxiD ends a job: its first unfinished opcode gets ``error``, later ones ``rest``."""

    job: JobId
    at: Timestamp
    error: Json
    rest: Json
    trail: ReasonEntry | None = None
    """What is added to the reason trails of these opcodes."""


@frozen
class PriorityChanged:
    """The priority of a job's unfinished opcodes was changed."""

    job: JobId
    priority: int


@frozen
class JobArchived:
    """A finished job is in the archive and not in the queue any more."""

    job: JobId
    status: JobStatus


@frozen
class DrainFlagSet:
    """The queue was closed for, or opened to, new jobs."""

    drained: bool


@frozen
class ReignBegun:
    """A new master has the queue, which is open: the first record of its epoch.

    Whatever processes jobs had were an earlier master's: their ends are no deaths of the jobs.
    """


@frozen
class QueuePauseSet:
    """From now on no job begins, or jobs begin again."""

    paused: bool


@frozen
class StoredEntry:
    """One job of a :class:`QueueSnapshot`."""

    job: Json
    """The job in the form of a job file."""
    attempt: Attempt
    mode: Mode
    roll_backs: int
    has_process: bool
    reported: EventNumber
    records: tuple[StepRecord, ...]
    wanted: tuple[Wanted, ...]
    closed: bool
    deaths: int = 0
    false_starts: int = 0
    cancel_wanted: bool = False
    paused: bool = False
    course: JobCourse = NOTHING_YET
    is_orphan: bool = False
    log_level: LogLevel | None = None


@frozen
class StoredSending:
    """One recent submission of a :class:`QueueSnapshot`."""

    sending: Sending
    jobs: tuple[JobId, ...]
    received: Timestamp


@frozen
class QueueSnapshot:
    """The whole queue: the first record of a log that was cut short or taken over."""

    serial: JobId
    drained: bool
    entries: tuple[StoredEntry, ...]
    archived: tuple[tuple[JobId, JobStatus], ...]
    sendings: tuple[StoredSending, ...]
    paused: bool = False


@frozen
class StoredQueue:
    """The snapshot's file: the queue as of a place in the journal."""

    position: Position
    queue: QueueSnapshot
    epoch: Epoch = FIRST_EPOCH
    """Of the last record that is in it."""

    @property
    def end(self) -> LogEnd:
        """Up to where it holds the journal."""
        return LogEnd(self.epoch, self.position.index, self.position.checksum)


QueueRecord = (
    JobsSubmitted
    | AttemptBegun
    | ProcessStarted
    | JobReported
    | JobClosed
    | JobCanceled
    | CancelWanted
    | JobPauseSet
    | JobLogLevelSet
    | JobDecided
    | JobFailed
    | PriorityChanged
    | JobArchived
    | DrainFlagSet
    | QueuePauseSet
    | ReignBegun
    | QueueSnapshot
)


def dump_record(record: QueueRecord) -> Json:
    """Return the JSON form of a record."""
    return dump(record, QueueRecord)


def load_record(value: Json) -> QueueRecord:
    """Read a record.

    Raises:
        gantry.protocols.codec.Malformed: it is none; the text says where and why.
    """
    return load(QueueRecord, value)  # type: ignore[arg-type]  # a union is no type[T] for mypy
