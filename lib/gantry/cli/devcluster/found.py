"""What belongs to a cluster: processes found by their environment, never by a program's name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from gantry.cli.devcluster.layout import MARK

PROC: Final = Path("/proc")
WAIT_SECONDS: Final = 0.02
END_SECONDS_MAX: Final = 5.0
"""After SIGKILL a process only lasts while the kernel takes it apart."""

PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024


@frozen
class FoundProcess:
    """A living process."""

    pid: int
    root: str
    """Its ``GANTRY_ROOT``; empty if it has none."""
    command: str
    rss_kib: int


def processes_of(folder: Path) -> tuple[FoundProcess, ...]:
    """Return the processes that carry a cluster's mark, but for our own and its ancestors.

    A shell that took over ``gantry devcluster env`` does not carry it, nor does what is started
    from there: an editor is no part of the cluster.
    """
    return tuple(_processes(folder))


def _processes(folder: Path) -> Iterator[FoundProcess]:
    ours = set(_ancestors(os.getpid()))
    for entry in PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) in ours:
            continue
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            variables = _variables(entry)
            root = variables.get("GANTRY_ROOT", "")
            if variables.get(MARK) == str(folder) and not _is_zombie(entry):
                yield FoundProcess(int(entry.name), root, _command(entry), _rss_kib(entry))


def _ancestors(pid: int) -> Iterator[int]:
    """Return a process and those that started it."""
    while pid > 0:
        yield pid
        try:
            stat = (PROC / str(pid) / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        pid = int(stat.rpartition(")")[2].split()[1])


def _variables(entry: Path) -> dict[str, str]:
    items = (entry / "environ").read_bytes().split(b"\0")
    pairs = (item.decode(errors="replace").partition("=") for item in items if item)
    return {name: value for name, _, value in pairs}


def _is_zombie(entry: Path) -> bool:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"


def _command(entry: Path) -> str:
    words = (entry / "cmdline").read_bytes().split(b"\0")
    return " ".join(word.decode(errors="replace") for word in words if word)


def _rss_kib(entry: Path) -> int:
    return int((entry / "statm").read_text().split()[1]) * PAGE_KIB


def rss_kib(pid: int) -> int:
    """Return a process's resident memory; 0 if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return _rss_kib(PROC / str(pid))
    return 0


def end(pids: Iterable[int]) -> None:
    """Kill processes, and wait until they are gone."""
    left = list(pids)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + END_SECONDS_MAX
    while (left := [pid for pid in left if _lives(pid)]) and time.monotonic() < deadline:
        time.sleep(WAIT_SECONDS)


def _lives(pid: int) -> bool:
    try:
        return not _is_zombie(PROC / str(pid))
    except (FileNotFoundError, ProcessLookupError):
        return False
