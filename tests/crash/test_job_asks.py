"""A job whose plan was made by another version of Gantry asks a person, and does as it is told."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.conftest import NewCluster
from tests.crash.jobs import Jobs, paths_of
from tests.crash.plain_os import until
from tests.crash.wholeness import assert_whole

from gantry.cli.devcluster.found import processes_of
from gantry.protocols.codec import Json, from_bytes, to_bytes
from gantry.protocols.records import decode_log, encode_record, first_line


def test_a_plan_of_another_version_is_asked_about(new_cluster: NewCluster) -> None:
    cluster = new_cluster("--nodes", "1")
    with Jobs.of(cluster) as jobs:
        going, ending = (jobs.submit({**op.delay(s), "no_locks": True}) for s in (2.0, 600.0))
        journal = paths_of(cluster).data / "queue.journal"
        until(lambda: journal.read_bytes().count(b'"Planned"') == 2)
        made_by_another_version(cluster, journal)
        until(lambda: "waits for a decision" in asked(cluster, ending))
        assert "its steps are of version 7, this version of Gantry makes 1" in asked(cluster, going)
        info = cluster.run("gnt-job", "info", str(ending))
        assert "Waits for a decision" in info
        assert jobs.client.query_jobs([going, ending], ["status"]) == [["running"]] * 2
        refused = cluster.run("gnt-job", "decide", str(ending), "redo", status=1)
        assert "go on with it (skip), or undo it (abort)" in refused
        cluster.run("gnt-job", "decide", str(going), "skip")
        cluster.kill("gantry-luxid")  # what was decided is not asked again
        cluster.run("gnt-job", "decide", str(ending), "abort")
        assert jobs.wait(going).status == "success"
        ended = jobs.wait(ending)
        assert ended.status == "error"
        assert "aborted by decision" in str(ended.results)
        assert_whole(cluster, jobs, instances=0)


def asked(cluster: DevCluster, job: int) -> str:
    shown = cluster.execute("gnt-job", "list").stderr.splitlines()
    return "\n".join(line for line in shown if line.startswith(f"Job {job} "))


def made_by_another_version(cluster: DevCluster, journal: Path) -> None:
    """End LuxiD and the jobs, and have the queue say that their plans are of a later version."""
    cluster.stop("gantry-luxid")
    for process in processes_of(cluster.folder):
        if process.command.startswith("gantry-job"):
            os.kill(process.pid, signal.SIGKILL)
    log = decode_log(journal.read_bytes())
    lines, after = first_line(log.start), log.start
    for record in log.records:
        line, changed = encode_record(after, record.epoch, of_version_7(record.payload))
        lines, after = lines + line, changed.position
    journal.write_bytes(lines)
    for steps in (paths_of(cluster).queue / "steps").glob("job-*"):
        steps.unlink()
    cluster.start("gantry-luxid")


def of_version_7(payload: Json) -> Json:
    """Change the version of a plan that a record may hold."""
    return from_bytes(to_bytes(payload).replace(b'"version":1', b'"version":7'))
