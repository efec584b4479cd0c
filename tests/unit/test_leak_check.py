"""The leak check finds what it is there to find."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.leaks import leaks


def test_a_process_is_found_by_its_root(tmp_path: Path) -> None:
    variables = {**os.environ, "GANTRY_ROOT": str(tmp_path / "node1")}
    waiting = [sys.executable, "-c", "input()"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, env=variables) as process:
        while not (found := leaks([tmp_path])):  # until exec has replaced our environment
            pass
        assert [leak.what.split()[0] for leak in found] == [str(process.pid)]
        assert leaks([tmp_path / "node2"]) == ()
        process.communicate(b"\n")
    assert leaks([tmp_path]) == ()


def test_a_socket_is_found_by_its_path(run_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(run_folder / "leaking"))
        assert [leak.kind for leak in leaks([run_folder])] == ["socket"]
    assert leaks([run_folder]) == ()
