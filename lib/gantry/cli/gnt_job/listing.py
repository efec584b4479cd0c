"""``gnt-job list`` and ``list-fields``."""

from __future__ import annotations

from gantry.cli.cell_text import comma_joined, precise_time_text
from gantry.cli.command import Arguments, Command
from gantry.cli.gnt_job.decide import remind
from gantry.cli.gnt_job.filters import LIST_FILTERS, PENDING, status_condition
from gantry.cli.invocation import Invocation
from gantry.cli.listing import Listing, chosen_fields, list_fields_command, run_list
from gantry.cli.options import Option, flag
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
    condition = status_condition(call.options[PENDING])
    code = run_list(call, JOBS, fields=fields, condition=condition)
    remind(call)
    return code


COMMANDS = (
    Command("list", run_job_list, (Arguments("jobid", 0, None),), LIST_OPTIONS),
    list_fields_command("job"),
)
