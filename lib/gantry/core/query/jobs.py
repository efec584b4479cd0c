"""The fields of jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from attrs import evolve, frozen

from gantry.core.query.fields import UNAVAIL, Comparing, Field, Table, normal, present, table
from gantry.core.query.summaries import stored_summary
from gantry.protocols.codec import Json, dump
from gantry.protocols.identity import JobId
from gantry.protocols.job_course import NOTHING_YET, JobCourse
from gantry.protocols.jobproc import Advanced
from gantry.protocols.jobs import Job, QueuedOpcode, log_entry_to_json
from gantry.protocols.query import Cell, Kind


@frozen
class Doing:
    """What a job's process does at this moment; it is in no record."""

    blocked_by: tuple[JobId, ...] = ()
    advanced: Advanced | None = None
    """How far the step at work is, if it tells."""


@frozen
class JobInside:
    """What is known of a job beyond what Ganeti knows of one."""

    course: JobCourse = NOTHING_YET
    paused: bool = False
    cancel_wanted: bool = False
    queued_because: str | None = None
    doing: Doing = Doing()


def nothing_known(_: JobId) -> JobInside | None:
    """Know no more of any job than Ganeti does."""
    return None


Insides = Callable[[JobId], JobInside | None]
"""Gives what is known of a job; asked only for fields that need it."""


@frozen
class JobRow:
    """A job that was asked for; ``job`` is ``None`` if there is none of that number."""

    id: JobId
    job: Job | None
    archived: bool = False
    insides: Insides = nothing_known

    @property
    def inside(self) -> JobInside | None:
        """What is known of it beyond what Ganeti knows."""
        return self.insides(self.id)


def _of_job(
    name: str, title: str, kind: Kind, doc: str, value: Callable[[Job], Json]
) -> Field[JobRow]:
    """Make a field of the job as a whole."""

    def read(row: JobRow) -> Cell:
        return UNAVAIL if row.job is None else present(value(row.job))

    comparing: Comparing = "timestamp" if name.endswith("_ts") else "plain"
    return Field(name, title, kind, doc, read, "job", comparing)


def _of_ops(
    name: str, title: str, doc: str, value: Callable[[QueuedOpcode], Json]
) -> Field[JobRow]:
    """Make a field that lists something of each opcode."""

    def read(row: JobRow) -> Cell:
        return UNAVAIL if row.job is None else normal([value(op) for op in row.job.ops])

    return Field(name, title, "other", doc, read, "job")


def _archived(row: JobRow) -> Cell:
    return UNAVAIL if row.job is None else normal(row.archived)


_FIELDS: Final[tuple[Field[JobRow], ...]] = (
    Field("id", "ID", "number", "Number of the job", lambda r: (0, r.id)),
    Field("archived", "Archived", "bool", "Whether it has been put away", _archived, "job"),
    _of_job("status", "Status", "text", "State of the job", lambda j: j.status),
    _of_job("priority", "Priority", "number", "Most urgent priority of what is left to do",
            lambda j: j.priority),
    _of_job("received_ts", "Received", "other", "When it was accepted",
            lambda j: j.received_timestamp),
    _of_job("start_ts", "Start", "other", "When it was started", lambda j: j.start_timestamp),
    _of_job("end_ts", "End", "other", "When it ended", lambda j: j.end_timestamp),
    _of_ops("ops", "OpCodes", "The opcodes", lambda op: op.input),
    _of_ops("summary", "Summary", "Each opcode and what it is about",
            lambda op: stored_summary(op.input)),
    _of_ops("opstatus", "OpCode_status", "State of each opcode", lambda op: op.status),
    _of_ops("opresult", "OpCode_result", "Result of each opcode", lambda op: op.result),
    _of_ops("oplog", "OpCode_log", "What each opcode reported",
            lambda op: list(map(log_entry_to_json, op.log))),
    _of_ops("opstart", "OpCode_start", "When each opcode began to wait for its locks",
            lambda op: op.start_timestamp),
    _of_ops("opexec", "OpCode_exec", "When each opcode had its locks",
            lambda op: op.exec_timestamp),
    _of_ops("opend", "OpCode_end", "When each opcode ended", lambda op: op.end_timestamp),
    _of_ops("oppriority", "OpCode_prio", "Priority of each opcode", lambda op: op.priority),
)  # fmt: skip


# --- ours ----------------------------------------------------------------------------------------


def _ours(
    name: str, title: str, kind: Kind, doc: str, value: Callable[[Job, JobInside], Json]
) -> Field[JobRow]:
    """Make a field that Ganeti does not have: there for those who name it."""

    def read(row: JobRow) -> Cell:
        inside = row.inside
        return UNAVAIL if row.job is None or inside is None else normal(value(row.job, inside))

    return Field(name, title, kind, doc, read, "course")


def _steps(job: Job, inside: JobInside) -> list[Json]:
    known = {each.opcode: each for each in inside.course.opcodes}
    shown: list[Json] = [dump(known[n]) if n in known else None for n in range(len(job.ops))]
    at = inside.doing.advanced
    if at is not None and at.opcode in known and at.step < len(known[at.opcode].steps):
        steps = cast("dict[str, list[dict[str, Json]]]", shown[at.opcode])["steps"]
        steps[at.step]["progress"] = dump(at.progress)
    return shown


_OURS: Final[tuple[Field[JobRow], ...]] = (
    _ours("opsteps", "OpCode_steps", "other", "Plan of each opcode, and how far its steps are",
          _steps),
    _ours("attempts", "Attempts", "other", "The processes that were to work on it",
          lambda _, inside: [dump(each) for each in inside.course.attempts]),
    _ours("waits", "Waits", "other", "How long it waited for locks, and for whom",
          lambda _, inside: [dump(each) for each in inside.course.waits]),
    _ours("pauses", "Pauses", "other", "When it was paused",
          lambda _, inside: [dump(each) for each in inside.course.pauses]),
    _ours("paused", "Paused", "bool", "Whether it stands still until it is resumed",
          lambda _, inside: inside.paused),
    _ours("cancel_wanted", "Cancelled", "bool", "Whether it was told to stop and undo",
          lambda _, inside: inside.cancel_wanted),
    _ours("queued_because", "QueuedBecause", "text", "What it waits for, while it is queued",
          lambda _, inside: inside.queued_because),
    _ours("blocked_by", "BlockedBy", "other", "The jobs whose locks it waits for now",
          lambda _, inside: list(inside.doing.blocked_by)),
)  # fmt: skip

JOBS: Final[Table[JobRow]] = evolve(
    table("job", "id", _FIELDS, _OURS), unlisted=frozenset(each.name for each in _OURS)
)
