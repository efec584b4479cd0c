"""The terminal: colours, questions, and a line that shows what is going on."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

from gantry.cli.errors import ConfirmationNeeded

Colour = Literal["red", "green", "yellow", "cyan"]

_CODES: dict[Colour, str] = {"red": "31", "green": "32", "yellow": "33", "cyan": "36"}

STATUS_COLOURS: dict[str, Colour] = {
    "success": "green",
    "running": "green",
    "queued": "cyan",
    "waiting": "cyan",
    "canceling": "yellow",
    "canceled": "yellow",
    "error": "red",
    "ADMIN_down": "yellow",
    "ADMIN_offline": "yellow",
    "USER_down": "yellow",
    "ERROR_down": "red",
    "ERROR_up": "red",
    "ERROR_nodedown": "red",
    "ERROR_nodeoffline": "red",
    "ERROR_wrongnode": "red",
}
"""Statuses of jobs and instances, and how they are painted."""


def wants_colour(stream: TextIO, variables: Mapping[str, str] | None = None) -> bool:
    """Whether to paint: only on a terminal, and never with NO_COLOR (no-color.org)."""
    known = os.environ if variables is None else variables
    return not known.get("NO_COLOR") and known.get("TERM") != "dumb" and stream.isatty()


def painted(text: str, colour: Colour) -> str:
    """Return the text in a colour."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def confirm(question: str, option: str = "--force") -> bool:
    """Ask a question and return whether the answer is yes.

    Args:
        question: what is asked.
        option: says yes on the command line.

    Raises:
        ConfirmationNeeded: standard input is not a terminal.
    """
    if not sys.stdin.isatty():
        raise ConfirmationNeeded(question, option)
    while True:
        sys.stdout.write(f"{question}\ny/[n]: ")
        sys.stdout.flush()
        match sys.stdin.readline().strip().lower():
            case "y" | "yes":
                return True
            case "" | "n" | "no":
                return False
            case _:
                sys.stdout.write("Please answer y or n.\n")


def is_live(stream: TextIO) -> bool:
    """Whether there is a terminal on which lines can be rewritten."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class ProgressLine:
    """One line on a terminal that is rewritten in place; elsewhere it shows nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = is_live(stream)
        self._shown = False

    @property
    def live(self) -> bool:
        """Whether there is a terminal to show anything on."""
        return self._live

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._live:
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()
            self._shown = True

    def clear(self) -> None:
        """Take the line away, so that other output can be written."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False
