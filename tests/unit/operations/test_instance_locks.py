"""Which operations on one node go on at the same time, and which wait for each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.test_every_operation import NEW, create

from gantry.core.locking import waiting
from gantry.core.locking.waiting import Locks
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.locks import Granted, LockOwner, LockRequest
from gantry.protocols.opcodes.instance import OpInstanceRemove
from gantry.protocols.opcodes.node import OpNodeSetParams
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.verification import OpClusterVerifyGroup

OTHER = "other.gnt.test"


async def locks_of(bench: JobBench, opcode: Opcode) -> tuple[LockRequest, ...]:
    """Run a job and return the locks that it took."""
    before = len(bench.cluster.wconfd.granted)
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "success"}, ran.results
    return tuple(bench.cluster.wconfd.granted[before:])


def go_together(one: tuple[LockRequest, ...], other: tuple[LockRequest, ...]) -> bool:
    locks = Locks()
    for job, requests in ((1, one), (2, other)):
        owner = LockOwner(JobId(job), Attempt(1))
        locks, _, answer = waiting.request(locks, owner, requests, 0)
        if not isinstance(answer, Granted):
            return False
    return True


@pytest.fixture
def bench(tmp_path: Path) -> JobBench:
    return JobBench(tmp_path)


async def test_what_takes_nothing_of_a_node_goes_on_beside_all_others(bench: JobBench) -> None:
    bare = create("diskless", disks=(), no_install=True, start=False)
    one = await locks_of(bench, bare)
    gone = await locks_of(bench, OpInstanceRemove(instance_name=NEW, shutdown_timeout=0))
    bigger = create(instance_name=OTHER, start=False)
    other = await locks_of(bench, bigger)
    assert go_together(one, other)
    assert go_together(gone, other)
    assert not go_together(one, one)  # the same name


async def test_what_takes_of_a_nodes_resources_waits_for_each_other(bench: JobBench) -> None:
    started = await locks_of(bench, create("diskless", disks=(), no_install=True, start=True))
    stored = await locks_of(bench, create(instance_name=OTHER, start=False))
    gone = await locks_of(bench, OpInstanceRemove(instance_name=OTHER, shutdown_timeout=0))
    assert not go_together(started, stored)
    assert not go_together(started, gone)


async def test_a_node_that_is_used_stays_as_it_is_and_is_not_verified_meanwhile(
    bench: JobBench,
) -> None:
    stored = await locks_of(bench, create(start=False))
    changed = await locks_of(bench, OpNodeSetParams(node_name="node1.gnt.test", drained=False))
    verified = await locks_of(bench, OpClusterVerifyGroup(group_name="default"))
    assert not go_together(stored, changed)
    assert not go_together(stored, verified)
    assert go_together(verified, verified)
