"""Secret OS parameters reach the script, and no file, log or command line, whatever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Jobs, paths_of
from tests.crash.plain_os import SCRIPTS, hold_first_create, install_plain_os
from tests.crash.wholeness import assert_whole

from gantry.cli.devcluster.found import processes_of
from gantry.cli.luxi import Opcode

SECRET = "xyzzy-plugh-42"
PRIVATE = "plover-17"
"""Private parameters are kept in the configuration, but out of the logs."""

CHUNK_BYTES = 1 << 20


def add_with_secret(name: str, node: str = "node2") -> Opcode:
    return op.add(name, node, osparams_secret={"secret_word": SECRET})


@pytest.fixture
def heard(cluster: DevCluster, tmp_path: Path) -> Iterator[Path]:
    """Where the script leaves a mark if it was told the secret."""
    mark = tmp_path / "heard"
    test = f'if [ "$OSP_SECRET_WORD" = {SECRET[:5]}"-plugh-42" ]; then touch {mark}; fi'
    install_plain_os(cluster, create=f"{test}\n{SCRIPTS['create']}")
    yield mark
    install_plain_os(cluster)


def assert_hidden(cluster: DevCluster) -> None:
    """Look into every file of every node and at every process of the cluster."""
    needle = SECRET.encode()
    layout = cluster.layout
    for folder in (layout.folder, layout.run_folder):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert not holds(path, needle), path
    for process in processes_of(layout.folder):
        assert SECRET not in process.command
        with suppress(FileNotFoundError, ProcessLookupError):
            assert needle not in Path(f"/proc/{process.pid}/environ").read_bytes()


def holds(path: Path, needle: bytes) -> bool:
    kept = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                if needle in kept + chunk:
                    return True
                kept = chunk[-len(needle) :]
    except FileNotFoundError:
        pass  # a log that was moved aside, a job's file that was removed
    return False


def test_it_is_told_and_nowhere_else(cluster: DevCluster, jobs: Jobs, heard: Path) -> None:
    option, private = f"secret_word={SECRET}", f"word={PRIVATE}"
    arguments = ["-n", op.full("node2"), "-o", "plain", "-t", "sharedfile", "-s", "1m"]
    cluster.run(
        *["gnt-instance", "add", *arguments, "--no-nics", "--no-name-check", "--no-ip-check"],
        *["--os-parameters-secret", option, "--os-parameters-private", private, op.full("a")],
    )
    assert heard.exists()
    assert_hidden(cluster)
    logs = [paths_of(cluster, node.name).logs for node in cluster.layout.nodes]
    for folder in (cluster.folder / "logs", *logs):
        assert not any(holds(path, PRIVATE.encode()) for path in folder.rglob("*.log"))
    jobs.succeed(op.remove("a"))


def test_a_failing_script_does_not_make_it_public(cluster: DevCluster, jobs: Jobs) -> None:
    install_plain_os(cluster, create="echo no; exit 3")
    assert jobs.do(add_with_secret("a")).status == "error"
    install_plain_os(cluster)
    assert_hidden(cluster)
    assert_whole(cluster, jobs, instances=0)


@pytest.mark.parametrize("program", ["gantry-luxid", "gantry-wconfd", "gantry-noded", "gantry-job"])
def test_whatever_dies(program: str, cluster: DevCluster, jobs: Jobs, tmp_path: Path) -> None:
    script = hold_first_create(cluster, tmp_path)
    job = jobs.submit(add_with_secret("a"))
    pid = script.pid()
    assert_hidden(cluster)
    if program == "gantry-job":
        [process] = [p for p in processes_of(cluster.folder) if p.command.startswith(program)]
        os.kill(process.pid, signal.SIGKILL)
    else:
        cluster.kill(program, "node2" if program == "gantry-noded" else "node1")
    if program != "gantry-noded":
        os.kill(pid, signal.SIGKILL)  # the script fails, and the job is undone
    ended = jobs.wait(job)
    script.assert_ended()
    assert_hidden(cluster)
    if ended.status == "success":
        jobs.succeed(op.remove("a"))
    install_plain_os(cluster)


def test_a_job_that_lost_it_does_nothing(cluster: DevCluster, jobs: Jobs, heard: Path) -> None:
    first = jobs.submit(op.delay(0.5))
    job = jobs.submit({**add_with_secret("a"), "depends": [[first, []]]})
    cluster.kill("gantry-luxid")
    ended = jobs.wait(job)
    assert ended.status == "error"
    assert "secret_word" in str(ended.results)
    assert not heard.exists()
    assert_hidden(cluster)
    assert_whole(cluster, jobs, instances=0)
