"""How long each part of the tests may take, and took: said at the end, asserted nowhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

import pytest

BUDGET_MINUTES: Final[Mapping[str, float]] = {
    "fast": 2,
    "interop": 1,
    "cluster": 4,
    "guest": 2,
    "crash": 3,
    "chaos": 2,
}
"""On two cores; together with what is kept free for later parts, no more than 16 minutes."""

LATER_MINUTES: Final = 2.0


def part_of(nodeid: str) -> str:
    """Return the part that a test belongs to: its folder, ``fast`` if that has no budget."""
    folder = PurePosixPath(nodeid).parts[1]
    return folder if folder in BUDGET_MINUTES else "fast"


class TimeBudget:
    """Adds up what the tests of each part take, fixtures included.

    Where several processes run tests at once, each second of theirs is a part of a second.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[part_of(report.nodeid)] += report.duration / self.processes

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("time budget")
        for part, minutes in BUDGET_MINUTES.items():
            taken = self.seconds[part] / 60
            over = "  OVER" if taken > minutes else ""
            terminalreporter.line(f"{part:8} {minutes:4.1f} min, took {taken:5.2f} min{over}")
        whole = sum(BUDGET_MINUTES.values()) + LATER_MINUTES
        taken = sum(self.seconds.values()) / 60
        terminalreporter.line(f"{'all':8} {whole:4.1f} min, took {taken:5.2f} min")
