"""The shipped OS definition, without booting it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import evolve

from gantry.drivers.scripts.os_definitions import OsDefinitions
from gantry.drivers.scripts.os_scripts import OsScripts
from gantry.drivers.storage.files import FileStorage
from gantry.protocols.runtime_types import InstanceSpec, ScriptFailed
from gantry.runtime.environment import Environment


@pytest.fixture
def scripts(environment: Environment) -> OsScripts:
    return OsScripts(environment, OsDefinitions(environment))


def on_disk(disk: Path, name: str) -> str:
    show = ["debugfs", "-R", f"cat gantry/{name}", str(disk)]
    path = "/sbin:/usr/sbin:/bin:/usr/bin"
    ended = subprocess.run(show, capture_output=True, text=True, check=True, env={"PATH": path})
    return ended.stdout.strip()


async def test_it_is_found_and_whole(scripts: OsScripts) -> None:
    definition = await scripts.definitions.find("busybox")
    assert (definition.problem, definition.api_versions, definition.trusted) == ("", (20,), True)
    assert [name for name, _ in definition.parameters] == ["tick"]


@pytest.mark.parametrize(("value", "good"), [("1", True), ("0.2", True), ("x", False), ("", False)])
async def test_verify(scripts: OsScripts, value: str, good: bool) -> None:
    if good:
        await scripts.verify("busybox", {"tick": value})
    else:
        with pytest.raises(ScriptFailed, match="not a number of seconds"):
            await scripts.verify("busybox", {"tick": value})


@pytest.mark.skipif(
    shutil.which("mke2fs", path="/sbin:/usr/sbin") is None, reason="apt install e2fsprogs"
)
async def test_create_and_rename(
    environment: Environment, scripts: OsScripts, spec: InstanceSpec
) -> None:
    spec = evolve(spec, os="busybox", osparams={"tick": "0.5"})
    storage = await FileStorage.of(environment, "file")
    (disk,) = spec.disks
    await storage.create(disk)
    paths = [storage.path(disk)]
    await scripts.create(spec, paths)
    assert on_disk(paths[0], "name") == spec.name
    assert on_disk(paths[0], "tick") == "0.5"
    assert on_disk(paths[0], "address") == "192.0.2.7/24"
    renamed = evolve(spec, name="web2.example.com")
    await scripts.rename(renamed, paths, spec.name)
    assert on_disk(paths[0], "name") == "web2.example.com"
    paths[0].write_bytes(bytes(8 * 1024 * 1024))
    with pytest.raises(ScriptFailed, match="does not hold a file system of this OS"):
        await scripts.rename(renamed, paths, spec.name)


async def test_diskless_needs_nothing(scripts: OsScripts, spec: InstanceSpec) -> None:
    await scripts.create(evolve(spec, os="busybox", disks=()), [])
