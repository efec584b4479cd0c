"""Why a queued job has not begun, for people who ask."""

from __future__ import annotations

from gantry.core.queue.happenings import Rules
from gantry.core.queue.state import Entry, Queue


def queued_because(queue: Queue, entry: Entry, rules: Rules) -> str | None:
    """Say what a queued job waits for; ``None`` if it is not queued.

    The first reason is told: without it the next may still hold.
    """
    if entry.phase != "queued":
        return None
    if entry.paused:
        return f"it is paused; to let it begin: gnt-job resume {entry.id}"
    if queue.paused:
        return "the queue is paused; to let jobs begin: gnt-cluster queue resume"
    others = sorted({d.job for d in entry.depends if queue.is_unfinished(d.job)})
    if others:
        return f"it depends on what becomes of jobs {', '.join(map(str, others))}"
    decision = rules.filters.decide(entry.job)
    if decision is not None and decision.action == "PAUSE":
        return f"the filter rule {decision.rule} pauses it (see gnt-filter list)"
    if len(queue.active) >= rules.running_max:
        return f"{len(queue.active)} jobs are at work, and no more than {rules.running_max} may be"
    if entry.limits or decision is not None:
        return "a rate limit, by its reason trail or a filter rule, lets no more such jobs begin"
    return "it is about to begin"
