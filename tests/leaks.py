"""Nothing of a test run stays behind: the check at the end of every session.

Every node of a run has its root below the run's folder, so what belongs to the run carries that
folder in ``GANTRY_ROOT``, in a socket's path, in a mount or in a tap's alias. Programs' names
play no part: job processes and guests call themselves what they like.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from attrs import frozen

PROC = Path("/proc")
VARIABLES = ("GANTRY_ROOT", "GANTRY_DEVCLUSTER", "XDG_RUNTIME_DIR")


@frozen
class Leak:
    """Something that should be gone."""

    kind: str
    what: str


def leaks(folders: Iterable[Path]) -> tuple[Leak, ...]:
    """Return what is left of a run whose files are all below some folders."""
    prefixes = tuple(str(folder) for folder in folders)

    def ours(path: str) -> bool:
        return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)

    found = (*_processes(ours), *_sockets(ours), *_mounts(ours), *_devices(ours))
    return tuple(found)


def _processes(ours: Callable[[str], bool]) -> Iterator[Leak]:
    """Find processes by their environment; a namespace lives only as long as one of them."""
    for entry in PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if any(ours(value) for value in _roots(entry)) and not _is_zombie(entry):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                yield Leak("process", f"{entry.name} {command:.200}")


def _roots(entry: Path) -> Iterator[str]:
    for item in (entry / "environ").read_bytes().split(b"\0"):
        name, _, value = item.decode(errors="replace").partition("=")
        if name in VARIABLES:
            yield value


def _is_zombie(entry: Path) -> bool:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"


def _sockets(ours: Callable[[str], bool]) -> Iterator[Leak]:
    for line in (PROC / "net/unix").read_text().splitlines()[1:]:
        path = line.split(maxsplit=7)[7:]
        if path and ours(path[0]):
            yield Leak("socket", path[0])


def _mounts(ours: Callable[[str], bool]) -> Iterator[Leak]:
    for line in (PROC / "self/mountinfo").read_text().splitlines():
        _, _, _, root, place, *_ = line.split()
        if ours(place) or (root != "/" and ours(root)):
            yield Leak("mount", place)


def _devices(ours: Callable[[str], bool]) -> Iterator[Leak]:
    """Find taps by the alias that they were given: the root of their node."""
    for alias in Path("/sys/class/net").glob("*/ifalias"):
        with suppress(OSError):
            if ours(alias.read_text().strip()):
                yield Leak("network device", alias.parent.name)
