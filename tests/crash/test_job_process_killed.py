"""SIGKILL of a job's process after each record of its step journal: it goes on to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from attrs import frozen
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Jobs, paths_of
from tests.crash.killing import PATIENCE_SECONDS, kill_at
from tests.crash.wholeness import assert_verified, assert_whole

from gantry.cli.luxi import Opcode
from gantry.core.keys import KeyBook, apply, load_record
from gantry.core.queue.attempts import DEATHS_MAX
from gantry.protocols.identity import JobId
from gantry.protocols.records import decode_log


@frozen
class Scenario:
    """An operation, and how to get back to where it can be done again."""

    before: tuple[Opcode, ...]
    opcode: Opcode
    again: tuple[Opcode, ...]


SCENARIOS = {
    "add": Scenario((), op.add("a"), (op.remove("a"),)),
    "remove": Scenario((op.add("a"),), op.remove("a"), (op.add("a"),)),
    "startup": Scenario((op.add("a", start=False),), op.start("a"), (op.stop("a"),)),
    "rename": Scenario((op.add("a", start=False),), op.rename("a", "b"), (op.rename("b", "a"),)),
    "migrate": Scenario((op.add("a"),), op.migrate("a", "node3"), (op.migrate("a", "node2"),)),
}


@pytest.fixture
def clean(cluster: DevCluster, jobs: Jobs) -> Iterator[None]:
    yield
    for name in ("a", "b"):
        jobs.do(op.remove(name))


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.usefixtures("clean")
def test_killed_after_each_record(name: str, cluster: DevCluster, jobs: Jobs) -> None:
    scenario = SCENARIOS[name]
    for opcode in scenario.before:
        jobs.succeed(opcode)
    before = assert_whole(cluster, jobs)
    killed_at: list[int] = []
    for records in range(0, 100, 2):
        job = jobs.submit(scenario.opcode)
        found = kill_at(cluster, job, records)
        ended = jobs.wait(job)
        assert ended.status == "success", (records, ended)
        assert assert_whole(cluster, jobs) != before
        for opcode in scenario.again:
            jobs.succeed(opcode)
        before = assert_whole(cluster, jobs)
        if found is None:
            break
        killed_at.append(found)
    else:
        pytest.fail("it never came to its end")
    assert len(killed_at) > 2
    assert_verified(cluster)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("records", [5, 8])
def test_killed_again_and_again_it_is_undone(records: int, cluster: DevCluster, jobs: Jobs) -> None:
    """Three deaths are enough, and a fourth one while it is undone changes nothing."""
    before = assert_whole(cluster, jobs)
    job = jobs.submit(op.add("a"))
    found: int | None = records
    for _ in range(DEATHS_MAX + 1):
        if found is not None:
            found = kill_at(cluster, job, found)
    ended = jobs.wait(job)
    after = assert_whole(cluster, jobs)
    assert (after == before) == (ended.status != "success"), ended


def test_nodes_remember_no_job_that_is_over(cluster: DevCluster, jobs: Jobs) -> None:
    opcodes = (op.add("a"), op.migrate("a", "node3"), op.remove("a"))
    ended = {jobs.succeed(opcode).id for opcode in opcodes}
    assert_whole(cluster, jobs, instances=0)
    for node in cluster.layout.nodes:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while ended & remembered(cluster, node.name):
            assert time.monotonic() < deadline


def remembered(cluster: DevCluster, node: str) -> set[JobId]:
    """Return the jobs whose keys a node has."""
    book = KeyBook()
    journal = paths_of(cluster, node).data / "node-keys.log"
    for record in decode_log(journal.read_bytes()).records:
        book = apply(book, load_record(record.payload))
    return {*book.jobs}
