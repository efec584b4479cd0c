"""Submitting jobs, waiting for them, and telling what became of them.

Waiting asks LuxiD for the next change of a job, again and again; LuxiD answers when there is one.
Log messages go to standard output as ``<time> <message>``; how the waiting goes is shown on
standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from gantry.cli import exit_codes
from gantry.cli.dry_run import WOULD_DO, show_plan
from gantry.cli.errors import CommandError, Detached, PeerMisuse, ServerFailure, server_failure
from gantry.cli.invocation import Invocation, OnlyPlanned
from gantry.cli.luxi import LuxiClient, Opcode, Row
from gantry.cli.standard_options import DRY_RUN, PRINT_JOB_ID, SUBMIT
from gantry.cli.terminal import ProgressLine

FINAL = ("success", "canceled", "error")
PENDING = ("queued", "waiting", "canceling")

NOTICE_SECONDS = 5
"""A job that stays queued or waits for locks for this long is told about, once."""

WAIT_SECONDS = 60
"""How long one request waits; shorter than LuxiD's own bound of 89 s."""

NOTICES = {
    "queued": "Job {} is queued (gnt-job info tells why)",
    "waiting": "Job {} waits for locks that other jobs hold (see gnt-debug locks)",
}


class JobProgress:
    """Shows what happens to a job while somebody waits for it."""

    def __init__(self, *, quiet: bool = False, hides: str | None = None) -> None:
        """Make one; a quiet one does not write the job's log, ``hides`` leaves out some lines."""
        self._quiet = quiet
        self._hides = hides
        self._line = ProgressLine(sys.stderr)
        self._noticed: set[str] = set()

    def log(self, timestamp: object, kind: str, payload: object) -> None:
        """Write a log entry."""
        if self._quiet or (self._hides and str(payload).startswith(self._hides)):
            return
        self._line.clear()
        print(log_line(timestamp, kind, payload), flush=True)

    def status(self, job: int, status: str) -> None:
        """Show the status that the job has now."""
        self._line.show(f"job {job}: {status}")

    def unchanged(self, job: int, status: str) -> None:
        """Say why the job does not go on; once for each status."""
        if status in NOTICES and status not in self._noticed:
            self._noticed.add(status)
            self._line.clear()
            sys.stdout.flush()
            print(NOTICES[status].format(job), file=sys.stderr)

    def wait_seconds(self, status: str) -> int:
        """Return how long to wait for the next change before saying that there is none."""
        untold = status in NOTICES and status not in self._noticed
        return NOTICE_SECONDS if untold else WAIT_SECONDS

    def end(self) -> None:
        """Take the progress away from the terminal."""
        self._line.clear()


def log_line(timestamp: object, kind: str, payload: object) -> str:
    """Return a log entry as it is printed."""
    return f"{_clock_text(timestamp)} {log_text(kind, payload)}"


def log_text(kind: str, payload: object) -> str:
    """Return a log entry's payload as text."""
    match kind, payload:
        case "message-list", [*lines]:
            return "\n".join(map(str, lines))
        case _:
            return str(payload)


def _clock_text(timestamp: object) -> str:
    match timestamp:
        case [int() as seconds, int()]:
            return time.ctime(seconds)
        case _:
            return "?"


def follow(client: LuxiClient, job: int, progress: JobProgress) -> str:
    """Wait until a job has ended, show its progress, and return its final status.

    Raises:
        Detached: the user pressed Ctrl-C; the job goes on.
        ServerFailure: the job does not exist, among others.
    """
    previous: Row | None = None
    status, serial = "", 0
    try:
        while True:
            seconds = progress.wait_seconds(status)
            change = client.wait_for_job_change(job, previous, serial, seconds)
            status = _status(change.values)
            for entry_serial, timestamp, kind, payload in change.entries:
                progress.log(timestamp, kind, payload)
                serial = max(serial, entry_serial)
            if status in FINAL and not change.entries:
                return status
            if change.values == previous and not change.entries:
                progress.unchanged(job, status)
            progress.status(job, status)
            previous = change.values
    except KeyboardInterrupt:
        raise Detached([job]) from None
    finally:
        progress.end()


def _status(values: Row) -> str:
    match values:
        case [str() as status]:
            return status
        case other:
            raise PeerMisuse(f"a job's status {other!r}")


def results_of(client: LuxiClient, job: int) -> list[object]:
    """Return the opcode results of a job that has ended well.

    Raises:
        ServerFailure: an opcode failed; with its error, or with ``OpExecError`` if others before
            it had already succeeded.
        CommandError: the job was canceled, or is gone.
    """
    rows = client.query_jobs([job], ["status", "opstatus", "opresult"])
    match rows:
        case [["success", [*_statuses], [*results]]]:
            return results
        case [["canceled" | "canceling", *_]]:
            raise ServerFailure("JobCanceled", [f"Job {job} was canceled"])
        case [[str(), [*statuses], [*results]]]:
            raise _failure_among(statuses, results)
        case [[None, *_]] | [None] | []:
            raise CommandError(f"Job {job} is not known; it may have been archived meanwhile")
        case other:
            raise PeerMisuse(f"a job's results {other!r}")


def _failure_among(statuses: Sequence[object], results: Sequence[object]) -> ServerFailure:
    for index, (status, result) in enumerate(zip(statuses, results, strict=False)):
        if status == "error":
            failure = server_failure(result)
            if index == 0:
                return _job_failure(failure)
            text = f"partial failure (opcode {index}): {failure.text}"
            return ServerFailure("OpExecError", [text])
    return ServerFailure("OpExecError", [str(list(results))])


def _job_failure(failure: ServerFailure) -> ServerFailure:
    """Give the plain texts that LuxiD itself leaves in a job the class they have elsewhere."""
    if failure.class_name is None:
        return ServerFailure("OpExecError", failure.arguments)
    return failure


def run_opcode(call: Invocation, opcode: Opcode) -> object:
    """Submit a job of one opcode, wait for it, and return the opcode's result.

    Raises:
        CommandError: see :func:`results_of` and :func:`follow`.
        OnlyPlanned: it was a dry run, whose plan is printed.
    """
    job = call.client.submit_job([opcode])
    if call.options[PRINT_JOB_ID]:
        call.say(str(job))
    results = _followed(call, job)
    if call.options[DRY_RUN]:
        raise OnlyPlanned
    return results[0] if results else None


def _followed(call: Invocation, job: int) -> list[object]:
    """Wait for a job and return its results; the plan of a dry run is printed."""
    hides = WOULD_DO if call.options[DRY_RUN] else None
    follow(call.client, job, JobProgress(hides=hides))
    results = results_of(call.client, job)
    if call.options[DRY_RUN]:
        show_plan(call, job)
    return results


def submit_or_run(call: Invocation, opcode: Opcode) -> object:
    """As :func:`run_opcode`, but with ``--submit`` only print the job's id, and return ``None``."""
    if call.options[SUBMIT]:
        call.say(f"JobID: {call.client.submit_job([opcode])}")
        return None
    return run_opcode(call, opcode)


class NamedJob(NamedTuple):
    """A job to be submitted, or one that was, and what it is about."""

    name: str
    opcodes: list[Opcode]


class JobOutcome(NamedTuple):
    """What became of one of several jobs; ``error`` is ``None`` if it went well."""

    name: str
    job: int | None
    results: list[object]
    error: CommandError | None


def submit_all(call: Invocation, jobs: Sequence[NamedJob]) -> int:
    """Submit several jobs, wait for all unless ``--submit`` says not to, and tell of failures.

    Returns:
        The exit code.
    """
    submitted = call.client.submit_many_jobs([job.opcodes for job in jobs])
    pairs = list(zip([job.name for job in jobs], submitted, strict=True))
    if call.options[SUBMIT]:
        return _print_ids(call, pairs)
    outcomes = wait_for_all(call, pairs)
    failed = any(outcome.error for outcome in outcomes)
    return exit_codes.FAILURE if failed else exit_codes.SUCCESS


def _print_ids(call: Invocation, pairs: Sequence[tuple[str, int | CommandError]]) -> int:
    code = exit_codes.SUCCESS
    for name, job in pairs:
        if isinstance(job, CommandError):
            call.complain(f"Failure when submitting a job for {name}: {job.text}")
            code = exit_codes.FAILURE
        else:
            call.say(f"{job}: {name}")
    return code


def wait_for_all(
    call: Invocation, pairs: Sequence[tuple[str, int | CommandError]]
) -> list[JobOutcome]:
    """Wait for jobs one after the other; failures are told on standard error."""
    outcomes = []
    for index, (name, job) in enumerate(pairs):
        label = f" for {name}" if name else ""
        if isinstance(job, CommandError):
            call.complain(f"Failure when submitting a job{label}: {job.text}")
            outcomes.append(JobOutcome(name, None, [], job))
            continue
        call.say(f"Waiting for job {job}{label} ...")
        try:
            outcomes.append(JobOutcome(name, job, _followed(call, job), None))
        except Detached:
            raise Detached([each for _, each in pairs[index:] if isinstance(each, int)]) from None
        except ServerFailure as error:
            call.complain(f"Job {job}{label} has failed: {error.text}")
            outcomes.append(JobOutcome(name, job, [], error))
    return outcomes
