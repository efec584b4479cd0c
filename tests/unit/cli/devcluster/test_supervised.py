"""Supervised processes: awaited, restarted, given up, stopped. The processes are real."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gantry.cli.devcluster.control import StartFailed
from gantry.cli.devcluster.supervised import Command, Supervised

READY = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.sendto(b"STATUS=begun\\nREADY=1", os.environ["NOTIFY_SOCKET"])
signal.pause()
"""
FAILING = "import sys; sys.exit('no configuration')"

DEADLINE_SECONDS = 20


@asynccontextmanager
async def supervised(folder: Path, program: str) -> AsyncIterator[Supervised]:
    command = Command(
        node="node1",
        program="gantry-test",
        argv=[sys.executable, "-c", program],
        variables=dict(os.environ),
        log=folder / "log",
        notify=folder / "n",
    )
    with trio.fail_after(DEADLINE_SECONDS):
        async with trio.open_nursery() as nursery:
            daemon = Supervised(command)
            daemon.launch(nursery)
            yield daemon
            nursery.cancel_scope.cancel()


async def test_a_daemon_is_ready_when_it_says_so(tmp_path: Path) -> None:
    async with supervised(tmp_path, READY) as daemon:
        pid = await daemon.ready()
        assert daemon.status().state == "ready"
        os.kill(pid, 0)
        await daemon.stop()
        assert daemon.status().state == "stopped"
        assert daemon.status().restarts == 0
    assert not (tmp_path / "n").exists()


async def test_a_killed_daemon_is_started_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, READY) as daemon:
        first = await daemon.ready()
        os.kill(first, signal.SIGKILL)
        second = await daemon.ready(other_than=first)
        assert second != first
        assert daemon.status().restarts == 1


async def test_a_daemon_that_never_becomes_ready_is_told_with_its_last_words(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path, FAILING) as daemon:
        with pytest.raises(StartFailed, match="no configuration") as told:
            await daemon.ready()
        assert told.value.status == 1
        await daemon.stop()


async def test_a_daemon_that_does_not_belong_here_is_not_started_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, "import sys; print('no cluster'); sys.exit(5)") as daemon:
        with pytest.raises(StartFailed, match="no cluster"):
            await daemon.ready()
        assert daemon.status().state == "stopped"
        assert daemon.status().restarts == 0


async def test_cancellation_kills(tmp_path: Path) -> None:
    async with supervised(tmp_path, READY) as daemon:
        pid = await daemon.ready()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
