"""``gnt-job``: jobs."""

from __future__ import annotations

import sys

from gantry.cli.command import Known, Program
from gantry.cli.program import run

PROGRAM = Program(
    "gnt-job",
    "gantry.cli.gnt_job",
    (
        Known("archive", "Puts finished jobs into the archive", "change"),
        Known("autoarchive", "Puts all jobs older than an age into the archive", "change"),
        Known("cancel", "Cancels jobs", "change"),
        Known("change-priority", "Changes the priority of jobs", "change"),
        Known("decide", "Answers what a job asks", "decide"),
        Known("info", "Shows everything that is known of jobs", "info"),
        Known("list", "Lists jobs; list-fields tells the fields", "listing"),
        Known("list-fields", "Lists the fields that jobs have", "listing"),
        Known("log-level", "Has jobs at work log more, or as usual", "change"),
        Known("pause", "Keeps jobs from beginning, or from their next step", "change"),
        Known("resume", "Lets paused jobs go on", "change"),
        Known("wait", "Waits until a job ends", "follow"),
        Known("watch", "Follows a job: its log, and its steps live", "follow"),
    ),
    {"show": "info"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
