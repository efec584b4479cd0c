"""What people do to jobs that are not over: cancel, pause, resume, decide, prioritise.

The answers to CancelJob and ChangeJobPriority are those of Ganeti, also where they read oddly: a
running job that is told to stop and undo is answered with "no".
"""

from __future__ import annotations

from typing import Final

from gantry.core.queue.happenings import (
    Answer,
    Asked,
    AskForPriority,
    AskToCancel,
    AskToLog,
    AskToPause,
    Cancel,
    ChangePriority,
    Decide,
    Kill,
    Release,
    Said,
    SetLogLevel,
    SetPaused,
    Step,
    TellDecision,
    decided,
)
from gantry.core.queue.state import Entry, Queue
from gantry.protocols.identity import JobId
from gantry.protocols.jobs import SUBMIT_PRIORITIES
from gantry.protocols.queue_records import (
    CancelWanted,
    JobCanceled,
    JobDecided,
    JobLogLevelSet,
    JobPauseSet,
    PriorityChanged,
)
from gantry.protocols.steps import Decided, TurnedBack

UNDOING: Final = "Job {} is being undone already; that can not be paused"


def not_found(job: JobId) -> Said:
    """Return the answer for a job that is over or was never there."""
    return Said(success=False, text=f"Job {job} not found in queue")


def _unfinished(queue: Queue, job: JobId) -> Entry | None:
    entry = queue.entry(job)
    return None if entry is None or entry.closed or entry.job.is_final else entry


def is_turned_back(entry: Entry) -> bool:
    """Whether a job is being undone, or is about to be."""
    turned = any(isinstance(each, TurnedBack) for each in entry.records)
    return entry.cancel_wanted or entry.mode == "roll back" or turned


def cancel(queue: Queue, event: Cancel) -> Step:
    """Dequeue a job, or have it stop and undo; a killed one is undone by its next process."""
    job, entry = event.job, _unfinished(queue, event.job)
    if entry is None:
        return Step(queue, answer=not_found(job))
    if entry.phase == "queued":
        said = Said(success=True, text=f"Dequeued job {job}")
        return decided(queue, JobCanceled(job, event.at), effects=[Release(job)], answer=said)
    wanted = [] if entry.cancel_wanted else [CancelWanted(job)]
    if event.kill:
        text = f"The process of job {job} was killed; what it did is being undone"
        said = Said(success=True, text=text)
        return decided(queue, *wanted, effects=[Kill(job)], answer=said)
    answer: Answer = Asked()
    if entry.job.status == "running":
        text = f"Job {job} runs already; it was told to stop at the next safe point and undo"
        answer = Said(success=False, text=text)
    return decided(queue, *wanted, effects=[AskToCancel(job)], answer=answer)


def decide(queue: Queue, event: Decide) -> Step:
    """Answer what a job asks."""
    job, choice, entry = event.job, event.choice, _unfinished(queue, event.job)
    if entry is None:
        return Step(queue, answer=not_found(job))
    question = entry.question
    if question is None:
        text = f"Job {job} does not wait for a decision"
        return Step(queue, answer=Said(success=False, text=text))
    if question.step is None and choice == "redo":
        text = f"Job {job} asks about its whole plan: go on with it (skip), or undo it (abort)"
        return Step(queue, answer=Said(success=False, text=text))
    made = Decided(question.opcode, question.step, choice, question.at)
    said = Said(success=True, text=f"Job {job} was told: {choice}")
    return decided(queue, JobDecided(job, made), effects=[TellDecision(job, made)], answer=said)


def change_priority(queue: Queue, event: ChangePriority) -> Step:
    """Give the opcodes of a job that have not ended another priority."""
    job, priority, entry = event.job, event.priority, _unfinished(queue, event.job)
    if entry is None:
        return Step(queue, answer=not_found(job))
    if entry.phase == "active":
        said = Said(success=True, text=f"Job {job} was told its new priority")
        if priority not in SUBMIT_PRIORITIES:  # as in the reference: told, and not taken over
            return Step(queue, answer=said)
        effects = [AskForPriority(job, priority)]
        return decided(queue, PriorityChanged(job, priority), effects=effects, answer=said)
    if priority not in SUBMIT_PRIORITIES:
        text = f"{priority} is no priority; there are -10 (high), 0 (normal) and 10 (low)"
        return Step(queue, answer=Said(success=False, text=text))
    said = Said(success=True, text=f"Job {job} now has priority {priority}")
    return decided(queue, PriorityChanged(job, priority), answer=said)


def set_paused(queue: Queue, event: SetPaused) -> Step:
    """Have a job stand still before it begins, or at its next step; or let it go on."""
    job, entry = event.job, _unfinished(queue, event.job)
    if entry is None:
        return Step(queue, answer=not_found(job))
    if event.paused == entry.paused:
        text = f"Job {job} is paused already" if entry.paused else f"Job {job} is not paused"
        return Step(queue, answer=Said(success=event.paused, text=text))
    if event.paused and is_turned_back(entry):
        return Step(queue, answer=Said(success=False, text=UNDOING.format(job)))
    if not event.paused:
        text = f"Job {job} goes on"
    elif entry.phase == "queued":
        text = f"Job {job} is paused: it does not begin until it is resumed"
    else:
        text = f"Job {job} stops before its next step, and keeps its locks, until it is resumed"
    record = JobPauseSet(job, event.paused, event.at)
    effects = [AskToPause(job, event.paused)] if entry.phase == "active" else []
    return decided(queue, record, effects=effects, answer=Said(success=True, text=text))


def set_log_level(queue: Queue, event: SetLogLevel) -> Step:
    """Have a job's processes log more or as usual: the one at work, and those that follow it."""
    job, level, entry = event.job, event.level, _unfinished(queue, event.job)
    if entry is None:
        return Step(queue, answer=not_found(job))
    said = Said(success=True, text=f"Job {job} logs at level {level} from now on (see jobs.log)")
    effects = [AskToLog(job, level)] if entry.phase == "active" else []
    return decided(queue, JobLogLevelSet(job, level), effects=effects, answer=said)
