"""Restricted commands: which are run, and how little those hear who ask for others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from gantry.drivers.scripts import restricted
from gantry.drivers.scripts.restricted import REFUSED, RestrictedCommands
from gantry.runtime.environment import Environment


@pytest.fixture
def commands(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> RestrictedCommands:
    monkeypatch.setattr(restricted, "REFUSAL_SECONDS", 0.0)
    made = RestrictedCommands(environment)
    made.folder.mkdir(parents=True, mode=0o755)
    return made


def put(commands: RestrictedCommands, name: str, body: str, mode: int = 0o755) -> Path:
    path = commands.folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


async def test_it_is_run_with_an_empty_environment_and_no_arguments(
    commands: RestrictedCommands,
) -> None:
    put(commands, "show", "echo $# $HOME; echo err >&2; pwd")
    assert await commands.run("show") == (True, "0\nerr\n/\n")


async def test_one_that_fails_says_how(commands: RestrictedCommands) -> None:
    put(commands, "fail", "echo no; exit 3")
    assert await commands.run("fail") == (False, "it ended with status 3; output: no\n")
    put(commands, "die", "kill -9 $$")
    assert await commands.run("die") == (False, "it ended with signal 9; output: ")


@pytest.mark.parametrize(
    "name", ["", "../show", "no.dots", "gone", "plain", "open", "folder", "link", "no interpreter"]
)
async def test_whatever_is_not_safe_is_refused_without_a_reason(
    name: str, commands: RestrictedCommands
) -> None:
    shown = put(commands, "show", "echo never")
    put(commands, "plain", "echo never", mode=0o644)
    put(commands, "open", "echo never", mode=0o775)
    (commands.folder / "folder").mkdir()
    (commands.folder / "link").symlink_to(shown)
    put(commands, "no-interpreter", "").write_text("#!/no/such\n")
    assert await commands.run(name.replace(" ", "-")) == (False, REFUSED)


async def test_a_folder_that_others_may_write_to_is_not_trusted(
    commands: RestrictedCommands,
) -> None:
    put(commands, "show", "echo never")
    commands.folder.chmod(0o777)
    assert await commands.run("show") == (False, REFUSED)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_nor_is_what_belongs_to_somebody_else(commands: RestrictedCommands) -> None:
    os.chown(put(commands, "show", "echo never"), 1000, 0)
    assert await commands.run("show") == (False, REFUSED)
    os.chown(commands.folder / "show", 0, 1000)
    assert await commands.run("show") == (False, REFUSED)


async def test_one_at_a_time(commands: RestrictedCommands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restricted, "TURN_SECONDS_MAX", 0.01)
    put(commands, "show", "echo done")
    async with trio.open_nursery() as nursery:
        await nursery.start(_hold, commands)
        assert await commands.run("show") == (False, REFUSED)
        nursery.cancel_scope.cancel()
    assert await commands.run("show") == (True, "done\n")


async def _hold(commands: RestrictedCommands, task_status: trio.TaskStatus[None]) -> None:
    async with commands._turn:
        task_status.started()
        await trio.sleep_forever()
