"""``gnt-job``: jobs."""

from __future__ import annotations

import sys

from gantry.cli.cell_text import comma_joined, precise_time_text
from gantry.cli.gnt_job import change, follow, info
from gantry.cli.gnt_job.filters import LIST_FILTERS, PENDING, status_condition
from gantry.cli.invocation import Invocation
from gantry.cli.listing import (
    LIST_FIELDS_OPTIONS,
    Listing,
    chosen_fields,
    run_list,
    run_list_fields,
)
from gantry.cli.options import Option, flag
from gantry.cli.program import Arguments, Command, Program, run
from gantry.cli.standard_options import (
    FORCE_FILTER,
    FORMAT,
    NO_HEADERS,
    OUTPUT,
    SEPARATOR,
    VERBOSE_FIELDS,
)

ARCHIVED = flag("--archived", "archived", "archived jobs, too")
LIST_OPTIONS: tuple[Option[object], ...] = (
    NO_HEADERS,
    SEPARATOR,
    OUTPUT,
    VERBOSE_FIELDS,
    FORCE_FILTER,
    *LIST_FILTERS,
    ARCHIVED,
    FORMAT,
)
ONE = (Arguments("jobid", 1, 1),)
ANY = (Arguments("jobid", 0, None),)
AT_LEAST_ONE = (Arguments("jobid", 1, None),)


def _times_text(content: object) -> str:
    if not isinstance(content, list):
        return str(content)
    return ",".join(precise_time_text(each) for each in content)


JOBS = Listing(
    "job",
    ("id", "status", "summary"),
    {
        "summary": comma_joined,
        "opstatus": comma_joined,
        **dict.fromkeys(("opstart", "opexec", "opend"), _times_text),
        **dict.fromkeys(("received_ts", "start_ts", "end_ts"), precise_time_text),
    },
    key="id",
    numeric_key=True,
)


def run_job_list(call: Invocation) -> int:
    """List jobs."""
    fields = chosen_fields(call.options[OUTPUT], JOBS.default_fields)
    if call.options[ARCHIVED] and "archived" not in fields:
        # LuxiD looks into the archive only if this field is asked for.
        fields.append("archived")
    return run_list(call, JOBS, fields=fields, condition=status_condition(call.options[PENDING]))


def run_job_list_fields(call: Invocation) -> int:
    """List the fields that jobs have."""
    return run_list_fields(call, "job")


PROGRAM = Program(
    "gnt-job",
    (
        Command("archive", "Puts finished jobs into the archive", change.run_archive, AT_LEAST_ONE),
        Command(
            "autoarchive",
            "Puts all jobs older than an age into the archive",
            change.run_autoarchive,
            (Arguments("suggest", 1, 1, ("1d", "1w", "4w", "all")),),
        ),
        Command("cancel", "Cancels jobs", change.run_cancel, ANY, change.CANCEL_OPTIONS),
        Command(
            "change-priority",
            "Changes the priority of jobs",
            change.run_change_priority,
            ANY,
            change.PRIORITY_OPTIONS,
        ),
        Command("info", "Shows all of some jobs", info.run_info, AT_LEAST_ONE, info.OPTIONS),
        Command(
            "list",
            "Lists jobs; gnt-job list-fields tells the fields",
            run_job_list,
            ANY,
            LIST_OPTIONS,
        ),
        Command(
            "list-fields",
            "Lists the fields that jobs have",
            run_job_list_fields,
            (Arguments("unknown", 0, None),),
            LIST_FIELDS_OPTIONS,
        ),
        Command("wait", "Waits until a job ends", follow.run_wait, ONE),
        Command("watch", "Follows a job and prints its log", follow.run_watch, ONE),
    ),
    {"show": "info"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
