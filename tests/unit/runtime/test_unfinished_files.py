"""What a writer that was killed leaves behind is removed by the next daemon that starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gantry.protocols.identity import JobId
from gantry.protocols.job_archive import ArchivedFile
from gantry.runtime.files import remove_unfinished
from gantry.runtime.job_archive import archived_path, course_path, write_archived
from gantry.runtime.real import real_environment


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


async def test_what_is_archived_is_looked_for_although_the_archive_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that starts does not look through a hundred thousand old files."""
    env = real_environment(variables={"GANETI_ROOTDIR": str(tmp_path)})
    temporary: list[Path] = []
    rename = os.rename

    def noted(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        temporary.append(Path(f"/proc/self/fd/{src_dir_fd}").readlink() / old)
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", noted)
    await write_archived(env, [ArchivedFile(JobId(7), "{}", "{}")])
    assert archived_path(env, JobId(7)).exists()
    assert course_path(env, JobId(7)).exists()
    assert len(temporary) == 2
    for path in temporary:
        left = path.with_name(path.name.replace(f".{os.getpid()}-", f".{dead_pid()}-"))
        left.write_text("")
        remove_unfinished(env.paths.data)
        assert not left.exists()
