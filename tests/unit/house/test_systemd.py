"""The units, put into a scratch root with this installation's programs, satisfy systemd itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import pytest
from tests.unit.house.source_tree import REPOSITORY

EXPOSURE_TENTHS_MAX: Final[Mapping[str, int]] = {
    "gantry-electd": 15,
    "gantry-forkserver": 15,
    "gantry-luxid": 15,
    "gantry-mond": 20,
    "gantry-noded": 90,
    "gantry-rapid": 15,
    "gantry-rconfd": 15,
    "gantry-wconfd": 15,
}
"""By `systemd-analyze security`: 0 is sealed, 100 a plain root service."""

OUTLIVED: Final = frozenset({"gantry-forkserver", "gantry-noded"})
"""The daemons whose children, jobs and guests, outlive them."""

PROGRAMS: Final = Path(sys.executable).absolute().parent
SYSTEM_UNITS: Final = Path("/usr/lib/systemd/system")
NEEDED_UNITS: Final = ("basic", "multi-user", "network-online", "shutdown", "sysinit", "time-sync")


def programs_of_daemons() -> frozenset[str]:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    scripts = cast("dict[str, str]", settings["project"]["scripts"])
    return frozenset(name for name in scripts if name.startswith("gantry-"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch root with the rendered units and everything that they refer to."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt install systemd")
    root = tmp_path_factory.mktemp("root")
    render = REPOSITORY / "systemd" / "render"
    subprocess.run([str(render), str(PROGRAMS), str(root)], check=True)
    for name in NEEDED_UNITS:
        unit = f"{name}.target"
        shutil.copy(SYSTEM_UNITS / unit, root / "usr/lib/systemd/system" / unit)
    tmpfiles = Path(shutil.which("systemd-tmpfiles") or "/usr/bin/systemd-tmpfiles")
    for program in (tmpfiles, *(PROGRAMS / name for name in programs_of_daemons())):
        place = root / program.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, place)
    (root / "etc").mkdir()
    return root


def ask_systemd(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_every_daemon_has_a_unit() -> None:
    units = {path.stem for path in (REPOSITORY / "systemd").glob("*.service")}
    assert units == EXPOSURE_TENTHS_MAX.keys()
    assert programs_of_daemons() == units


@pytest.mark.parametrize("name", EXPOSURE_TENTHS_MAX)
def test_a_unit_is_sound(root: Path, name: str) -> None:
    command = ("systemd-analyze", "verify", f"--root={root}", "--man=no", f"{name}.service")
    verdict = ask_systemd(*command)
    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["gantry-node.target", "gantry-master.target"])
def test_a_target_is_sound(root: Path, name: str) -> None:
    verdict = ask_systemd("systemd-analyze", "verify", f"--root={root}", "--man=no", name)
    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


def test_a_missing_program_would_be_noticed(root: Path) -> None:
    unit = root / "usr/lib/systemd/system/gantry-astray.service"
    unit.write_text("[Service]\nExecStart=/nowhere/gantry-astray\n")
    verdict = ask_systemd("systemd-analyze", "verify", f"--root={root}", "--man=no", unit.name)
    unit.unlink()
    assert verdict.returncode != 0


@pytest.mark.parametrize(("name", "tenths_max"), EXPOSURE_TENTHS_MAX.items())
def test_a_unit_is_not_more_exposed_than_it_must_be(root: Path, name: str, tenths_max: int) -> None:
    command = ("systemd-analyze", "security", "--offline=true", f"--root={root}")
    verdict = ask_systemd(*command, f"--threshold={tenths_max}", f"{name}.service")
    assert verdict.returncode == 0, verdict.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", EXPOSURE_TENTHS_MAX)
def test_children_outlive_the_right_daemons(name: str) -> None:
    text = (REPOSITORY / "systemd" / f"{name}.service").read_text()
    assert ("KillMode=process" in text.splitlines()) == (name in OUTLIVED)


def test_all_daemons_notify_are_watched_and_restarted() -> None:
    folder = REPOSITORY / "systemd" / "gantry-.service.d"
    settings = (folder / "10-all-daemons.conf").read_text().splitlines()
    assert {"Type=notify", "WatchdogSec=30", "Restart=on-failure"} <= set(settings)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of other users")
def test_users_and_folders_are_made(root: Path) -> None:
    for program in ("systemd-sysusers", "systemd-tmpfiles"):
        words = ["--create"] if program == "systemd-tmpfiles" else []
        verdict = ask_systemd(program, f"--root={root}", *words, "gantry.conf")
        assert (verdict.returncode, verdict.stdout) == (0, ""), verdict.stderr
    ids = {
        line.split(":")[0]: int(line.split(":")[2])
        for line in (root / "etc/passwd").read_text().splitlines()
    }
    made = (root / "run/gantry").stat()
    assert (made.st_uid, made.st_mode & 0o7777) == (ids["gnt-masterd"], 0o770)


def test_users_of_units_are_made() -> None:
    text = (REPOSITORY / "systemd" / "gantry.sysusers.conf").read_text()
    made = set(re.findall(r"^[ug] (\S+)", text, re.MULTILINE))
    for unit in (REPOSITORY / "systemd").glob("*.service"):
        named = re.findall(r"^(?:User|Group)=(\S+)", unit.read_text(), re.MULTILINE)
        assert set(named) <= made, unit.name
