"""What a job tells LuxiD in one piece: all that nobody has to know any sooner."""

from __future__ import annotations

from tests.unit.operations.twin_cluster import TwinCluster, TwinLink, TwinNodeLinks

from gantry.daemons.job.process import JobServer
from gantry.daemons.job.work import Work
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.jobproc import Assignment, Ended, Event, EventNumber, Recorded
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.opcodes.tags import OpTagsSet
from gantry.protocols.opcodes.testing import OpTestDelay
from gantry.protocols.steps import Done, Started
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles


async def first_told(opcode: Opcode) -> list[Event]:
    """Return what a LuxiD hears first that has committed nothing yet."""
    cluster, files = TwinCluster.sample(), MemoryFiles()
    env = memory_environment("node1.gnt.test", files)
    files.put_folder(env.paths.queue)
    wire = (dump_opcode(opcode),)
    job = Assignment(JobId(1), Attempt(1), Epoch(1), "run", wire, 0, (), 0, 0)
    server, links = JobServer(job.job), TwinNodeLinks(cluster.nodes, cluster.wconfd)
    async with open_plain_nursery() as nursery:
        work = Work(env, job, server, TwinLink(cluster.wconfd), links, nursery)
        nursery.start_soon(work.do)
        told = await server.events(EventNumber(0))
        nursery.cancel_scope.cancel()
    return [each.event for each in told]


def records(told: list[Event]) -> list[type]:
    return [type(each.record) for each in told if isinstance(each, Recorded)]


async def test_a_job_that_changes_nothing_is_told_as_a_whole(autojump_clock: object) -> None:
    told = await first_told(OpTestDelay(duration=0.0))
    assert isinstance(told[-1], Ended)
    assert records(told)[-2:] == [Started, Done]


async def test_a_step_that_is_to_be_known_first_is_told_before_it_acts(
    autojump_clock: object,
) -> None:
    tags = OpTagsSet(kind="instance", name="inst1.gnt.test", tags=("a",))
    told = await first_told(tags)
    assert records(told)[-1] is Started
    assert isinstance(told[-1], Recorded)
