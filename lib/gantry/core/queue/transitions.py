"""What happens to a job when one of its opcodes changes: pure functions from job to job.

An opcode moves only along :data:`ALLOWED`; a change that does not is no change, so that a
repeated or late report does no harm. What follows from a change is done here too: a failed
opcode ends the later ones, a job's timestamps follow those of its opcodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from gantry.protocols.codec import Json
from gantry.protocols.jobs import (
    Job,
    LogEntry,
    LogType,
    OpStatus,
    QueuedOpcode,
    Timestamp,
    replace_op,
    timestamp,
)

ALLOWED: Final[Mapping[OpStatus, frozenset[OpStatus]]] = {
    "queued": frozenset({"waiting", "canceled", "error"}),
    "waiting": frozenset({"running", "canceling", "canceled", "error"}),
    "canceling": frozenset({"canceled", "error"}),
    "running": frozenset({"success", "canceled", "error"}),
    "success": frozenset(),
    "canceled": frozenset(),
    "error": frozenset(),
}
"""Where an opcode may go from each status."""

PRECEDING_FAILED: Final[Json] = ["OpExecError", ["Preceding opcode failed"]]
"""The result of the opcodes that come after a failed one."""


def moment(seconds: float) -> Timestamp:
    """Return the job-file form of a wall-clock time in seconds since the epoch."""
    return timestamp(round(seconds * 1_000_000) * 1000)


def with_status(job: Job, index: int, status: OpStatus, at: Timestamp, result: Json = None) -> Job:
    """Return the job after one opcode entered a status; the same job if it may not do that."""
    if not 0 <= index < len(job.ops) or status not in ALLOWED[job.ops[index].status]:
        return job
    op = attrs.evolve(job.ops[index], status=status)
    match status:
        case "waiting":
            op = attrs.evolve(op, start_timestamp=at)
            job = attrs.evolve(job, start_timestamp=job.start_timestamp or at)
        case "running":
            op = attrs.evolve(op, exec_timestamp=at)
        case "success" | "canceled" | "error":
            op = attrs.evolve(op, end_timestamp=at, result=result)
        case "queued" | "canceling":
            pass
    job = replace_op(job, index, op)
    if status == "error":
        job = end_unfinished(job, "error", at, PRECEDING_FAILED)
    if status == "canceled":
        job = end_unfinished(job, "canceled", at, result)
    return attrs.evolve(job, end_timestamp=at) if job.is_final else job


def end_unfinished(job: Job, status: OpStatus, at: Timestamp, result: Json) -> Job:
    """Return the job with every opcode that has not ended ended in the same way."""

    def ended(op: QueuedOpcode) -> QueuedOpcode:
        if op.is_final:
            return op
        return attrs.evolve(op, status=status, end_timestamp=at, result=result)

    return attrs.evolve(job, ops=tuple(map(ended, job.ops)), end_timestamp=at)


def with_reason(job: Job, entry: tuple[str, str, int]) -> Job:
    """Return the job with one more reason in the trails of its unfinished opcodes."""

    def explained(op: QueuedOpcode) -> QueuedOpcode:
        trail = op.input.get("reason")
        if op.is_final or not isinstance(trail, list):
            return op
        return attrs.evolve(op, input={**op.input, "reason": [*trail, list(entry)]})

    return attrs.evolve(job, ops=tuple(map(explained, job.ops)))


def failed(job: Job, at: Timestamp, error: Json, rest: Json) -> Job:
    """Return the job ended in error: ``error`` for its first unfinished opcode."""
    first = next((i for i, op in enumerate(job.ops) if not op.is_final), None)
    if first is None:
        return job
    op = attrs.evolve(job.ops[first], status="error", end_timestamp=at, result=error)
    return end_unfinished(replace_op(job, first, op), "error", at, rest)


def with_log(job: Job, index: int, at: Timestamp, kind: LogType, payload: Json) -> Job:
    """Return the job with what an opcode reported; a list of messages becomes single ones."""
    if not 0 <= index < len(job.ops):
        return job
    if kind == "message-list" and isinstance(payload, list):
        for message in payload:
            job = with_log(job, index, at, "message", message)
        return job
    op = job.ops[index]
    entry = LogEntry(job.last_log_serial + 1, at, kind, payload)
    return replace_op(job, index, attrs.evolve(op, log=(*op.log, entry)))


def with_priority(job: Job, priority: int) -> Job:
    """Return the job with the priority of its unfinished opcodes changed."""
    ops = tuple(op if op.is_final else attrs.evolve(op, priority=priority) for op in job.ops)
    return attrs.evolve(job, ops=ops)
