"""Stop a daemon of this node that we did not start, by its pid file.

A daemon holds a lock on its pid file for life (:mod:`gantry.runtime.daemon`), so that a file left
by a killed one, whose number another process may have by now, misleads nobody; and the end of the
lock is the end of the daemon, whoever its parent is.
"""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from typing import Final

import trio

from gantry.protocols.errors import GantryError
from gantry.runtime.environment import Environment

STOP_SECONDS_MAX: Final = 30.0
"""Above the daemons' own limit for an orderly stop."""


class DoesNotStop(GantryError, OSError):
    """A daemon did not end in time."""


async def stop_daemon(env: Environment, program: str) -> bool:
    """Ask a daemon to end and wait for it; says whether it ran.

    Raises:
        DoesNotStop: it still runs.
    """
    path = env.paths.run / f"{program}.pid"
    try:
        pid = int(await env.files.read(path))
        if _is_free(path):
            return False
    except (FileNotFoundError, ValueError):
        return False
    env.processes.kill(pid, signal.SIGTERM)
    with trio.move_on_after(STOP_SECONDS_MAX):
        await trio.to_thread.run_sync(_wait_until_free, path, abandon_on_cancel=True)
        return True
    raise DoesNotStop(f"{program} (process {pid}) does not end; see its log in {env.paths.logs}")


def _is_free(path: Path) -> bool:
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _wait_until_free(path: Path) -> None:
    """Block until nobody holds the lock."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # removed by the daemon as its last act
        return
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX)
    finally:
        os.close(fd)
