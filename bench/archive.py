"""What a long history of archived jobs costs: a start, a list, the history itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from bench.accounting import memory, programs, usage
from bench.figures import Figure, Section
from bench.jobs import NOTHING, luxi, run_job_ms, settle
from tests.cluster.development import DevCluster

from gantry.runtime.job_archive import FOLDER_JOBS

HISTORY: Final = 100_000
LUXID: Final = "gantry-luxid"


def history(cluster: DevCluster) -> Section:
    """Measure LuxiD without archived jobs and with many."""
    queue = cluster.master.root / "var/lib/ganeti/queue"
    with luxi(cluster) as client:
        run_job_ms(client, NOTHING)
        (model,) = cast("list[list[int]]", client.call("QueryJobs", None, ["id"]))[-1:]
        client.call("ArchiveJob", model[0])
    settle(cluster)
    figures = [*_at(cluster, 1)]
    _write(queue / "archive", model[0])
    try:
        figures += [*_at(cluster, HISTORY), *_whole(cluster)]
    finally:
        shutil.rmtree(queue / "archive")
        (queue / "archive").mkdir()
    return Section(
        "A history of archived jobs",
        f"LuxiD with one archived job and with {HISTORY}, whose files were put into the archive "
        "behind its back. Of the processor time of a start most is the interpreter's own.",
        tuple(figures),
    )


def _write(archive: Path, model: int) -> None:
    """Fill the archive with links to a job's file, under ids that no job has yet."""
    source = archive / str(model // FOLDER_JOBS) / f"job-{model}"
    for first in range(10 * FOLDER_JOBS, 10 * FOLDER_JOBS + HISTORY, FOLDER_JOBS):
        folder = archive / str(first // FOLDER_JOBS)
        folder.mkdir(exist_ok=True)
        copy = folder / f"job-{first}"  # a file has only so many links
        shutil.copy(source, copy)
        for number in range(first + 1, first + FOLDER_JOBS):
            (folder / f"job-{number}").hardlink_to(copy)


def _at(cluster: DevCluster, archived: int) -> Iterator[Figure]:
    cluster.stop(LUXID)
    cluster.start(LUXID)
    pid = dict(programs(cluster.folder))[LUXID]
    with luxi(cluster) as client:
        client.call("QueryJobs", None, ["id", "status"])
        start, resident = usage(pid).cpu_seconds * 1000, memory(pid).rss_mib
        began = time.perf_counter()
        client.call("QueryJobs", None, ["id", "status"])
        listed = (time.perf_counter() - began) * 1000
    yield Figure(f"{archived} archived: processor time of a start", start, "ms")
    yield Figure(f"{archived} archived: resident memory after a start", resident, "MiB")
    yield Figure(f"{archived} archived: list of the jobs in the queue", listed, "ms")


def _whole(cluster: DevCluster) -> Iterator[Figure]:
    pid = dict(programs(cluster.folder))[LUXID]
    before = memory(pid).rss_mib
    with luxi(cluster) as client:
        began = time.perf_counter()
        rows = cast("list[object]", client.call("QueryJobs", None, ["id", "status", "archived"]))
        took = time.perf_counter() - began
    if len(rows) < HISTORY:
        raise ValueError(f"only {len(rows)} jobs of {HISTORY} are shown")
    yield Figure(f"the whole history of {HISTORY} jobs is shown in", took, "s")
    yield Figure("resident memory after that, more", memory(pid).rss_mib - before, "MiB")
