"""Programs that a daemon runs: to their end, in their bounds, and never beyond the daemon's."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from gantry.runtime.processes import RealProcesses

PATIENCE_SECONDS = 20.0

DAEMON = """
import sys
import trio
from pathlib import Path
from gantry.runtime.processes import RealProcesses

async def run():
    await RealProcesses().run(["/bin/sh", "-c", sys.argv[1]], deadline_seconds=600)

async def start():
    async with RealProcesses().start(["/bin/sh", "-c", sys.argv[1]]) as process:
        await process.wait()

trio.run({"run": run, "start": start}[sys.argv[2]])
"""


def has_ended(pid: int) -> bool:
    """Wait for the end of a process that is no child of ours."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(PATIENCE_SECONDS * 1000))
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("how", ["run", "start"])
def test_a_killed_daemon_takes_its_programs_and_their_children_along(
    how: str, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    script = f"sleep 600 & echo $$ $! >{pids}; wait"
    with subprocess.Popen([sys.executable, "-c", DAEMON, script, how]) as daemon:
        shell, child = map(int, pids.read_text().split())
        daemon.kill()
    assert has_ended(shell)
    assert has_ended(child)


async def test_what_a_program_says_and_how_it_ends() -> None:
    ended = await RealProcesses().run(
        ["/bin/sh", "-c", "cat; echo oops >&2; exit 3"], input_bytes=b"in ", deadline_seconds=10
    )
    assert (ended.status, ended.output) == (3, b"in oops\n")


async def test_a_program_that_was_killed_has_a_negative_status() -> None:
    ended = await RealProcesses().run(["/bin/sh", "-c", "kill -9 $$"], deadline_seconds=10)
    assert ended.status == -signal.SIGKILL


@pytest.mark.parametrize("argv", [["/no/such"], ["no-such-program"]])
async def test_a_program_that_is_not_there(argv: list[str]) -> None:
    with pytest.raises(FileNotFoundError):
        await RealProcesses().run(argv, deadline_seconds=10)
    with pytest.raises(FileNotFoundError):
        async with RealProcesses().start(argv):
            pass


async def test_a_late_program_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! >{pids}; wait"
    with pytest.raises(trio.TooSlowError):
        await RealProcesses().run(["/bin/sh", "-c", script], deadline_seconds=0.3)
    assert has_ended(int(pids.read_text()))


async def test_what_a_program_leaves_running_ends_with_it() -> None:
    ended = await RealProcesses().run(["/bin/sh", "-c", "sleep 600 & echo $!"], deadline_seconds=10)
    assert ended.status == 0
    assert has_ended(int(ended.output))
