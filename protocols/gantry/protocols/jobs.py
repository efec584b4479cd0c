"""Jobs and their opcodes' execution state, and the codec to Ganeti's job files.

The classes say what is known of a job at one moment; they decide nothing. An opcode's ``input``
stays the JSON object that was stored, so that a job written by another version, whose opcodes
this one does not know, is still listed, shown and archived unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, cast, get_args

import attrs
from attrs import field, frozen, validators

from gantry.protocols.codec import Malformed, dump, from_bytes, load, new_converter, to_bytes
from gantry.protocols.identity import JobId

OpStatus = Literal["queued", "waiting", "canceling", "running", "canceled", "success", "error"]
"""The state of one opcode, in the order in which Ganeti declares them."""

JobStatus = OpStatus
"""The state of a job: the same words, derived from its opcodes by :func:`job_status`."""

STATUSES: Final[tuple[OpStatus, ...]] = get_args(OpStatus)
PENDING: Final[frozenset[OpStatus]] = frozenset({"queued", "waiting", "canceling"})
"""Not begun, or begun and not yet holding its locks."""
FINAL: Final[frozenset[OpStatus]] = frozenset({"canceled", "success", "error"})
"""Will not change any more."""

LogType = Literal["message", "message-list", "remote-import", "jqueue-test", "delay-test"]
"""What a log entry's payload is; only a ``message`` is known to be a string."""

Choice = Literal["skip", "redo", "abort"]
"""What a person decides about a step that a job asks about: it counts as done; it is done (again);
the job is undone."""

HIGHEST_PRIORITY: Final = -20
LOWEST_PRIORITY: Final = 19
SUBMIT_PRIORITIES: Final[frozenset[int]] = frozenset({-10, 0, 10})
"""What a client may ask for: high, normal, low. A job process moves through the full range."""

Timestamp = tuple[int, int]
"""Seconds since the epoch and microseconds, as in job files and query results."""


def timestamp(nanoseconds: int) -> Timestamp:
    """Return the job-file form of a wall-clock time in nanoseconds since the epoch."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return seconds, rest // 1000


@frozen
class LogEntry:
    """One line that an opcode reported; ``serial`` counts from 1 over the whole job."""

    serial: int
    timestamp: Timestamp
    type: LogType
    payload: object


@frozen
class QueuedOpcode:
    """One opcode of a job and how far it is.

    ``input`` is the opcode as JSON object with its ``OP_ID``. ``result`` stays ``None`` until the
    opcode has ended; of a failed opcode it is the encoded error. ``start_timestamp`` is when it
    began to wait for its locks, ``exec_timestamp`` when it held them.
    """

    input: Mapping[str, object]
    status: OpStatus = "queued"
    result: object = None
    log: tuple[LogEntry, ...] = ()
    start_timestamp: Timestamp | None = None
    exec_timestamp: Timestamp | None = None
    end_timestamp: Timestamp | None = None
    priority: int = field(
        default=0,
        validator=[validators.ge(HIGHEST_PRIORITY), validators.le(LOWEST_PRIORITY)],
    )

    @property
    def opcode_id(self) -> str:
        """The ``OP_ID`` of the input, or the empty string if it has none."""
        name = self.input.get("OP_ID")
        return name if isinstance(name, str) else ""

    @property
    def is_final(self) -> bool:
        """Whether the opcode has ended."""
        return self.status in FINAL


@frozen
class Job:
    """A job: opcodes that are executed one after the other.

    ``livelock`` names the file that lives as long as the job process, and ``process_id`` that
    process; both are ``None`` until it has been started.
    """

    id: JobId
    ops: tuple[QueuedOpcode, ...]
    start_timestamp: Timestamp | None = None
    end_timestamp: Timestamp | None = None
    received_timestamp: Timestamp | None = None
    livelock: str | None = None
    process_id: int | None = None

    @property
    def status(self) -> JobStatus:
        """See :func:`job_status`."""
        return job_status([op.status for op in self.ops])

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.status in FINAL

    @property
    def priority(self) -> int:
        """The most urgent priority among the opcodes that have not ended, or 0."""
        return min((op.priority for op in self.ops if not op.is_final), default=0)

    @property
    def last_log_serial(self) -> int:
        """The serial of the newest log entry, or 0."""
        return max((op.log[-1].serial for op in self.ops if op.log), default=0)


def job_status(statuses: Sequence[OpStatus]) -> JobStatus:
    """Derive a job's status from those of its opcodes, in their order.

    The first opcode that failed or was (or is being) cancelled decides. Else the last one that
    waits or runs does; a job without opcodes has succeeded.
    """
    verdict: JobStatus = "queued"
    for status in statuses:
        match status:
            case "error" | "canceling" | "canceled":
                return status
            case "waiting" | "running":
                verdict = status
            case "queued" | "success":
                pass
    return "success" if all(status == "success" for status in statuses) else verdict


def new_job(job: JobId, inputs: Sequence[Mapping[str, object]], received: Timestamp) -> Job:
    """Return a queued job of opcodes given as JSON objects.

    Raises:
        Malformed: a priority is not a whole number in the permitted range.
    """
    ops: list[QueuedOpcode] = []
    for body in inputs:
        priority = body.get("priority")
        if priority is None:
            priority = 0
        if type(priority) is not int or not HIGHEST_PRIORITY <= priority <= LOWEST_PRIORITY:
            raise Malformed(f"priority {priority!r} is not a whole number from -20 to 19")
        ops.append(QueuedOpcode(body, priority=priority))
    return Job(job, tuple(ops), received_timestamp=received)


# --- Ganeti's job files ------------------------------------------------------------------------

_FILES: Final = new_converter()
"""The converter of job files: log entries are lists, unset process fields are left out."""


def _load_entry(value: object, _: object) -> LogEntry:
    serial, when, kind, payload = load(tuple[int, Timestamp, LogType, object], value, _FILES)
    return LogEntry(serial, when, kind, payload)


def log_entry_to_json(entry: LogEntry) -> list[object]:
    """Return ``[serial, [seconds, microseconds], type, payload]``."""
    return [entry.serial, list(entry.timestamp), entry.type, entry.payload]


_FILES.register_structure_hook(LogEntry, _load_entry)
_FILES.register_unstructure_hook(LogEntry, log_entry_to_json)


def job_from_json(value: object) -> Job:
    """Read the JSON object of a job file.

    Raises:
        Malformed: it is not a job; the text says where and why.
    """
    return load(Job, value, _FILES)


def job_to_json(job: Job) -> dict[str, object]:
    """Return the JSON object of a job file."""
    body = cast("dict[str, object]", dump(job, converter=_FILES))
    for optional in ("livelock", "process_id"):
        if body[optional] is None:
            del body[optional]
    return body


def load_job(data: bytes) -> Job:
    """Read a job file.

    Raises:
        Malformed: the bytes are not a job file; the text says where and why.
    """
    return job_from_json(from_bytes(data))


def dump_job(job: Job) -> bytes:
    """Render a job file."""
    return to_bytes(job_to_json(job))


def replace_op(job: Job, index: int, op: QueuedOpcode) -> Job:
    """Return the job with one opcode replaced; ``index`` counts from 0."""
    if not 0 <= index < len(job.ops):
        raise IndexError(f"job {job.id} has {len(job.ops)} opcodes, there is no number {index}")
    return attrs.evolve(job, ops=(*job.ops[:index], op, *job.ops[index + 1 :]))
