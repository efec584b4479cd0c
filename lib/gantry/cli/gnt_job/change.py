"""``gnt-job cancel``, ``pause``, ``resume``, ``change-priority``, ``archive``, ``autoarchive``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gantry.cli import exit_codes
from gantry.cli.cell_text import comma_joined
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.gnt_job.filters import CHANGE_FILTERS, PAUSE_FILTERS, PENDING, status_condition
from gantry.cli.invocation import Invocation
from gantry.cli.option_values import parse_time_span
from gantry.cli.options import Option, flag
from gantry.cli.standard_options import FORCE, PRIORITIES, PRIORITY, YES_DO_IT
from gantry.cli.table import Column, render
from gantry.cli.terminal import confirm

KILL = flag("--kill", "kill", "kill the job's process instead of asking it to end")
CANCEL_OPTIONS: tuple[Option[object], ...] = (FORCE, KILL, *CHANGE_FILTERS, YES_DO_IT)
PRIORITY_OPTIONS: tuple[Option[object], ...] = (PRIORITY, FORCE, *CHANGE_FILTERS)

PAUSE_OPTIONS: tuple[Option[object], ...] = (FORCE, *PAUSE_FILTERS)
PAUSE_NOTES = (
    "A queued job does not begin. A job at work finishes the step that it is in and stands still\n"
    "before the next one; it keeps its locks, so others may wait for it. gnt-job resume lets it\n"
    "go on; gnt-job cancel undoes it, paused or not.\n"
)

JOB_ID_DIGITS_MAX = 18
"""There is room in it for all jobs that ever were."""

ARCHIVE_SECONDS = 89
"""How long LuxiD may go on archiving in one call; half of the client's patience."""


def job_ids(arguments: Sequence[str]) -> list[int]:
    """Parse job ids.

    Raises:
        CommandError: one is not a positive whole number.
    """
    for word in arguments:
        if not word.isascii() or not word.isdigit() or len(word) > JOB_ID_DIGITS_MAX:
            raise CommandError(f"Failure: '{word}' is not a job id; ids are whole numbers")
    return [int(word) for word in arguments]


def run_cancel(call: Invocation) -> int:
    """Cancel jobs."""
    kill = call.options[KILL]
    if kill and not call.options[YES_DO_IT]:
        raise CommandError(
            "Failure: a killed job stops in the middle of a step, and what it did is undone; "
            "if you mean it, give --yes-do-it"
        )
    return _for_each(call, "Cancel them?", lambda job: call.client.verdict("CancelJob", job, kill))


def run_pause(call: Invocation) -> int:
    """Pause jobs."""
    return _for_each(call, "Pause them?", lambda job: call.client.verdict("PauseJob", job))


def run_resume(call: Invocation) -> int:
    """Let paused jobs go on."""
    return _for_each(call, "Resume them?", lambda job: call.client.verdict("ResumeJob", job))


def run_log_level(call: Invocation) -> int:
    """Have jobs at work log more, or as usual."""
    level, *jobs = call.arguments
    code = exit_codes.SUCCESS
    for job in job_ids(jobs):
        done, text = call.client.verdict("SetJobLogLevel", job, level)
        call.say(text)
        code = code if done else exit_codes.FAILURE
    return code


def run_change_priority(call: Invocation) -> int:
    """Change the priority of jobs."""
    name = call.options[PRIORITY]
    if name is None:
        raise CommandError("Failure: say which --priority")
    number = PRIORITIES[name]
    return _for_each(
        call,
        "Change their priority?",
        lambda job: call.client.verdict("ChangeJobPriority", job, number),
    )


def _for_each(call: Invocation, question: str, act: Callable[[int], tuple[bool, str]]) -> int:
    """Do something with every chosen job, tell the answers, and fail if one was a refusal."""
    jobs = _chosen_jobs(call, question)
    if jobs is None:
        return exit_codes.FAILURE
    code = exit_codes.SUCCESS
    for job in jobs:
        done, text = act(job)
        call.say(text)
        if not done:
            code = exit_codes.FAILURE
    return code


def _chosen_jobs(call: Invocation, question: str) -> list[int] | None:
    condition = status_condition(call.options[PENDING])
    if (condition is None) == (not call.arguments):
        raise CommandError("Failure: give either job ids or one of the options for a status")
    if condition is None:
        return job_ids(call.arguments)
    rows = call.client.query("job", ["id", "status", "summary"], condition).rows
    if not rows:
        raise CommandError("No job has that status")
    if not call.options[FORCE]:
        texts = [
            [str(job), str(status), comma_joined(summary)]
            for (_, job), (_, status), (_, summary) in rows
        ]
        table = render([Column("ID", align_right=True), Column("Status"), Column("Summary")], texts)
        if not confirm("\n".join([*table, question])):
            return None
    return [job for ((_, job), *_) in rows if isinstance(job, int)]


def run_archive(call: Invocation) -> int:
    """Put finished jobs into the archive."""
    code = exit_codes.SUCCESS
    for job in job_ids(call.arguments):
        if call.client.call("ArchiveJob", job) is not True:
            call.complain(f"Job {job} was not archived: it is not finished, or does not exist")
            code = exit_codes.FAILURE
    return code


def run_autoarchive(call: Invocation) -> int:
    """Put all jobs that are older than an age into the archive."""
    [age] = call.arguments
    try:
        # Ganeti sends -1 for all, which its own daemon takes for "none".
        seconds = 0 if age == "all" else parse_time_span(age)
    except ValueError as error:
        raise CommandError(f"Failure: {error}") from None
    match call.client.call("AutoArchiveJobs", seconds, ARCHIVE_SECONDS):
        case [int() as archived, int() as left]:
            call.say(f"Archived {archived} jobs, {left} unchecked left")
            return exit_codes.SUCCESS
        case other:
            raise CommandError(f"LuxiD gave an answer that is not understood: {other!r}")


ANY = (Arguments("jobid", 0, None),)
COMMANDS = (
    Command("archive", run_archive, (Arguments("jobid", 1, None),)),
    Command(
        "autoarchive", run_autoarchive, (Arguments("suggest", 1, 1, ("1d", "1w", "4w", "all")),)
    ),
    Command("cancel", run_cancel, ANY, CANCEL_OPTIONS),
    Command("change-priority", run_change_priority, ANY, PRIORITY_OPTIONS),
    Command(
        "log-level",
        run_log_level,
        (Arguments("choice", 1, 1, ("info", "debug")), Arguments("jobid", 1, None)),
    ),
    Command("pause", run_pause, ANY, PAUSE_OPTIONS, PAUSE_NOTES),
    Command("resume", run_resume, ANY, PAUSE_OPTIONS),
)
