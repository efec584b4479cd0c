"""``gnt-job watch``: a job's log and its steps, as lines and on a terminal."""

from __future__ import annotations

import io
from typing import cast

import pytest
from tests.unit.cli.fake_luxid import Command, FakeLuxid
from typing_extensions import override

from gantry.cli.gnt_job.program import PROGRAM as JOB
from gantry.cli.gnt_job.watching import FIELDS, Lines, Screen, screen_lines, watched
from gantry.cli.job_steps import progress_text
from gantry.cli.luxi import LuxiClient, Row

ENTRY = [1, [1795250416, 136], "message", "* starting"]


def step(name: str, state: str = "planned", **more: object) -> dict[str, object]:
    outline = {
        "name": name,
        "kind": "idempotent",
        "action": "call x",
        "nodes": [],
        "undo": "nothing",
        "is_undone": False,
    }
    return {"outline": outline, "state": state, "attempt": None, "began": None, **more}


def row(status: str, *steps: dict[str, object], **more: object) -> Row:
    plan = {"opcode": 0, "steps": list(steps), "no_return": None, "locks": [], "dry_run": False}
    values: dict[str, object] = {
        "id": 12,
        "status": status,
        "opsteps": [plan if steps else None],
        "opstatus": [status],
        "summary": ["INSTANCE_STARTUP(web1)"],
        "received_ts": [1000, 0],
        **more,
    }
    return [values.get(name) for name in FIELDS]


DONE = step("one", "done", began=1000.0, ended=1001.5)
HISTORY = [
    row("waiting", blocked_by=[9]),
    row("running", step("one", "running", began=1000.0), step("two")),
    row("running", DONE, step("two", "running", began=1001.5)),
    row("success", DONE, step("two", "done", began=1001.5, ended=1001.512)),
]


def test_elsewhere_than_on_a_terminal_each_change_is_a_line(
    command: Command, luxid: FakeLuxid, utc: None
) -> None:
    entries: list[list[object]] = [[], [ENTRY], [], []]
    luxid.answers["WaitForJobChange"] = [
        [values, new] for values, new in zip(HISTORY, entries, strict=True)
    ]
    luxid.answers["QueryJobs"] = lambda _: [["success", ["success"], [None]]]
    ended = command(JOB, "watch", "12")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[2:] == [
        "Job 12: waits for the locks of jobs 9",
        "Sat Nov 21 08:40:16 2026 * starting",
        "[1/2] one: running",
        "[1/2] one: done (1.5 s)",
        "[2/2] two: running",
        "[2/2] two: done (12 ms)",
    ]
    asked = luxid.calls("WaitForJobChange")
    assert asked[0] == [12, list(FIELDS), None, 0, 60]
    assert asked[2][2:4] == [HISTORY[1], 1]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    return Terminal()


def test_on_a_terminal_the_steps_are_drawn_again_below_the_log(terminal: Terminal) -> None:
    screen = Screen(terminal, clock=lambda: 1003.0)
    screen.show(watched(HISTORY[1]))
    first = terminal.getvalue()
    assert first.splitlines() == [
        "\x1b[32mJob 12: running, 3.0 s\x1b[0m",
        "\x1b[36m  >    3.0 s  one\x1b[0m",
        "              two",
    ]
    screen.log("Sat Nov 21 08:40:16 2026 * starting")
    again = terminal.getvalue().removeprefix(first)
    assert again.startswith("\x1b[3A\x1b[JSat Nov 21 08:40:16 2026 * starting\n")
    assert again.endswith(first)
    screen.end()
    screen.log("later")
    assert "\x1b[3A" not in terminal.getvalue().removeprefix(first + again)


def test_no_color_means_no_colour(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    Screen(terminal, clock=lambda: 1003.0).show(watched(HISTORY[2]))
    assert "\x1b" not in terminal.getvalue()


def test_lines_are_cut_at_the_terminals_width(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    long = row("running", step("x" * 100, "running", began=1000.0))
    Screen(terminal, clock=lambda: 1003.0).show(watched(long))
    assert all(len(line) < 30 for line in terminal.getvalue().splitlines())


def test_what_does_not_fit_is_left_out_around_the_running_step() -> None:
    steps = [step(f"s{n}", "done" if n < 20 else "planned") for n in range(40)]
    steps[20]["state"] = "running"
    lines = [text for text, _ in screen_lines(watched(row("running", *steps)), 1000.0, 10)]
    assert len(lines) == 10
    assert lines[-1] == "    ... 32 more lines"
    assert any(line.endswith("s20") for line in lines)


def test_circumstances_are_told() -> None:
    job = row("running", DONE, paused=True, attempts=[{}, {}])
    ((head, _), *_rest) = screen_lines(watched(job), 1060.0, 20)
    assert head == "Job 12: running, 1:00; paused (gnt-job resume 12); attempt 2"
    queued = row("queued", queued_because="the queue is paused", paused=True)
    ((head, _), *_rest) = screen_lines(watched(queued), 1060.0, 20)
    assert head == "Job 12: queued, 1:00; the queue is paused"
    cancelled = row("running", DONE, paused=True, cancel_wanted=True)
    ((head, _), *_rest) = screen_lines(watched(cancelled), 1060.0, 20)
    assert head == "Job 12: running, 1:00; is being cancelled"


def test_the_progress_of_a_long_step_stands_behind_it() -> None:
    progress = {"done": 2.0**30, "total": 2.0**31, "unit": "bytes", "note": "active"}
    moving = row("running", step("move", "running", began=1000.0, progress=progress))
    lines = [text for text, _ in screen_lines(watched(moving), 1002.0, 20)]
    assert lines[1] == "  >    2.0 s  move  50 % (1024 MiB of 2048 MiB)"
    assert progress_text({"done": 3, "total": 0, "unit": "seconds"}) == "(3 s of 0 s)"
    assert progress_text(None) == ""


def test_an_older_luxid_tells_no_steps() -> None:
    stream = io.StringIO()
    Lines(stream).show(watched(["running"]))
    assert stream.getvalue() == ""


def test_ctrl_c_detaches_and_says_how_to_come_back(
    command: Command, luxid: FakeLuxid, monkeypatch: pytest.MonkeyPatch
) -> None:
    luxid.answers["WaitForJobChange"] = [[HISTORY[1], []]]
    original, waits = LuxiClient.wait_for_job_change, []

    def interrupted(client: LuxiClient, *args: object) -> object:
        waits.append(args)
        if len(waits) == 2:
            raise KeyboardInterrupt
        return cast("object", original(client, *args))  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(LuxiClient, "wait_for_job_change", interrupted)
    ended = command(JOB, "watch", "12")
    assert ended.code == 1
    assert ended.err == (
        "Detached: job 12 goes on without you. To follow again:\n  gnt-job watch 12\n"
    )
    assert luxid.calls("CancelJob") == []
