"""The contract of Files, kept by the real ones and by those in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.runtime.environment import Files
from gantry.runtime.files import RealFiles, in_place
from gantry.runtime.testing.files import MemoryFiles


@pytest.fixture(params=["real", "in place", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Files, Path]:
    """File systems, each with an empty folder."""
    if request.param == "real":
        return RealFiles(), tmp_path
    if request.param == "in place":
        return RealFiles(in_place), tmp_path
    files = MemoryFiles()
    files.put_folder(tmp_path)
    return files, tmp_path


Place = tuple[Files, Path]


async def test_what_is_written_is_read(place: Place) -> None:
    files, folder = place
    await files.write(folder / "a", b"one")
    await files.write(folder / "a", b"two")
    assert await files.read(folder / "a") == b"two"
    assert await files.list(folder) == ("a",)


async def test_reading_what_is_not_there_fails(place: Place) -> None:
    files, folder = place
    with pytest.raises(FileNotFoundError):
        await files.read(folder / "a")
    with pytest.raises(IsADirectoryError):
        await files.read(folder)


async def test_a_part_is_read(place: Place) -> None:
    files, folder = place
    await files.write(folder / "a", b"0123456789")
    assert await files.read_part(folder / "a", 2, 3) == b"234"
    assert await files.read_part(folder / "a", 8, 30) == b"89"
    assert (
        await files.read_part(folder / "a", 10, 3)
        == await files.read_part(folder / "a", 11, 3)
        == b""
    )
    with pytest.raises(FileNotFoundError):
        await files.read_part(folder / "b", 0, 1)


async def test_the_beginning_is_written_over(place: Place) -> None:
    files, folder = place
    await files.overwrite(folder / "a", b"one")
    assert await files.read(folder / "a") == b"one"
    await files.overwrite(folder / "a", b"tw")
    assert await files.read(folder / "a") == b"twe"
    with pytest.raises(IsADirectoryError):
        await files.overwrite(folder, b"")
    with pytest.raises(FileNotFoundError):
        await files.overwrite(folder / "no" / "a", b"")


async def test_a_file_needs_a_folder(place: Place) -> None:
    files, folder = place
    with pytest.raises(FileNotFoundError):
        await files.write(folder / "no" / "a", b"")
    with pytest.raises(FileNotFoundError):
        await files.append_to(folder / "no" / "a")
    with pytest.raises(FileNotFoundError):
        await files.link(folder / "no" / "a", folder)


async def test_appending(place: Place) -> None:
    files, folder = place
    file = await files.append_to(folder / "log")
    await file.append(b"one ")
    await file.append(b"two")
    await file.sync()
    await file.aclose()

    file = await files.append_to(folder / "log")
    await file.truncate(4)
    await file.append(b"three")
    await file.aclose()
    assert await files.read(folder / "log") == b"one three"


async def test_a_file_is_begun_and_goes_on(place: Place) -> None:
    files, folder = place
    file = await files.append_to_new(folder / "log", b"one ")
    await file.append_durably(b"two")
    await file.aclose()
    assert await files.read(folder / "log") == b"one two"
    with pytest.raises(FileNotFoundError):
        await files.append_to_new(folder / "no" / "a", b"")


async def test_a_file_that_is_replaced_is_another_one(place: Place) -> None:
    files, folder = place
    old = await files.append_to(folder / "log")
    await files.write(folder / "log", b"new")
    await old.append(b"to the old one")
    await old.aclose()
    assert await files.read(folder / "log") == b"new"


async def test_renaming_replaces(place: Place) -> None:
    files, folder = place
    await files.write(folder / "a", b"a")
    await files.write(folder / "b", b"b")
    await files.rename(folder / "a", folder / "b")
    assert await files.list(folder) == ("b",)
    assert await files.read(folder / "b") == b"a"
    with pytest.raises(FileNotFoundError):
        await files.rename(folder / "a", folder / "b")


async def test_removing_what_is_not_there_is_no_error(place: Place) -> None:
    files, folder = place
    await files.write(folder / "a", b"")
    for _ in range(2):
        await files.remove(folder / "a")
        await files.remove_tree(folder / "tree")
    assert not await files.exists(folder / "a")


async def test_folders_and_trees(place: Place) -> None:
    files, folder = place
    for _ in range(2):
        await files.make_folder(folder / "tree" / "branch")
    await files.write(folder / "tree" / "branch" / "leaf", b"")
    assert await files.list(folder / "tree") == ("branch",)
    assert await files.exists(folder / "tree" / "branch")
    await files.remove_tree(folder / "tree")
    assert await files.list(folder) == ()
    assert await files.list(folder / "tree") == ()
    await files.write(folder / "file", b"")
    with pytest.raises(FileExistsError):
        await files.make_folder(folder / "file")


async def test_links_are_followed_and_replaced(place: Place) -> None:
    files, folder = place
    await files.write(folder / "a", b"a")
    await files.link(folder / "link", folder / "nothing")
    assert not await files.exists(folder / "link")
    await files.link(folder / "link", folder / "a")
    assert await files.exists(folder / "link")
    assert await files.read(folder / "link") == b"a"
    await files.remove(folder / "link")
    assert await files.read(folder / "a") == b"a"


async def test_several_files_are_written_and_removed(place: Place) -> None:
    files, folder = place
    await files.make_folder(folder / "sub")
    contents = {folder / "a": b"one", folder / "sub" / "b": b"two"}
    await files.write_all(contents)
    assert {path: await files.read(path) for path in contents} == contents
    await files.write_all({folder / "sub" / "b": b"three"}, by_way_of=folder)
    assert await files.read(folder / "sub" / "b") == b"three"
    assert await files.list(folder) == ("a", "sub")
    await files.write_all({}, by_way_of=folder / "no")
    with pytest.raises(FileNotFoundError):
        await files.write_all({folder / "a": b""}, by_way_of=folder / "no")
    await files.remove_all((*contents, folder / "never"))
    assert await files.list(folder / "sub") == ()
    with pytest.raises(FileNotFoundError):
        await files.write_all({folder / "no" / "a": b""})
