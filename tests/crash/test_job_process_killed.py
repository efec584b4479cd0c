"""Jobs are killed, fail, and repeat steps and undos, at a sample of places on real daemons."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import cast

import pytest
from attrs import frozen
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.disturbing import disturb, sample
from tests.crash.jobs import Ended, Jobs, paths_of
from tests.crash.killing import PATIENCE_SECONDS, kill_at
from tests.crash.plain_os import until
from tests.crash.wholeness import assert_verified, assert_whole, configuration_of

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


SEED_VARIABLE = "GANTRY_CRASH_SEED"
SEED = int(os.environ.get(SEED_VARIABLE, "20"))

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def clean(cluster: DevCluster, jobs: Jobs) -> Iterator[None]:
    yield
    for name in ("a", "b"):
        jobs.do(op.remove(name))


def did(cluster: DevCluster, jobs: Jobs, ended: Ended) -> tuple[object, ...]:
    """Return what a job that has succeeded has come to, without the UUIDs that it drew."""
    picture = assert_whole(cluster, jobs)
    return (
        *(ended.results, picture.guests, picture.cluster_tags),
        {
            (each.name, each.node, each.runs, without_uuids(each.disks))
            for each in picture.instances
        },
        without_uuids(picture.disks),
    )


def steps_of(jobs: Jobs, job: int) -> int:
    """Return how many steps a job's one opcode had."""
    [[courses]] = jobs.client.query_jobs([job], ["opsteps"])
    [course] = cast("list[dict[str, list[object]]]", courses)
    return len(course["steps"])


def without_uuids(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(UUID.sub("UUID", path) for path in paths))


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.usefixtures("clean")
def test_disturbed_it_ends_as_if_it_were_not_or_leaves_nothing(
    name: str, cluster: DevCluster, jobs: Jobs
) -> None:
    """What a step that failed has left done may be finished by doing the whole once more."""
    scenario = SCENARIOS[name]
    print(f"seed {SEED} (set {SEED_VARIABLE} for another one)")  # noqa: T201 - to draw it again
    for opcode in scenario.before:
        jobs.succeed(opcode)
    undisturbed = jobs.succeed(scenario.opcode)
    usual = did(cluster, jobs, undisturbed)
    steps, hits = steps_of(jobs, undisturbed.id), 0
    for point in sample(name, SEED):
        for opcode in scenario.again:
            jobs.do(opcode)
        before = assert_whole(cluster, jobs)
        job = jobs.submit(scenario.opcode)
        hit = disturb(cluster, jobs, job, steps, point)
        ended = jobs.wait(job)
        said = (point, hit, ended)
        print(*said)  # noqa: T201 - what was drawn
        hits += hit
        until(lambda: not configuration_of(cluster).leftovers)
        if "nothing was undone" in str(ended.results):
            ended = jobs.succeed(scenario.opcode)
        if ended.status == "success":
            assert did(cluster, jobs, ended) == usual, said
        else:
            assert point.kind in ("failing step", "repeated undo"), said
            assert assert_whole(cluster, jobs) == before, said
            jobs.succeed(scenario.opcode)
    assert hits
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
