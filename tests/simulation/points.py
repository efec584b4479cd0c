"""The points at which a crash has to have been tried: awaits of steps and of the journals' code.

A process that dies does so while each of its tasks waits somewhere. Where they waited is counted,
and compared with what the source says: every ``await``, ``async with`` and ``async for`` of the
modules below. ``make simulate-points`` (``crashes.py``) aims at those that are left over.
"""

from __future__ import annotations

import ast
import importlib.util
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import trio
from attrs import define, field, frozen
from tests.simulation.services import MASTER_UNITS, NODE_UNITS

from gantry.runtime.testing.machine import MemoryProcess

UNITS: Final = frozenset({*NODE_UNITS, *MASTER_UNITS})

STEPS: Final = (
    "gantry.daemons.job.opcode_run",
    "gantry.daemons.job.performer",
    "gantry.daemons.job.stepping",
    "gantry.daemons.noded.calls",
)
"""What carries a step out: in the job's process, and in the node's daemon under its key."""

JOURNALS: Final = (
    "gantry.daemons.job.step_journal",
    "gantry.daemons.noded.key_journal",
    "gantry.daemons.noded.replica_files",
    "gantry.runtime.journal",
    "gantry.runtime.replica_log",
)
"""What writes files that are read again after a crash."""


@frozen(order=True)
class Point:
    """One place in the source where a task can wait."""

    module: str
    line: int
    last_line: int = field(order=False)
    name: str = field(order=False)
    """The function, and which of its points this is: that lasts longer than a line's number."""

    def text(self) -> str:
        """Return the place for people."""
        return f"{self.module.removeprefix('gantry.')} {self.name}"


@cache
def all_points() -> tuple[Point, ...]:
    """Return every point, in the order of the source."""
    return tuple(point for module in (*STEPS, *JOURNALS) for point in _points_in(module))


def _points_in(module: str) -> Iterator[Point]:
    """Yield the points of a module; several in one line are one."""

    def within(node: ast.AST, function: str) -> Iterator[tuple[str, int, int]]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.Await():
                    yield function, child.lineno, child.end_lineno or child.lineno
                case ast.AsyncWith() | ast.AsyncFor():
                    yield function, child.lineno, child.body[0].lineno - 1
                case _:
                    pass
            name = function
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{function}.{child.name}".lstrip(".")
            yield from within(child, name)

    lasts: dict[tuple[str, int], int] = {}
    for function, line, last in within(ast.parse(_source(module).read_text()), ""):
        lasts[function, line] = max(last, lasts.get((function, line), 0))
    numbers: Counter[str] = Counter()
    for function, line in sorted(lasts, key=lambda each: each[1]):
        numbers[function] += 1
        yield Point(module, line, lasts[function, line], f"{function} #{numbers[function]}")


def _source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise LookupError(f"{module} has no source")
    return Path(spec.origin)


@cache
def _by_file() -> Mapping[str, Mapping[int, Point]]:
    """Return the innermost point of each line of each file."""
    files: dict[str, dict[int, Point]] = {}
    for point in all_points():
        lines = files.setdefault(str(_source(point.module)), {})
        for line in range(point.line, point.last_line + 1):
            lines[line] = point
    return files


def points_of(task: trio.lowlevel.Task) -> Iterator[Point]:
    """Yield where a task waits, as far as these are points."""
    files = _by_file()
    for frame, line in task.iter_await_frames():
        lines = files.get(frame.f_code.co_filename)
        if lines is not None and line in lines:
            yield lines[line]


def is_crashing(process: MemoryProcess) -> bool:
    """Whether a process is one that has to survive its death: no command of a person's."""
    return process.program in UNITS or process.program.startswith("job-")


def points_in(process: MemoryProcess) -> Iterator[Point]:
    """Yield where all tasks of a process wait."""
    waiting = [process.root_task] if process.root_task is not None else []
    while waiting:
        task = waiting.pop()
        yield from points_of(task)
        waiting += [child for each in task.child_nurseries for child in each.child_tasks]


@define
class Points:
    """How often a crash has hit each point."""

    hit: Counter[Point] = field(factory=Counter)

    def add(self, other: Points) -> None:
        """Add what another run has hit."""
        self.hit += other.hit

    @property
    def missed(self) -> tuple[Point, ...]:
        """The points that no crash has hit."""
        return tuple(point for point in all_points() if point not in self.hit)

    def text(self) -> str:
        """Return which points were hit, and which never."""
        missed, count = self.missed, len(all_points())
        never = f"; never at {', '.join(point.text() for point in missed)}" if missed else ""
        return f"crashes at {count - len(missed)} of {count} points of steps and journals{never}"
