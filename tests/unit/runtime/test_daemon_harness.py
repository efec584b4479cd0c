"""The harness of the daemons, seen by the service manager that starts and stops them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TRIAL = Path(__file__).with_name("trial_daemon.py")
PATIENCE_SECONDS = 30.0


class ServiceManager:
    """What systemd is to a daemon: a socket that hears, variables, signals."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.hears.bind(str(root / "notify"))
        self.hears.settimeout(PATIENCE_SECONDS)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, **variables: str) -> subprocess.Popen[str]:
        daemon = subprocess.Popen(
            [sys.executable, str(TRIAL)],
            env={
                **os.environ,
                "GANTRY_ROOT": str(self.root),
                "NOTIFY_SOCKET": str(self.root / "notify"),
                **variables,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(daemon)
        return daemon

    def hear(self) -> str:
        return self.hears.recv(100).decode()

    def close(self) -> None:
        for daemon in self.started:
            daemon.kill()
            daemon.communicate()
        self.hears.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    manager = ServiceManager(tmp_path)
    yield manager
    manager.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_when_it_stops(
    manager: ServiceManager, number: signal.Signals
) -> None:
    daemon = manager.start()
    assert manager.hear() == "READY=1"
    daemon.send_signal(number)
    assert manager.hear() == "STOPPING=1"
    assert daemon.wait(PATIENCE_SECONDS) == 0
    assert not (manager.root / "var/run/ganeti/gantry-trial.pid").exists()


def test_the_watchdog_hears_that_the_loop_turns(manager: ServiceManager) -> None:
    manager.start(WATCHDOG_USEC="20000")
    heard = [manager.hear() for _ in range(5)]
    assert heard.count("WATCHDOG=1") == 4
    assert heard.count("READY=1") == 1


def test_a_daemon_runs_once_per_node(manager: ServiceManager) -> None:
    manager.start()
    assert manager.hear() == "READY=1"
    second = manager.start()
    _, complaint = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 1
    assert "already running" in complaint


def test_a_killed_daemon_can_be_started_again(manager: ServiceManager) -> None:
    first = manager.start()
    assert manager.hear() == "READY=1"
    first.kill()
    first.wait(PATIENCE_SECONDS)
    manager.start()
    assert manager.hear() == "READY=1"


def test_a_refusal_is_one_sentence_and_ganetis_status(manager: ServiceManager) -> None:
    (manager.root / "refuse").touch()
    daemon = manager.start()
    _, complaint = daemon.communicate(timeout=PATIENCE_SECONDS)
    assert daemon.returncode == 5
    assert complaint == "gantry-trial: this is no node of a cluster\n"
