"""Jobs that do nothing: how long one takes, and how many there are in a second."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from bench.accounting import Usage, programs, spent, usage_by_program
from bench.figures import Figure, Section, median_and_p90
from tests.cluster.development import DevCluster

from gantry.cli.luxi import LuxiClient, Opcode
from gantry.cli.socket_address import luxi_address

JOBS: Final = 100
JOBS_AT_ONCE: Final = 200
JOBS_IN_A_CROWD: Final = 5000
JOBS_TRACED: Final = 20
WARM_UP: Final = 10

LATENCY_MS_TARGET: Final = 15.0
CPU_MS_TARGET: Final = 15.0
RATE_TARGET: Final = 100.0

FINAL: Final = ("success", "error", "canceled")
WAIT_SECONDS: Final = 60

NOTHING: Final[Opcode] = {"OP_ID": "OP_TEST_DELAY", "duration": 0.0, "reason": []}
"""A job that does nothing, under the lock of the master's node."""
NOTHING_UNLOCKED: Final[Opcode] = {**NOTHING, "no_locks": True}


class JobFailed(Exception):
    """A job that was to be measured ended otherwise than with success."""


@contextmanager
def luxi(cluster: DevCluster) -> Iterator[LuxiClient]:
    """Open a LUXI connection to the master."""
    client = LuxiClient(luxi_address(str(cluster.master.root)))
    try:
        yield client
    finally:
        client.close()


def submit(client: LuxiClient, *opcodes: Opcode) -> int:
    """Submit a job and return its id."""
    return cast(int, client.call("SubmitJob", list(opcodes)))


def wait(client: LuxiClient, job: int) -> None:
    """Wait for a job to succeed, as a client does that only wants to know its end.

    Raises:
        JobFailed: it ended otherwise.
    """
    known: list[object] | None = None
    serial = 0  # of the last log entry that is known
    while known is None or known[0] not in FINAL:
        change = client.call("WaitForJobChange", job, ["status"], known, serial, WAIT_SECONDS)
        known, log = cast("tuple[list[object], list[list[int]]]", change)
        serial = max([serial, *(entry[0] for entry in log)])
    if known[0] != "success":
        raise JobFailed(f"job {job} ended as {known[0]}")


def run_job_ms(client: LuxiClient, *opcodes: Opcode) -> float:
    """Submit a job, wait for its success, and return how long that took in milliseconds."""
    began = time.perf_counter()
    wait(client, submit(client, *opcodes))
    return (time.perf_counter() - began) * 1000


def settle(cluster: DevCluster) -> None:
    """Wait until no job process is left, so that all its costs are in the books."""
    while any(program == "gantry-job" for program, _ in programs(cluster.folder)):
        time.sleep(0.05)


def _nodes(cluster: DevCluster) -> str:
    count = len(cluster.layout.nodes)
    return f"{count} node" + "s" * (count > 1)


def latency(cluster: DevCluster, *, with_target: bool) -> Section:
    """Measure one job after the other, and what each costs."""
    with luxi(cluster) as client:
        for _ in range(WARM_UP):
            run_job_ms(client, NOTHING)
        settle(cluster)
        before = usage_by_program(cluster.folder)
        times = [run_job_ms(client, NOTHING) for _ in range(JOBS)]
        settle(cluster)
        used = spent(before, usage_by_program(cluster.folder))
    return Section(
        f"One job at a time ({_nodes(cluster)})",
        f"{JOBS} no-op jobs (OP_TEST_DELAY of 0 s) one after the other: SubmitJob, then "
        "WaitForJobChange until success, on a LUXI connection that is kept. What they cost is all "
        "daemons' together; what a job process costs stands in the fork server's books.",
        (
            *median_and_p90(
                "from submission to success", times, _target(LATENCY_MS_TARGET, with_target)
            ),
            *_costs(used, _target(CPU_MS_TARGET, with_target)),
        ),
    )


def _target(value: float, wanted: bool) -> float | None:  # noqa: FBT001 - read beside its value
    return value if wanted else None


def _costs(used: dict[str, Usage], below: float | None) -> Iterator[Figure]:
    total = sum(used.values(), Usage())
    yield Figure("processor time for a job", total.cpu_seconds * 1000 / JOBS, "ms", below=below)
    for program, each in sorted(used.items()):
        if each.cpu_seconds * 1000 / JOBS >= 0.05:
            yield Figure(f"- of {program}", each.cpu_seconds * 1000 / JOBS, "ms")
    yield Figure("bytes sent to the disk for a job", total.bytes_written / JOBS / 1024, "KiB")


def rate(cluster: DevCluster, *, with_target: bool) -> Section:
    """Measure many jobs that are submitted at once."""
    return Section(
        f"{JOBS_AT_ONCE} jobs at once ({_nodes(cluster)})",
        "SubmitManyJobs, then waiting until the last one has succeeded; the median of three runs. "
        "Those with a lock all want the same one, so that they come one after the other.",
        (
            *_rates(cluster, NOTHING_UNLOCKED, "without locks", 3, with_target=with_target),
            *_rates(cluster, NOTHING, "with one lock each", 3, with_target=with_target),
        ),
    )


def crowd(cluster: DevCluster) -> Section:
    """Measure thousands of jobs that are submitted at once."""
    return Section(
        f"{JOBS_IN_A_CROWD} jobs at once ({_nodes(cluster)})",
        "As above, once.",
        (
            *_rates(cluster, NOTHING_UNLOCKED, "without locks", 1, JOBS_IN_A_CROWD),
            *_rates(cluster, NOTHING, "with one lock each", 1, JOBS_IN_A_CROWD),
        ),
    )


def _rates(
    cluster: DevCluster,
    opcode: Opcode,
    how: str,
    runs: int,
    count: int = JOBS_AT_ONCE,
    *,
    with_target: bool = True,
) -> Iterator[Figure]:
    before = usage_by_program(cluster.folder)
    with luxi(cluster) as client:
        rates = [count / run_jobs_seconds(client, [[opcode]] * count) for _ in range(runs)]
    settle(cluster)
    used = sum(spent(before, usage_by_program(cluster.folder)).values(), Usage())
    target = _target(RATE_TARGET, with_target)
    yield Figure(f"{how}: jobs in a second", statistics.median(rates), "", above=target)
    cpu = used.cpu_seconds * 1000 / runs / count
    yield Figure(f"{how}: processor time for a job", cpu, "ms")


def run_jobs_seconds(client: LuxiClient, jobs: Sequence[Sequence[Opcode]]) -> float:
    """Submit jobs at once, wait until all have succeeded, and return how long that took.

    Raises:
        JobFailed: one was refused or ended otherwise.
    """
    began = time.perf_counter()
    answers = client.call("SubmitManyJobs", [list(job) for job in jobs])
    ids = [job for _, job in cast("list[tuple[bool, int]]", answers)]
    waiting = ids
    while waiting:  # the last one first: when it is over, so are nearly all others
        wait(client, waiting[-1])
        statuses = cast("list[list[str]]", client.call("QueryJobs", waiting, ["status"]))
        waiting = [
            job for job, (status,) in zip(waiting, statuses, strict=True) if not _over(job, status)
        ]
    return time.perf_counter() - began


def _over(job: int, status: str) -> bool:
    if status in FINAL and status != "success":
        raise JobFailed(f"job {job} ended as {status}")
    return status == "success"


def flushes(cluster: DevCluster) -> Section:
    """Count the system calls that flush, in a run of its own: tracing slows everything down."""
    title = f"Flushes ({_nodes(cluster)})"
    if shutil.which("strace") is None:
        return Section(title, "Not counted: strace is not installed.", ())
    settle(cluster)
    counts = cluster.folder / "flushes"
    command = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", str(counts)]
    pids = [str(pid) for _, pid in programs(cluster.folder)]
    for pid in pids:
        command += ["-p", pid]
    with luxi(cluster) as client:
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            _wait_for_tracer(tracer, pids)
            for _ in range(JOBS_TRACED):
                run_job_ms(client, NOTHING)
            settle(cluster)
            time.sleep(2)  # the files that are written behind
        finally:
            tracer.terminate()
            tracer.communicate()
    return Section(
        title,
        f"System calls of all daemons and job processes for each of {JOBS_TRACED} no-op jobs, "
        "traced. Concurrent jobs share flushes.",
        tuple(_counted(counts)),
    )


def _wait_for_tracer(tracer: subprocess.Popen[bytes], pids: list[str]) -> None:
    """Wait until every process is traced."""
    while tracer.poll() is None:
        states = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
        if all("TracerPid:\t0" not in state for state in states):
            return
        time.sleep(0.05)


def _counted(summary: Path) -> Iterator[Figure]:
    for line in summary.read_text().splitlines():
        words = line.split()
        if words and words[-1] in ("fsync", "fdatasync"):
            yield Figure(f"{words[-1]} for a job", int(words[3]) / JOBS_TRACED, "")
