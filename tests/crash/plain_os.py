"""The OS definition ``plain``: it writes the instance's name onto the first disk, and no more."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

from attrs import frozen
from tests.cluster.development import DevCluster

PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.01

NAME = "plain"
SCRIPTS = {
    "create": 'printf "%s" "$INSTANCE_NAME" | dd of="$DISK_0_PATH" conv=notrunc status=none',
    "rename": 'printf "%s" "$INSTANCE_NAME" | dd of="$DISK_0_PATH" conv=notrunc status=none',
    "import": "exit 1",
    "export": "exit 1",
    "verify": "exit 0",
}


def install_plain_os(cluster: DevCluster, **scripts: str) -> None:
    """Put the definition on every node; other texts of its scripts may be given."""
    for node in cluster.layout.nodes:
        folder = node.root / "srv/ganeti/os" / NAME
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ganeti_api_version").write_text("20\n")
        (folder / "parameters.list").write_text("word any text\nsecret_word any secret text\n")
        for name, text in {**SCRIPTS, **scripts}.items():
            _write_script(folder / name, text)


def _write_script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(LOOK_SECONDS)  # files of other processes have no event here


@frozen
class Script:
    """An OS definition's script that goes on for ever, the first time that it is run."""

    pid_file: Path

    def pid(self) -> int:
        """Wait until it runs."""
        until(lambda: self.pid_file.exists() and self.pid_file.read_text().endswith("\n"))
        return int(self.pid_file.read_text())

    def assert_ended(self) -> None:
        """Wait for its end."""
        try:
            pidfd = os.pidfd_open(self.pid())
        except ProcessLookupError:
            return
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            assert poll.poll(PATIENCE_SECONDS * 1000), "the script still runs"
        finally:
            os.close(pidfd)


def hold_first_create(cluster: DevCluster, folder: Path) -> Script:
    """Have the create script go on for ever when it is run next, and never again."""
    first, pid_file = folder / "first", folder / "pid"
    hold = f"if mkdir {first} 2>/dev/null; then echo $$ >{pid_file}; exec sleep 600; fi"
    install_plain_os(cluster, create=f"{hold}\n{SCRIPTS['create']}")
    return Script(pid_file)
