"""A record in the middle of a journal is damaged: said loudly and where; nothing is overwritten."""

from __future__ import annotations

import os
import signal

import pytest
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Jobs, paths_of
from tests.crash.killing import no_restarts
from tests.crash.wholeness import assert_whole

from gantry.cli.devcluster.control import StartFailed

JOURNALS = {
    "config.log": "gantry-wconfd",
    "locks.log": "gantry-wconfd",
    "queue.journal": "gantry-luxid",
    "node-keys.log": "gantry-noded",
}


def damaged(journal: bytes) -> bytes:
    """Change a byte in the middle of a journal."""
    lines = journal.splitlines(keepends=True)
    number = len(lines) // 2
    assert 0 < number < len(lines) - 1, "too few records"
    middle = len(lines[number]) // 2
    lines[number] = lines[number][:middle] + b"~" + lines[number][middle + 1 :]
    return b"".join(lines)


@pytest.mark.parametrize("name", JOURNALS)
def test_it_does_not_start(name: str, cluster: DevCluster, jobs: Jobs) -> None:
    jobs.succeed(op.add("a", "node1"), op.tag("a", "kept"))
    before = assert_whole(cluster, jobs, instances=1)
    program, data = JOURNALS[name], paths_of(cluster).data
    pid = cluster.pid(program)
    with no_restarts(cluster):  # an orderly stop would leave few records
        os.kill(pid, signal.SIGKILL)
        kept = (data / name).read_bytes()
        broken = damaged(kept)
        (data / name).write_bytes(broken)
    cluster.stop(program)
    with pytest.raises(StartFailed) as failure:
        cluster.start(program)
    said = "\n".join(failure.value.last_lines)
    assert name in said
    assert "record" in said
    assert "Traceback" not in said
    assert (data / name).read_bytes() == broken
    (data / name).write_bytes(kept)
    cluster.start(program)
    assert assert_whole(cluster, jobs, instances=1) == before
    jobs.succeed(op.remove("a"))
