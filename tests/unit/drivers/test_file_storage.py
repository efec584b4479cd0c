"""Disks that are files."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gantry.drivers.storage.allowed import check_path, parse_allowed
from gantry.drivers.storage.files import FileStorage
from gantry.protocols.runtime_types import (
    DiskExists,
    DiskSpec,
    DriverFailed,
    InstanceSpec,
    PathRefused,
)
from gantry.runtime.environment import Environment

ALLOWED = ("/srv/ganeti/file-storage", "/data")


@given(st.lists(st.sampled_from(["srv", "ganeti", "file-storage", "..", ".", "", "a"])))
def test_what_is_allowed_lies_below_an_allowed_folder(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    try:
        allowed = check_path(path, ALLOWED)
    except PathRefused:
        return
    assert ".." not in allowed.parts
    assert any(PurePosixPath(folder) in allowed.parents for folder in ALLOWED)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("srv/ganeti/file-storage/x", "not an absolute path"),
        ("/srv/ganeti/file-storage/../../etc/passwd", r"contains \. or \.\."),
        ("/srv/ganeti/file-storage", "not below"),
        ("/srv/ganeti/file-storage-2/x", "not below"),
        ("/etc/passwd", "not below /srv/ganeti/file-storage or /data"),
        ("/data/\0", "not an absolute path"),
    ],
)
def test_refused_paths(path: str, reason: str) -> None:
    with pytest.raises(PathRefused, match=reason):
        check_path(path, ALLOWED)


def test_the_list_of_allowed_folders() -> None:
    assert parse_allowed("# ours\n/a\n\n  /b  # slow\n") == ("/a", "/b")


@pytest.fixture
def storage(environment: Environment) -> FileStorage:
    return FileStorage(environment, "file", ("/srv/ganeti/file-storage",))


@pytest.fixture
def disk(spec: InstanceSpec) -> DiskSpec:
    return spec.disks[0]


async def test_create_and_remove(storage: FileStorage, disk: DiskSpec) -> None:
    assert not await storage.exists(disk)
    await storage.create(disk)
    path = storage.path(disk)
    assert path.stat().st_size == 8 * 1024 * 1024
    assert path.stat().st_blocks == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert await storage.exists(disk)
    assert await storage.size_mib(disk) == 8
    await storage.remove(disk)
    await storage.remove(disk)
    assert not path.parent.exists()
    assert path.parent.parent.exists()


async def test_what_exists_is_left_alone(storage: FileStorage, disk: DiskSpec) -> None:
    path = storage.path(disk)
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    with pytest.raises(DiskExists, match=str(path)):
        await storage.create(disk)
    assert path.read_text() == "precious"


async def test_a_full_file_system_leaves_nothing(storage: FileStorage, disk: DiskSpec) -> None:
    too_large = evolve(disk, size_mib=1 << 42)
    with pytest.raises(DriverFailed, match="disk0"):
        await storage.create(too_large)
    assert not storage.path(disk).parent.exists()


async def test_remove_spares_the_instance_s_other_disks(
    storage: FileStorage, disk: DiskSpec
) -> None:
    other = evolve(disk, index=1, path=disk.path.replace("disk0", "disk1"))
    await storage.create(disk)
    await storage.create(other)
    await storage.remove(disk)
    assert await storage.exists(other)


async def test_rename_once_and_again(storage: FileStorage, disk: DiskSpec) -> None:
    new = evolve(disk, path=disk.path.replace("web1", "web2"))
    with pytest.raises(DriverFailed, match="does not exist"):
        await storage.rename(disk, new)
    await storage.create(disk)
    await storage.rename(disk, new)
    await storage.rename(disk, new)
    assert await storage.exists(new)
    assert not storage.path(disk).parent.exists()
    await storage.create(disk)
    with pytest.raises(DiskExists):
        await storage.rename(disk, new)


async def test_a_rename_that_broke_off_is_finished_by_the_next(
    storage: FileStorage, disk: DiskSpec
) -> None:
    new = evolve(disk, path=disk.path.replace("web1", "web2"))
    await storage.create(disk)
    await storage.rename(disk, new)
    storage.path(disk).parent.mkdir()  # where the first one came to, had it died
    await storage.rename(disk, new)
    assert await storage.exists(new)
    assert not storage.path(disk).parent.exists()


async def test_grow(storage: FileStorage, disk: DiskSpec) -> None:
    with pytest.raises(DriverFailed, match="does not exist"):
        await storage.grow(disk, 16)
    await storage.create(disk)
    await storage.grow(disk, 16)
    await storage.grow(disk, 16)
    assert await storage.size_mib(disk) == 16
    with pytest.raises(DriverFailed, match="can not shrink"):
        await storage.grow(disk, 8)


async def test_a_node_s_own_list_of_folders(environment: Environment) -> None:
    assert (await FileStorage.of(environment, "file")).allowed == ("/srv/ganeti/file-storage",)
    await environment.files.make_folder(environment.paths.etc)
    await environment.files.write(environment.paths.etc / "file-storage-paths", b"/data\n")
    storage = await FileStorage.of(environment, "file")
    assert storage.allowed == ("/data",)
    (problem,) = await storage.problems()
    assert "/data does not exist" in problem
