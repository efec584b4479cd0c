"""``gnt-job info``: everything that is known of jobs."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.cli import exit_codes
from gantry.cli.cell_text import precise_time_text
from gantry.cli.command import Arguments, Command
from gantry.cli.description import Record
from gantry.cli.gnt_job import course
from gantry.cli.gnt_job.change import job_ids
from gantry.cli.gnt_job.decide import questions
from gantry.cli.info_text import Entry, print_info
from gantry.cli.invocation import Invocation
from gantry.cli.job_steps import names_in, parse_plans
from gantry.cli.options import Option
from gantry.cli.standard_options import FORMAT

OPTIONS: tuple[Option[object], ...] = (FORMAT,)
FIELDS = [
    *("id", "status", "ops", "opresult", "opstatus", "oplog", "opstart", "opexec", "opend"),
    *("received_ts", "start_ts", "end_ts"),
    *course.FIELDS,
]


def run_info(call: Invocation) -> int:
    """Print what is known of jobs."""
    ids = job_ids(call.arguments)
    rows = call.client.query_jobs(ids, FIELDS)
    found = [Record(dict(zip(FIELDS, row, strict=False))) for row in rows]
    shown = found if call.options[FORMAT] == "table" else []
    asked = questions(call) if shown else {}
    content = [_describe(call, each, asked) for each in shown]
    print_info(call, content, raw=[each.values() for each in found])
    return exit_codes.SUCCESS


def _describe(call: Invocation, job: Record, asked: Mapping[int, str]) -> object:
    if job["status"] is None:
        return f"Job ID {job['id']} not found"
    count = len(job.items("ops"))
    plans = parse_plans(job.items("opsteps")) or [None] * count
    names = names_in(call.client, plans)
    opcodes = [
        [*_opcode(job, at), *course.opcode_entries(job, at, plans[at], names)]
        for at in range(count)
    ]
    return [
        Entry("Job ID", job["id"]),
        Entry("Status", job["status"]),
        *(Entry("Waits for a decision", text) for n, text in asked.items() if n == job["id"]),
        *_times(job),
        *course.job_entries(job),
        *_process(call, job),
        Entry("Opcodes", opcodes),
    ]


def _process(call: Invocation, job: Record) -> list[Entry]:
    """Return what the process of a job at work says of itself."""
    if job["attempts"] is None or job["status"] not in ("waiting", "canceling", "running"):
        return []
    match call.client.call("QueryJobProcess", job["id"]):
        case {"attempt": attempt, "step": step, "priority": priority, "log_level": level}:
            at = f"at step {step!r}, " if step else ""
            return [Entry("Process", f"{at}attempt {attempt}, priority {priority}, logs {level}")]
        case _:
            return []


def _times(job: Record) -> list[Entry]:
    """Return when the job was received, started and ended; the values stand in one column."""
    received, start, end = job["received_ts"], job["start_ts"], job["end_ts"]
    entries = []
    if received is not None:
        entries.append(Entry("Received", f"        {precise_time_text(received)}"))
    else:
        entries.append(Entry("Missing received timestamp", received))
    if start is not None:
        entries.append(Entry("Processing start", _with_delta(start, received)))
    else:
        entries.append(Entry("Processing start", "unknown"))
    if end is not None:
        entries.append(Entry("Processing end", f"  {_with_delta(end, start)}"))
    else:
        entries.append(Entry("Processing end", "unknown"))
    if (total := _seconds_between(received, end)) is not None:
        entries.append(Entry("Total processing time", f"{total:.6f} seconds"))
    else:
        entries.append(Entry("Total processing time", "unknown"))
    return entries


def _with_delta(later: object, earlier: object) -> str:
    delta = _seconds_between(earlier, later)
    behind = "" if delta is None else f" (delta {delta:.6f}s)"
    return f"{precise_time_text(later)}{behind}"


def _seconds_between(earlier: object, later: object) -> float | None:
    match earlier, later:
        case [int() as from_s, int() as from_us], [int() as to_s, int() as to_us]:
            whole = (to_s - from_s) * course.MICROSECONDS + to_us - from_us
            return whole / course.MICROSECONDS
        case _:
            return None


def _opcode(job: Record, at: int) -> list[Entry]:
    opcode = job.at("ops", at)
    name = opcode.get("OP_ID", "unknown") if isinstance(opcode, dict) else "unknown"
    entries = [Entry("Opcode", name), Entry("Status", job.at("opstatus", at))]
    for title, field in (
        ("Processing start", "opstart"),
        ("Execution start", "opexec"),
        ("Processing end", "opend"),
    ):
        if (timestamp := job.at(field, at)) is not None:
            padding = " " * (len("Processing start") - len(title))
            entries.append(Entry(title, f"{padding}{precise_time_text(timestamp)}"))
    log = job.at("oplog", at)
    return [
        *entries,
        Entry("Input fields", opcode),
        Entry("Result", _result(job.at("opresult", at))),
        Entry(
            "Execution log", [_log_entry(entry) for entry in log] if isinstance(log, list) else []
        ),
    ]


def _result(result: object) -> object:
    return "None" if result is None else result


def _log_entry(entry: object) -> object:
    match entry:
        case [serial, timestamp, kind, payload]:
            return [
                Entry("Time", precise_time_text(timestamp)),
                Entry("Content", f"[{serial}, {kind}, {payload}]"),
            ]
        case other:
            return other


COMMANDS = (Command("info", run_info, (Arguments("jobid", 1, None),), OPTIONS),)
