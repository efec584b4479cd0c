"""The layer contracts bite: with a breach of each planted in a copy, each is reported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import pytest
from tests.unit.house.source_tree import REPOSITORY, SOURCE_ROOTS

BREACHES: Final[Mapping[str, Mapping[str, str]]] = {
    "the three floors": {"lib/gantry/core/planted.py": "import gantry.runtime.paths"},
    "a daemon never": {"daemons/gantry/daemons/wconfd/planted.py": "import gantry.daemons.noded"},
    "the core and": {"protocols/gantry/protocols/planted.py": "import socket"},
    "operations decide": {"lib/gantry/operations/planted.py": "import trio"},
    "the command line": {"lib/gantry/cli/gnt_job/planted.py": "import gantry.runtime.rpc"},
    "what is made": {"lib/gantry/cli/planted.py": "import gantry.runtime.testing.files"},
    "siblings make": {
        "lib/gantry/core/query/planted.py": "import gantry.core.config.planted",
        "lib/gantry/core/config/planted.py": "import gantry.core.query.planted",
    },
}
"""By the beginning of a contract's name: which modules are planted, and what they say."""


def contracts() -> list[str]:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    table = cast("list[dict[str, str]]", settings["tool"]["importlinter"]["contracts"])
    return [contract["name"] for contract in table]


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy of the source in which every contract is broken."""
    copy = tmp_path_factory.mktemp("copy")
    for root in SOURCE_ROOTS:
        shutil.copytree(REPOSITORY / root, copy / root, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(REPOSITORY / "pyproject.toml", copy)
    for planted in BREACHES.values():
        for path, text in planted.items():
            (copy / path).write_text(text)
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": ":".join(str(copy / root) for root in SOURCE_ROOTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("contract", contracts())
def test_a_breach_of_each_contract_is_reported(contract: str, verdict: str) -> None:
    assert any(contract.startswith(beginning) for beginning in BREACHES), "plant a breach of it"
    assert f"{contract} BROKEN" in verdict
