"""The fields of jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import frozen

from gantry.core.query.fields import UNAVAIL, Comparing, Field, Table, normal, present, table
from gantry.core.query.summaries import stored_summary
from gantry.protocols.codec import Json
from gantry.protocols.identity import JobId
from gantry.protocols.jobs import Job, QueuedOpcode, log_entry_to_json
from gantry.protocols.query import Cell, Kind


@frozen
class JobRow:
    """A job that was asked for; ``job`` is ``None`` if there is none of that number."""

    id: JobId
    job: Job | None
    archived: bool = False


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

JOBS: Final[Table[JobRow]] = table("job", "id", _FIELDS)
