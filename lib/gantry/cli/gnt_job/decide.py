"""``gnt-job decide``: answer what a job asks, since only a person can know how to go on."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.cell_text import precise_time_text
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError, ServerFailure
from gantry.cli.gnt_job.change import job_ids
from gantry.cli.invocation import Invocation

CHOICES = ("skip", "redo", "abort")


def run_decide(call: Invocation) -> int:
    """Tell a job that an interrupted step counts as done, is done again, or ends the job."""
    number, choice = call.arguments
    [job] = job_ids([number])
    if choice not in CHOICES:
        raise CommandError(
            f"Failure: '{choice}' is no decision; a step counts as done (skip), is done again "
            "(redo), or the job is undone (abort)"
        )
    done, text = call.client.verdict("DecideJob", job, choice)
    call.say(text)
    return exit_codes.SUCCESS if done else exit_codes.FAILURE


def questions(call: Invocation) -> dict[int, str]:
    """Return what jobs ask, and since when, by their ids."""
    try:
        rows = call.client.call("QueryQuestions")
    except ServerFailure:  # what the jobs are doing otherwise is to be seen all the same
        return {}
    found: dict[int, str] = {}
    for row in rows if isinstance(rows, list) else []:
        match row:
            case [int() as job, [int(), int()] as since, str() as question]:
                found[job] = f"{question} (asked at {precise_time_text(since)})"
            case _:
                pass
    return found


def remind(call: Invocation) -> None:
    """Tell which jobs wait for an answer, apart from the output that programs read."""
    for job, question in sorted(questions(call).items()):
        call.complain(
            f"Job {job} waits for a decision: {question}; "
            f"answer with: gnt-job decide {job} {'|'.join(CHOICES)}"
        )


COMMANDS = (
    Command(
        "decide",
        run_decide,
        (Arguments("jobid", 1, 1), Arguments("suggest", 1, 1, CHOICES)),
    ),
)
