"""``gnt-job watch`` and ``wait``."""

from __future__ import annotations

import sys
from collections.abc import Callable

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import ServerFailure
from gantry.cli.gnt_job.change import job_ids
from gantry.cli.gnt_job.watching import view_for, watch
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import JobProgress, follow, results_of


def run_watch(call: Invocation) -> int:
    """Follow a job, print its log and show its steps until it ends."""
    [job] = job_ids(call.arguments)
    title = f"Output of job {job}:"
    call.say(f"{title}\n{'-' * len(title)}")
    return _until_end(call, job, lambda: watch(call.client, job, view_for(sys.stdout)))


def run_wait(call: Invocation) -> int:
    """Wait until a job ends; the exit code tells how."""
    [job] = job_ids(call.arguments)
    return _until_end(call, job, lambda: follow(call.client, job, JobProgress(quiet=True)))


def _until_end(call: Invocation, job: int, wait: Callable[[], str]) -> int:
    try:
        wait()
        results_of(call.client, job)
    except ServerFailure as error:
        call.complain(f"Job {job} failed: {error.text}")
        return error.exit_code
    return exit_codes.SUCCESS


ONE = (Arguments("jobid", 1, 1),)
COMMANDS = (Command("wait", run_wait, ONE), Command("watch", run_watch, ONE))
