"""The contract of Files.watch, for the real files (both ways) and those in memory."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from typing_extensions import override

from gantry.runtime import file_watch
from gantry.runtime.environment import FileChanges, Files
from gantry.runtime.file_watch import PolledChanges, look, watching
from gantry.runtime.files import RealFiles
from gantry.runtime.testing.files import MemoryFiles


class PollingFiles(RealFiles):
    """As where inotify is refused."""

    @override
    def watch(self, *paths: Path) -> AbstractAsyncContextManager[FileChanges]:
        return polling(paths)


@asynccontextmanager
async def polling(paths: tuple[Path, ...]) -> AsyncIterator[FileChanges]:
    yield PolledChanges(paths, look(paths))


@pytest.fixture(params=[RealFiles, PollingFiles, MemoryFiles])
def files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(file_watch, "POLL_SECONDS", 0.01)
    made: Files = request.param()
    return made


async def heard(changes: FileChanges) -> None:
    with trio.fail_after(10):
        await changes.wait()


async def test_a_file_comes_changes_and_goes(files: Files, tmp_path: Path) -> None:
    await files.make_folder(tmp_path)
    path = tmp_path / "users"
    async with files.watch(path) as changes:
        await files.write(path, b"one")
        await heard(changes)
        await files.write(path, b"two")
        await heard(changes)
        await files.rename(path, tmp_path / "other")
        await heard(changes)
        await files.rename(tmp_path / "other", path)
        await heard(changes)
        await files.remove(path)
        await heard(changes)


async def test_any_of_several_files_counts(files: Files, tmp_path: Path) -> None:
    await files.make_folder(tmp_path / "below")
    first, second = tmp_path / "first", tmp_path / "below" / "second"
    async with files.watch(first, second) as changes:
        await files.write(second, b"")
        await heard(changes)
        await files.write(first, b"")
        await heard(changes)


async def test_a_change_before_the_wait_is_not_missed(files: Files, tmp_path: Path) -> None:
    await files.make_folder(tmp_path)
    async with files.watch(tmp_path / "users") as changes:
        await files.write(tmp_path / "users", b"one")
        assert await files.read(tmp_path / "users") == b"one"
        await heard(changes)


async def test_the_folder_may_come_later_and_be_replaced(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "users"
    async with files.watch(path) as changes:
        for content in (b"one", b"two"):
            await files.make_folder(path.parent)
            await files.write(path, content)
            with trio.fail_after(10):
                while not await files.exists(path) or await files.read(path) != content:
                    await changes.wait()
            await heard(changes)  # what made the folder, or the file in it
            await files.remove_tree(tmp_path / "a")
            await heard(changes)


async def test_other_files_do_not_wake(tmp_path: Path) -> None:
    woken = False

    async def listen(changes: FileChanges) -> None:
        nonlocal woken
        await changes.wait()
        woken = True

    async with watching((tmp_path / "users",)) as changes, trio.open_nursery() as nursery:
        nursery.start_soon(listen, changes)
        await RealFiles().write(tmp_path / "neighbour", b"")
        await trio.testing.wait_all_tasks_blocked()
        assert not woken
        nursery.cancel_scope.cancel()


async def test_where_inotify_is_refused_files_are_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_result: int) -> int:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(file_watch, "_checked", refused)
    async with watching((tmp_path / "users",)) as changes:
        assert isinstance(changes, PolledChanges)
