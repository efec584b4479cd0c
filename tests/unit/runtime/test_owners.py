"""Whose the files are that root writes: the table, and that each way of writing goes by it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gantry.runtime import owners as module
from gantry.runtime.commit_mark import CONFIG_MARK
from gantry.runtime.files import RealFiles
from gantry.runtime.owners import Owner, named_owner, owners_on
from gantry.runtime.paths import Paths
from gantry.security.pem_files import AUTHORITY_KEY, CLIENT_PEM, HMAC_KEY, RAPI_PEM, SERVER_PEM

TMPFILES = Path(__file__).parents[3] / "systemd/gantry.tmpfiles.conf"
DATA = "/var/lib/ganeti"


def test_the_table_says_what_is_put_right_at_each_start() -> None:
    lines = [line.split() for line in TMPFILES.read_text().splitlines() if DATA in line]
    assert len(lines) > 10
    for _, path, _, user, group in lines:
        relative = os.path.relpath(path, DATA)
        assert named_owner(relative.replace("*", "x")) == (user, group), path


def test_secrets_are_for_those_who_use_them() -> None:
    masters = ("gnt-masterd", "gnt-masterd")
    assert [named_owner(name) for name in (SERVER_PEM, CLIENT_PEM, AUTHORITY_KEY)] == [masters] * 3
    assert named_owner(HMAC_KEY) == ("gnt-confd", "gnt-masterd")
    assert named_owner(RAPI_PEM) == ("gnt-rapi", "gnt-masterd")
    assert named_owner("queue/archive/0/job-7") == ("gnt-masterd", "gnt-daemons")
    assert named_owner(CONFIG_MARK) == ("gnt-masterd", "gnt-confd")
    assert named_owner("ssconf_node_list") is None
    assert named_owner("node-keys.log") is None


def test_where_the_users_are_not_known_nothing_is_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TABLE", (("config.data", "gnt-nobody-knows", "gnt-this"),))
    module._numbers.cache_clear()
    paths = Paths(tmp_path, tmp_path)
    assert owners_on(paths)(paths.config) is None
    module._numbers.cache_clear()


async def test_each_way_of_writing_gives_the_file_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Owner] = []
    monkeypatch.setattr(os, "fchown", lambda _fd, user, group: given.append((user, group)))
    monkeypatch.setattr(os, "chown", lambda _path, user, group: given.append((user, group)))
    files = RealFiles(owners=lambda path: (len(path.name), 7) if path.name != "own" else None)
    await files.write(tmp_path / "a", b"")
    await files.write_all({tmp_path / "aa": b"", tmp_path / "own": b""})
    await files.overwrite(tmp_path / "aaa", b"")
    for path in (tmp_path / "aaaa", tmp_path / "aaaa"):  # the second time it is there
        await (await files.append_to(path)).aclose()
    await (await files.append_to_new(tmp_path / "aaaaa", b"x")).aclose()
    for path in (tmp_path / "aaaaaa", tmp_path / "aaaaaa"):
        await files.make_folder(path)
    assert given == [(length, 7) for length in range(1, 7)]
