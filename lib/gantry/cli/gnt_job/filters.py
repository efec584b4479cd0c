"""Options that choose jobs by their status."""

from __future__ import annotations

from gantry.cli.options import Option, one_of
from gantry.cli.query_filter import simple_condition

DEST = "status_filter"

PENDING = one_of("--pending", DEST, "queued waiting canceling", "jobs that have not begun")
RUNNING = one_of("--running", DEST, "running", "running jobs")
FAILED = one_of("--error", DEST, "error", "failed jobs")
FINISHED = one_of("--finished", DEST, "success canceled error", "jobs that have ended")
QUEUED = one_of("--queued", DEST, "queued", "queued jobs")
WAITING = one_of("--waiting", DEST, "waiting", "jobs that wait for locks")

LIST_FILTERS: tuple[Option[str | None], ...] = (PENDING, RUNNING, FAILED, FINISHED)
CHANGE_FILTERS: tuple[Option[str | None], ...] = (PENDING, QUEUED, WAITING)
PAUSE_FILTERS: tuple[Option[str | None], ...] = (PENDING, QUEUED, WAITING, RUNNING)


def status_condition(statuses: str | None) -> list[object] | None:
    """Return the filter for a space-separated list of statuses."""
    return simple_condition("status", statuses.split()) if statuses else None
