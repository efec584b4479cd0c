"""Fixtures: a node's root directory, a LuxiD behind it, and commands run in this process."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.fake_luxid import Command, Ended, FakeLuxid, Sample, query_from

from gantry.cli.command import Program
from gantry.cli.program import run

FACTS = Path(__file__).parents[2] / "facts"


@pytest.fixture
def cluster_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node's root directory, as on a master, with nothing that listens."""
    root = tmp_path / "node1"
    (root / "var/run/ganeti/socket").mkdir(parents=True)
    (root / "var/lib/ganeti").mkdir(parents=True)
    (root / "var/lib/ganeti/ssconf_cluster_name").write_text("cluster.gnt.test\n")
    (root / "var/lib/ganeti/ssconf_master_node").write_text("node1\n")
    monkeypatch.setenv("GANTRY_ROOT", str(root))
    for name in ("GANETI_HOSTNAME", "GANTRY_DEBUG", "NO_COLOR", "GNT_INSTANCE_LIST"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def luxid(cluster_root: Path) -> Iterator[FakeLuxid]:
    """A LuxiD in a short directory, linked from where clients look."""
    folder = tempfile.mkdtemp(prefix="gantry-cli-")
    server = FakeLuxid(f"{folder}/query")
    (cluster_root / "var/run/ganeti/socket/ganeti-query").symlink_to(server.path)
    yield server
    server.close()
    shutil.rmtree(folder)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC, as where the samples were taken."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a program in this process: ``command(PROGRAM, "list", "-o", "name")``."""
    null = os.open(os.devnull, os.O_RDONLY)

    def run_it(program: Program, *words: str) -> Ended:
        with open(null, closefd=False) as nothing:
            monkeypatch.setattr("sys.stdin", nothing)
            code = run(program, list(words))
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run_it


@pytest.fixture
def luxi_samples() -> dict[str, Sample]:
    """Real requests and answers, by name."""
    samples = json.loads((FACTS / "samples/luxi.json").read_text())
    return {each["name"]: each for each in samples}


@pytest.fixture
def printed() -> dict[str, Sample]:
    """What Ganeti's commands printed, by command line."""
    samples = json.loads((FACTS / "samples/cli.json").read_text())
    return {each["cmd"]: each for each in samples}


@pytest.fixture
def sampled_queries(luxid: FakeLuxid, luxi_samples: dict[str, Sample]) -> FakeLuxid:
    """A LuxiD with the instances, nodes and jobs of the samples."""
    by_resource = {
        what: query_from(luxi_samples[f"query_all_fields_{what}"])
        for what in ("instance", "node", "job", "lock")
    }
    luxid.answers["Query"] = lambda arguments: by_resource[str(arguments[0])](arguments)
    return luxid
