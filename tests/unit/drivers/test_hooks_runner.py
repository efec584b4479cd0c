"""Running hooks by the rules of run-parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.drivers.scripts.hooks import Hooks
from gantry.protocols.runtime_types import HookResult, PathRefused
from gantry.runtime.environment import Environment


def script(folder: Path, name: str, body: str, mode: int = 0o755) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(mode)


async def test_sorted_and_by_the_rules(environment: Environment) -> None:
    folder = environment.paths.etc / "hooks" / "instance-add-pre.d"
    script(folder, "20_last", "echo '  two  '; echo err >&2")
    script(folder, "10-first", "echo one; exit 1")
    script(folder, "not.run", "echo never")
    script(folder, "plain", "echo never", mode=0o644)
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(folder / "20_last")
    (folder / "interpreter").write_text("#!/no/such\n")
    (folder / "interpreter").chmod(0o755)
    results = await Hooks(environment).run("instance-add", "pre", {})
    prefix = "instance-add-pre.d/"
    assert [(r.script.removeprefix(prefix), r.status) for r in results] == [
        ("10-first", "fail"),
        ("20_last", "success"),
        ("folder", "skip"),
        ("interpreter", "fail"),
        ("link", "success"),
        ("not.run", "skip"),
        ("plain", "skip"),
    ]
    assert results[0].output == "one"
    assert results[1].output == "two  \nerr"
    assert "can not be run" in results[3].output


async def test_only_the_given_environment(environment: Environment) -> None:
    folder = environment.paths.etc / "hooks" / "node-add-post.d"
    script(folder, "show", "env | grep -v -E '^(PWD|SHLVL|_|OLDPWD)=' | sort")
    (result,) = await Hooks(environment).run("node-add", "post", {"GANETI_X": "1"})
    assert result == HookResult(
        "node-add-post.d/show", "success", "GANETI_X=1\nPATH=/sbin:/bin:/usr/sbin:/usr/bin"
    )


async def test_no_hooks_and_no_way_out(environment: Environment) -> None:
    assert await Hooks(environment).run("node-add", "pre", {}) == ()
    with pytest.raises(PathRefused):
        await Hooks(environment).run("../../x", "pre", {})
