"""Colours, questions and the progress line."""

from __future__ import annotations

import io

import pytest
from tests.unit.cli.fake_luxid import Command, FakeLuxid

from gantry.cli import terminal
from gantry.cli.errors import ConfirmationNeeded
from gantry.cli.gnt_instance.program import PROGRAM as INSTANCE


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    isatty = staticmethod(lambda: True)


@pytest.mark.parametrize(
    ("variables", "painted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_only_a_terminal_that_wants_it_is_painted(
    variables: dict[str, str], *, painted: bool
) -> None:
    assert terminal.wants_colour(Screen(), variables) is painted
    assert terminal.wants_colour(io.StringIO(), variables) is False


def test_a_painted_list_keeps_its_columns(
    command: Command, sampled_queries: FakeLuxid, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = command(INSTANCE, "list").out
    monkeypatch.setattr("gantry.cli.listing.wants_colour", lambda _stream: True)
    painted = command(INSTANCE, "list").out
    assert "\x1b[32mrunning   \x1b[0m" in painted
    for code in ("\x1b[32m", "\x1b[33m", "\x1b[0m"):
        painted = painted.replace(code, "")
    assert painted == plain


@pytest.mark.parametrize(
    ("typed", "answer"), [("y\n", True), ("what\nYES\n", True), ("\n", False), ("n\n", False)]
)
def test_questions_are_asked_until_they_are_answered(
    monkeypatch: pytest.MonkeyPatch, typed: str, *, answer: bool
) -> None:
    monkeypatch.setattr("sys.stdin", Screen(typed))
    assert terminal.confirm("Really?") is answer


def test_nobody_to_ask_is_an_error_with_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(ConfirmationNeeded, match=r"Really\?\n.*--force") as caught:
        terminal.confirm("Really?")
    assert caught.value.exit_code == 13


def test_progress_is_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    line = terminal.ProgressLine(screen)
    line.show("job 1: queued")
    line.show("job 1: running")
    line.clear()
    line.clear()
    assert screen.getvalue() == "\r\x1b[Kjob 1: queued\r\x1b[Kjob 1: running\r\x1b[K"


def test_progress_is_not_written_into_files() -> None:
    file = io.StringIO()
    line = terminal.ProgressLine(file)
    line.show("job 1: queued")
    line.clear()
    assert file.getvalue() == ""
