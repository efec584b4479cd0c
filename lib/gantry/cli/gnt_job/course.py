"""What ``gnt-job info`` tells beyond what Ganeti knows: phases, attempts, waits and steps."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.cli.cell_text import precise_time_text
from gantry.cli.description import Record
from gantry.cli.info_text import Entry
from gantry.cli.job_steps import (
    Names,
    PlanView,
    StepView,
    duration_text,
    lock_text,
    step_text,
    took,
    undo_text,
)

FIELDS = [
    *("opsteps", "attempts", "waits", "pauses", "paused", "cancel_wanted", "queued_because"),
    "blocked_by",
]
"""Fields of ours; ``None`` for a job in the archive."""

MICROSECONDS = 1_000_000
STATE_WIDTH = len("interrupted")


def seconds(timestamp: object) -> float | None:
    """Return a time as seconds since the epoch."""
    match timestamp:
        case [int() as whole, int() as micro]:
            return whole + micro / MICROSECONDS
        case int() | float():
            return float(timestamp)
        case _:
            return None


def between(earlier: object, later: object) -> str:
    """Return how long it took from one time to another; empty if that is not known."""
    begin, end = seconds(earlier), seconds(later)
    return "" if begin is None or end is None else duration_text(max(0.0, end - begin))


def job_entries(job: Record) -> list[Entry]:
    """Return what is known of the job as a whole; nothing if it is in the archive."""
    if job["attempts"] is None:
        return []
    entries = []
    if job["queued_because"]:
        entries.append(Entry("Queued because", job["queued_because"]))
    elif job["paused"]:
        entries.append(Entry("Paused", f"yes; to let it go on: gnt-job resume {job['id']}"))
    if job["cancel_wanted"]:
        entries.append(Entry("Cancelled", "yes: it stops at its next safe point and undoes"))
    if blockers := job.items("blocked_by"):
        entries.append(Entry("Waits for the locks of jobs", _listed(blockers)))
    if queued := between(job["received_ts"], job["start_ts"]):
        entries.append(Entry("Time in the queue", queued))
    if attempts := job.items("attempts"):
        entries.append(Entry("Attempts", [_attempt(each) for each in attempts]))
    if waits := job.items("waits"):
        entries.append(Entry("Waits for locks", [_wait(each) for each in waits]))
    if pauses := job.items("pauses"):
        entries.append(Entry("Pauses", [_pause(each) for each in pauses]))
    return entries


def _listed(jobs: Sequence[object]) -> str:
    return ", ".join(map(str, jobs))


def _attempt(value: object) -> str:
    match value:
        case {"attempt": number, "mode": mode, "at": at}:
            what = "carries it on" if mode == "run" else "rolls it back"
            return f"{number}, which {what}, begun {precise_time_text(at)}"
        case other:
            return str(other)


def _wait(value: object) -> str:
    match value:
        case {"opcode": opcode, "began": began, "ended": ended, "jobs": [*jobs]}:
            return f"{between(began, ended)} for jobs {_listed(jobs)} (opcode {opcode})"
        case other:
            return str(other)


def _pause(value: object) -> str:
    match value:
        case {"began": began, "ended": None}:
            return f"since {precise_time_text(began)}"
        case {"began": began, "ended": ended}:
            return f"{between(began, ended)}, from {precise_time_text(began)}"
        case other:
            return str(other)


def opcode_entries(job: Record, at: int, plan: PlanView | None, names: Names) -> list[Entry]:
    """Return what is known of one opcode: its phases and its steps."""
    if job["attempts"] is None:
        return []
    entries = []
    if waited := between(job.at("opstart", at), job.at("opexec", at)):
        entries.append(Entry("Time for locks and start", waited))
    if worked := between(job.at("opexec", at), job.at("opend", at)):
        entries.append(Entry("Time at work", worked))
    if plan is not None:
        if plan.locks:
            entries.append(Entry("Locks", [lock_text(each, names) for each in plan.locks]))
        title = "Steps it would take (dry run)" if plan.dry_run else "Steps"
        entries.append(Entry(title, [_step(each, names) for each in plan.steps]))
        if plan.no_return is not None:
            entries.append(Entry("Nothing is undone after", plan.no_return))
    return entries


def _step(step: StepView, names: Names) -> str:
    duration = took(step)
    attempt = f", attempt {step.attempt}" if step.attempt not in (None, 1) else ""
    details = f"{step.kind}; {step_text(step, names)}; {undo_text(step)}{attempt}"
    return f"{step.state:{STATE_WIDTH}} {duration:>8}  {step.name}  ({details})"
