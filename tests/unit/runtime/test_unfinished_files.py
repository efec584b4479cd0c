"""What a writer that was killed leaves behind is removed by the next daemon that starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gantry.runtime.files import remove_unfinished


def dead_pid() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_only_what_dead_writers_left_is_removed(tmp_path: Path) -> None:
    dead, living = dead_pid(), os.getpid()
    inner = tmp_path / "queue"
    inner.mkdir()
    left = [
        tmp_path / f".config.data.{dead}-0123abcd.new",
        inner / f".job-7.{dead}-0123abcd.new",
    ]
    kept = [
        tmp_path / f".config.data.{living}-0123abcd.new",
        tmp_path / "config.data",
        tmp_path / ".somebodys.new",
        inner / "job-7",
    ]
    for path in (*left, *kept):
        path.write_text("")
    remove_unfinished(tmp_path)
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in kept)


def test_a_folder_that_is_not_there_has_nothing_in_it(tmp_path: Path) -> None:
    remove_unfinished(tmp_path / "nothing")
