"""``gnt-debug``: looking inside."""

from __future__ import annotations

import json
import sys
import time

from gantry.cli import exit_codes
from gantry.cli.cell_text import time_text
from gantry.cli.command import Arguments, Command, Known, Program
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import NamedJob, submit_all, submit_or_run
from gantry.cli.listing import Listing, run_list
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import INTEGER, TEXT
from gantry.cli.options import Option, flag, negative_flag, value, value_or, values
from gantry.cli.program import run
from gantry.cli.standard_options import (
    DRY_RUN,
    FORMAT,
    NO_HEADERS,
    OUTPUT,
    PRIORITY,
    SEPARATOR,
    SUBMISSION,
    VERBOSE_FIELDS,
)

NOT_ON_MASTER = negative_flag("--no-master", "on_master", "do not wait on the master")
ON_NODES = values("-n", "on_nodes", TEXT, "wait on this node, too", "NODE")
REPEAT = value_or("-r --repeat", "repeat", INTEGER, 0, "how often to do it again")
INTERRUPTIBLE = flag("-i --interruptible", "interruptible", "let a message end it early")
NO_LOCKS = flag("-l --no-locks", "no_locks", "take no locks meanwhile")
INTERVAL = value("--interval", "interval", INTEGER, "list again and again, after these seconds")
VERBOSE = flag("-v --verbose", "verbose", "say what is submitted")
OPCODE_REPEAT = value_or("--op-repeat", "rep_op", INTEGER, 1, "how often each file's opcodes")
JOB_REPEAT = value_or("--job-repeat", "rep_job", INTEGER, 1, "how often each job")
TIMING = flag("--timing-stats", "timing_stats", "print how long it took")
EACH = flag("--each", "each", "submit each job on its own")

DELAY_OPTIONS: tuple[Option[object], ...] = (
    NOT_ON_MASTER,
    ON_NODES,
    REPEAT,
    INTERRUPTIBLE,
    NO_LOCKS,
    DRY_RUN,
    PRIORITY,
    *SUBMISSION,
)
LOCKS_OPTIONS: tuple[Option[object], ...] = (
    NO_HEADERS,
    SEPARATOR,
    OUTPUT,
    INTERVAL,
    VERBOSE_FIELDS,
    FORMAT,
)
SUBMIT_OPTIONS: tuple[Option[object], ...] = (
    VERBOSE,
    OPCODE_REPEAT,
    JOB_REPEAT,
    TIMING,
    EACH,
    DRY_RUN,
    PRIORITY,
)


def run_delay(call: Invocation) -> int:
    """Run a job that does nothing for a while."""
    options = call.options
    try:
        seconds = float(call.arguments[0])
    except ValueError:
        raise CommandError(f"Failure: '{call.arguments[0]}' is not a number of seconds") from None
    changes: Opcode = {
        "duration": seconds,
        "on_master": options[NOT_ON_MASTER],
        "on_nodes": options[ON_NODES],
        "repeat": options[REPEAT],
        "interruptible": options[INTERRUPTIBLE],
        "no_locks": options[NO_LOCKS],
    }
    submit_or_run(call, call.opcode("OP_TEST_DELAY", changes))
    return exit_codes.SUCCESS


def _mode_text(content: object) -> str:
    return str(content) if content else "-"


def _owners_text(content: object) -> str:
    return ",".join(map(str, content)) if isinstance(content, list) and content else "-"


def _pending_text(content: object) -> str:
    if not isinstance(content, list) or not content:
        return "-"
    return ",".join(f"{mode}:{'|'.join(map(str, owners))}" for mode, owners in content)


def _since_text(content: object) -> str:
    if not isinstance(content, list) or not content:
        return "-"
    return ",".join("?" if each is None else time_text(each) for each in content)


def _waits_text(content: object) -> str:
    if not isinstance(content, list) or not content:
        return "-"
    return ",".join(map(_wait_text, content))


def _wait_text(wait: object) -> str:
    match wait:
        case [job, mode, since, [*behind]]:
            return f"{mode}:{job} for {'|'.join(map(str, behind))} since {time_text(since)}"
        case _:
            return "?"


LOCKS = Listing(
    "lock",
    ("name", "mode", "owner", "pending"),
    {
        "mode": _mode_text,
        "owner": _owners_text,
        "pending": _pending_text,
        "owner_since": _since_text,
        "waits": _waits_text,
    },
)


def run_locks(call: Invocation) -> int:
    """List the locks, who has them and who waits for them."""
    interval = call.options[INTERVAL]
    if interval is not None and interval <= 0:
        raise CommandError("Failure: the interval has to be positive")
    while True:
        code = run_list(call, LOCKS)
        if interval is None or code != exit_codes.SUCCESS:
            return code
        call.say()
        sys.stdout.flush()
        time.sleep(interval)


def run_submit_job(call: Invocation) -> int:
    """Submit jobs whose opcodes are read from files, and wait for them."""
    options = call.options
    jobs = []
    for path in call.arguments:
        opcodes = _opcodes_of_file(path)
        for _ in range(options[JOB_REPEAT]):
            repeated = [
                call.opcode(name, dict(rest)) for name, rest in opcodes * options[OPCODE_REPEAT]
            ]
            jobs.append(NamedJob(path, repeated))
    if options[VERBOSE]:
        call.say(
            f"Submitting {len(jobs)} job(s) of {sum(len(job.opcodes) for job in jobs)} opcodes"
        )
    start = time.monotonic()
    batches = [[job] for job in jobs] if options[EACH] else [jobs]
    codes = [submit_all(call, batch) for batch in batches]
    if options[TIMING]:
        seconds = time.monotonic() - start
        call.say(f"{len(jobs)} job(s) in {seconds:.2f} s, {len(jobs) / seconds:.2f} jobs/s")
    return max(codes, default=exit_codes.SUCCESS)


def _opcodes_of_file(path: str) -> list[tuple[str, Opcode]]:
    """Read a JSON list of opcodes, each an object with ``OP_ID``."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        raise CommandError(f"Failure: no opcodes can be read from {path}: {error}") from None
    if not isinstance(content, list):
        raise CommandError(f"Failure: {path} has to hold a JSON list of opcodes")
    opcodes = []
    for entry in content:
        match entry:
            case {"OP_ID": str() as name, **rest}:
                # Jobs of Ganeti carry their old trail; the new one begins here.
                opcode = {str(key): each for key, each in rest.items() if key != "reason"}
                opcodes.append((name, opcode))
            case other:
                raise CommandError(f"Failure: {path} holds {other!r}, which is no opcode")
    return opcodes


COMMANDS = (
    Command("delay", run_delay, (Arguments("unknown", 1, 1),), DELAY_OPTIONS),
    Command(
        "locks",
        run_locks,
        (),
        LOCKS_OPTIONS,
        notes="-o +owner_since,waits shows since when locks are held, and who waits for whom.",
    ),
    Command("submit-job", run_submit_job, (Arguments("file", 1, None),), SUBMIT_OPTIONS),
)

PROGRAM = Program(
    "gnt-debug",
    "gantry.cli",
    (
        Known("delay", "Runs a job that does nothing for some seconds", "gnt_debug"),
        Known("iallocator", "Tries an instance allocator"),
        Known("locks", "Lists locks, owners and waiting jobs", "gnt_debug"),
        Known("metad", "Calls the metadata daemon"),
        Known("submit-job", "Submits jobs read from JSON files", "gnt_debug"),
        Known("test-jobqueue", "Tests the job queue"),
        Known("test-osparams", "Tests how parameters are kept secret"),
        Known("wconfd", "Calls the configuration daemon"),
    ),
    {"allocator": "iallocator"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
