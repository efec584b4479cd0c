"""What ``gnt-job watch`` shows: a job's log, and its steps as they go.

On a terminal the steps stand below the log and are drawn again in place; elsewhere each change of
a step is a line of its own.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import NamedTuple, TextIO

from gantry.cli.description import Record
from gantry.cli.errors import Detached
from gantry.cli.gnt_job.course import between, seconds
from gantry.cli.job_steps import PlanView, StepView, parse_plans, took
from gantry.cli.jobs import FINAL, WAIT_SECONDS, log_line
from gantry.cli.luxi import LuxiClient, Row
from gantry.cli.terminal import STATUS_COLOURS, Colour, is_live, painted, wants_colour

FIELDS = (
    *("status", "opsteps", "opstatus", "summary", "attempts", "paused", "cancel_wanted"),
    *("blocked_by", "queued_because", "received_ts", "end_ts", "id"),
)

TICK_SECONDS = 1
"""How often elapsed times are drawn again on a terminal while nothing else happens."""

ROWS_MIN = 4
"""However small the terminal is, so many steps are shown."""

MARKS: dict[str, str] = {
    "planned": " ",
    "running": ">",
    "interrupted": "!",
    "done": "+",
    "undone": "-",
    "left over": "x",
}
COLOURS: dict[str, Colour] = {
    "running": "cyan",
    "interrupted": "yellow",
    "done": "green",
    "undone": "yellow",
    "left over": "red",
}


class Job(NamedTuple):
    """A job as it is watched."""

    record: Record
    plans: list[PlanView | None]

    @property
    def status(self) -> str:
        """The job's status."""
        return str(self.record["status"])


def watched(values: Row) -> Job:
    """Read the watched fields; those that an older LuxiD leaves out are not known."""
    record = Record(dict(zip(FIELDS, values, strict=False)))
    return Job(record, parse_plans(record.items("opsteps")))


class Lines:
    """The view for anything but a terminal."""

    tick_seconds = WAIT_SECONDS

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told: dict[tuple[int, int], str] = {}
        self._headline = ""

    def log(self, line: str) -> None:
        """Show a line of the log."""
        print(line, file=self._stream, flush=True)

    def show(self, job: Job) -> None:
        """Show what has changed."""
        news = "; ".join(circumstances(job.record))
        if news != self._headline:
            self._headline = news
            if news:
                self.log(f"Job {job.record['id']}: {news}")
        for number, plan in enumerate(job.plans):
            steps = plan.steps if plan is not None and not plan.dry_run else ()
            for place, step in enumerate(steps):
                if step.state not in ("planned", self._told.get((number, place))):
                    self._told[number, place] = step.state
                    self.log(self._line(place, len(steps), step))

    def _line(self, place: int, count: int, step: StepView) -> str:
        duration = took(step)
        behind = f" ({duration})" if duration else ""
        return f"[{place + 1}/{count}] {step.name}: {step.state}{behind}"

    def end(self) -> None:
        """Leave what is shown as it is."""


class Screen:
    """The view for a terminal: steps below the log, drawn again in place."""

    tick_seconds = TICK_SECONDS

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.time) -> None:
        self._stream = stream
        self._clock = clock
        self._colours = wants_colour(stream)
        self._drawn = 0
        self._job: Job | None = None

    def log(self, line: str) -> None:
        """Show a line of the log above the steps."""
        self._wipe()
        self._stream.write(f"{line}\n")
        self._draw()

    def show(self, job: Job) -> None:
        """Draw the steps again."""
        self._job = job
        self._wipe()
        self._draw()

    def end(self) -> None:
        """Leave what is shown as it is."""
        self._drawn = 0

    def _wipe(self) -> None:
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        if self._job is None:
            return
        size = shutil.get_terminal_size()
        lines = screen_lines(self._job, self._clock(), max(ROWS_MIN, size.lines - 4))
        for text, colour in lines:
            cut = text[: max(1, size.columns - 1)]
            shown = painted(cut, colour) if colour and self._colours else cut
            self._stream.write(f"{shown}\n")
        self._drawn = len(lines)
        self._stream.flush()


View = Lines | Screen


def view_for(stream: TextIO) -> View:
    """Return the view that suits where the output goes."""
    return Screen(stream) if is_live(stream) else Lines(stream)


# --- text ----------------------------------------------------------------------------------------


def circumstances(job: Record) -> list[str]:
    """Say what keeps a job from going on as usual."""
    found = []
    if blockers := job.items("blocked_by"):
        found.append(f"waits for the locks of jobs {', '.join(map(str, blockers))}")
    if job["queued_because"]:
        found.append(str(job["queued_because"]))
    elif job["cancel_wanted"]:
        found.append("is being cancelled")
    elif job["paused"]:
        found.append(f"paused (gnt-job resume {job['id']})")
    if len(attempts := job.items("attempts")) > 1:
        found.append(f"attempt {len(attempts)}")
    return found


def screen_lines(job: Job, now: float, rows_max: int) -> list[tuple[str, Colour | None]]:
    """Return the lines that stand below the log, each with its colour."""
    record = job.record
    age = between(record["received_ts"], seconds(record["end_ts"]) or now)
    head = ", ".join([f"Job {record['id']}: {job.status}", *filter(None, [age])])
    first = "; ".join([head, *circumstances(record)])
    lines: list[tuple[str, Colour | None]] = [(first, STATUS_COLOURS.get(job.status))]
    summary = record.items("summary")
    for number, plan in enumerate(job.plans):
        if plan is None or not plan.steps:
            continue
        if len(job.plans) > 1:
            name = summary[number] if number < len(summary) else "opcode"
            lines.append((f"  {name} ({record.at('opstatus', number)})", None))
        lines += [_step_line(step, now) for step in plan.steps]
    return _around_the_running(lines, rows_max)


def _step_line(step: StepView, now: float) -> tuple[str, Colour | None]:
    mark, duration = MARKS.get(step.state, "?"), took(step, now)
    behind = f"  {step.progress}" if step.progress and step.state == "running" else ""
    return f"  {mark} {duration:>8}  {step.name}{behind}", COLOURS.get(step.state)


def _around_the_running(
    lines: list[tuple[str, Colour | None]], rows_max: int
) -> list[tuple[str, Colour | None]]:
    """Leave out what does not fit: the oldest steps first, as long as the running one is shown."""
    if len(lines) <= rows_max:
        return lines
    head, *steps = lines
    at = next((n for n, (text, _) in enumerate(steps) if text.startswith("  > ")), len(steps) - 1)
    room = rows_max - 2
    first = min(max(0, at - room // 2), len(steps) - room)
    left_out = len(steps) - room
    return [head, *steps[first : first + room], (f"    ... {left_out} more lines", None)]


# --- the watch -----------------------------------------------------------------------------------


def watch(client: LuxiClient, job: int, view: View) -> str:
    """Show a job until it has ended, and return its final status.

    Raises:
        Detached: the user pressed Ctrl-C; the job goes on.
        ServerFailure: the job does not exist, among others.
    """
    previous: Row | None = None
    serial, wait = 0, WAIT_SECONDS
    try:
        while True:
            change = client.wait_for_job_change(job, previous, serial, wait, FIELDS)
            for entry_serial, timestamp, kind, payload in change.entries:
                view.log(log_line(timestamp, kind, payload))
                serial = max(serial, entry_serial)
            seen = watched(change.values)
            view.show(seen)
            if seen.status in FINAL and not change.entries:
                return seen.status
            previous = change.values
            wait = view.tick_seconds
    except KeyboardInterrupt:
        raise Detached([job]) from None
    finally:
        view.end()
