"""What a cancelled or killed job is having done on a node ends there, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Jobs
from tests.crash.killing import wait_for_call
from tests.crash.plain_os import hold_first_create, install_plain_os


@pytest.mark.parametrize("how", [(), ("--kill",)], ids=["cancelled", "killed"])
def test_a_script_ends_with_its_job(
    cluster: DevCluster, jobs: Jobs, tmp_path: Path, how: tuple[str, ...]
) -> None:
    script = hold_first_create(cluster, tmp_path)
    job = jobs.submit(op.add("inst1"))
    script.pid()
    cluster.execute("gnt-job", "cancel", "--yes-do-it", *how, str(job))
    assert jobs.wait(job).status == "canceled"
    script.assert_ended()
    install_plain_os(cluster)
    jobs.succeed(op.add("inst1"))
    jobs.succeed(op.remove("inst1"))


@pytest.mark.parametrize("how", [(), ("--kill",)], ids=["cancelled", "killed"])
def test_so_does_a_wait_that_nothing_would_undo(
    cluster: DevCluster, jobs: Jobs, how: tuple[str, ...]
) -> None:
    job = jobs.submit(op.delay(3600.0, "node2"))
    wait_for_call(cluster, "node2", job, 0)
    cluster.execute("gnt-job", "cancel", "--yes-do-it", *how, str(job))
    assert jobs.wait(job).status == "canceled"
    jobs.succeed(op.delay(0.0, "node2"))
