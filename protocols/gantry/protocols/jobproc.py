"""The job protocol: what LuxiD says to a job process on the job's own unix socket.

The socket is bound by the fork server before the child exists; being connectable is what
"alive" means. LuxiD connects, hands over the assignment, and then always has one
:meth:`JobProcess.events` call waiting, which answers as soon as something happened. Whatever
the job wants from LuxiD (records to commit, jobs to submit) is an event; nobody calls LuxiD.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NewType, Protocol

from attrs import frozen
from typing_extensions import override

from gantry.protocols.codec import Json
from gantry.protocols.errors import ServiceError
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, NodeUuid
from gantry.protocols.job_course import LockWait, PlanOutline, StepProgress
from gantry.protocols.jobs import LogType
from gantry.protocols.locks import Held
from gantry.protocols.service import Service, raises
from gantry.protocols.steps import Decided, StepRecord

EventNumber = NewType("EventNumber", int)
"""Events of one attempt are numbered from 1 without gaps."""

Mode = Literal["run", "roll back"]

LogLevel = Literal["info", "debug"]
"""How much a job's process writes into the log of jobs."""


@frozen
class Assignment:
    """All that a job process needs to begin."""

    job: JobId
    attempt: Attempt
    epoch: Epoch
    mode: Mode
    opcodes: tuple[Mapping[str, Json], ...]
    """The opcodes in normal form, without secrets."""
    finished: int
    """How many opcodes have ended with success in earlier attempts."""
    records: tuple[StepRecord, ...]
    """What the queue knows of earlier attempts' steps, in order."""
    priority: int
    log_serial: int
    """The serial number of the job's last log entry, 0 for none."""
    cancelled: bool = False
    """Whether the job was asked to stop while an earlier attempt was at work."""
    paused: bool = False
    """Whether to stand still before the next step."""
    secrets: tuple[Mapping[str, str], ...] = ()
    """The secret OS parameters of each opcode; kept in memory only."""
    warnings: tuple[str, ...] = ()
    """What the job's log has to say about the master at this time."""
    log_level: LogLevel | None = None
    """How much to log; ``None``: as the opcodes say."""

    @override
    def __repr__(self) -> str:
        return f"Assignment(job={self.job}, attempt={self.attempt}, mode={self.mode!r})"


OpcodeStatus = Literal["waiting", "running", "canceled", "success", "error"]


@frozen
class OpcodeChanged:
    """An opcode has entered a status; ``result`` is set when the status is final."""

    opcode: int
    status: OpcodeStatus
    at: float
    result: Json = None


@frozen
class Logged:
    """A log entry, as in job files."""

    opcode: int
    at: float
    type: LogType
    payload: Json


@frozen
class Recorded:
    """A step record, which the job's local journal has or is about to have, too."""

    record: StepRecord
    at: float = 0.0
    """When, in seconds since the epoch; 0 if that is not known any more."""


@frozen
class Shown:
    """A dry run has come to its end: this is what would be done, with these locks."""

    opcode: int
    plan: PlanOutline
    locks: tuple[Held, ...]


@frozen
class Waited:
    """The job has waited for locks for longer than a moment, and has them now."""

    wait: LockWait


@frozen
class JobsWanted:
    """The job asks for other jobs to be submitted; asking again with the same key is harmless."""

    key: Key
    jobs: tuple[tuple[Mapping[str, Json], ...], ...]


@frozen
class BlockedBy:
    """The job waits for locks that these jobs hold; empty when it waits no longer."""

    jobs: tuple[JobId, ...]


@frozen
class Advanced:
    """How far the step at work is, if it takes long; of the moment, and no part of the queue."""

    opcode: int
    step: int
    progress: StepProgress


@frozen
class Ended:
    """The job has ended: when this is committed, its locks go and the process leaves."""

    nodes: tuple[NodeUuid, ...] = ()
    """The nodes that may remember calls of the job, which they can forget now."""


Event = (
    OpcodeChanged | Logged | Recorded | Shown | Waited | JobsWanted | BlockedBy | Advanced | Ended
)


@frozen
class Numbered:
    """An event and its number."""

    number: EventNumber
    event: Event


@frozen
class Submitted:
    """A job was submitted."""

    id: JobId


@frozen
class NotSubmitted:
    """A job was refused."""

    reason: str


@frozen
class NotAssigned(ServiceError):
    """The job process has not been told what to do yet."""

    job: JobId

    @override
    def sentence(self) -> str:
        return f"job {self.job} has no assignment yet"


@frozen
class ProcessStatus:
    """What a job's process says of itself."""

    attempt: Attempt
    opcode: int | None
    """The opcode that it is at."""
    step: str | None
    """The step that it is at, by its name."""
    is_waiting: bool
    """Whether it waits for locks."""
    is_paused: bool
    is_cancelled: bool
    priority: int
    log_level: LogLevel


class JobProcess(Protocol):
    """One job at work."""

    async def assign(self, assignment: Assignment) -> tuple[Numbered, ...]:
        """Hand over the work, and wait for the first events; a repeat only waits for events."""

    @raises(NotAssigned)
    async def assignment(self) -> tuple[JobId, Attempt]:
        """Say which job and attempt this is; a restarted LuxiD asks when it adopts the process."""

    @raises(NotAssigned)
    async def status(self) -> ProcessStatus:
        """Say what the process is at."""

    async def set_log_level(self, level: LogLevel) -> None:
        """Write more into the log, or no more than usual."""

    async def events(self, after: EventNumber) -> tuple[Numbered, ...]:
        """Wait for events later than ``after`` and return them, oldest first.

        It says at the same time that all events up to ``after`` are durable: the process may
        forget them.
        """

    async def submitted(self, key: Key, outcomes: tuple[Submitted | NotSubmitted, ...]) -> None:
        """Answer a :class:`JobsWanted`."""

    async def cancel(self) -> bool:
        """Ask the job to stop at the next safe point, undo and end as cancelled.

        Returns:
            Whether the job had not begun to act, so that it ends as cancelled for certain.
        """

    async def pause(self) -> None:
        """Stand still before the next step that is to be carried out; a cancel ends that.

        Steps that are undone do not wait: nothing half done is left lying about.
        """

    async def resume(self) -> None:
        """Go on after :meth:`pause`."""

    async def decided(self, decision: Decided) -> None:
        """Answer what the job asked with :class:`gantry.protocols.steps.Asked`."""

    async def set_lease(self, held: bool) -> None:  # noqa: FBT001 - recorded by name
        """Say whether the master has the lease: without it the job stops before its next step."""

    async def set_priority(self, priority: int) -> None:
        """Change the priority with which the job waits for locks."""


JOB_PROCESS: Final = Service(JobProcess)


def socket_name(job: JobId) -> str:
    """Return the name of a job's socket below the node's socket folder."""
    return f"job-{job}"


@frozen
class SpawnRequest:
    """What the fork server is asked: one datagram."""

    job: JobId
    attempt: Attempt
    socket: str
    """The path to bind, listen on and hand to the child."""


@frozen
class Spawned:
    """The fork server's answer; a pidfd of the child travels beside it."""

    job: JobId
    attempt: Attempt
    pid: int


@frozen
class NotSpawned:
    """The fork server could not make a child."""

    job: JobId
    attempt: Attempt
    reason: str


@frozen
class Reaped:
    """A child has ended badly; ``status`` as by ``os.waitstatus_to_exitcode``, and never 0."""

    job: JobId
    attempt: Attempt
    pid: int
    status: int


ForkServerMessage = Spawned | NotSpawned | Reaped

FORK_SERVER_SOCKET: Final = "fork-server"
"""A SOCK_SEQPACKET socket: one JSON value per datagram, in both directions."""

DATAGRAM_BYTES_MAX: Final = 4096
