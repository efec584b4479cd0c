"""A cancelled job does not wait for what nodes are doing for it: they are told to stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from attrs import evolve
from tests.unit.operations import job_bench
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.test_every_operation import FAILOVER, MIGRATE, NEW, create
from tests.unit.operations.twin_cluster import TwinNode, TwinNodeLinks
from trio.testing import wait_all_tasks_blocked

from gantry.daemons.job.outbox import Outbox
from gantry.daemons.job.process import JobServer
from gantry.operations.test import delay
from gantry.protocols.identity import DiskUuid, JobId, NodeUuid
from gantry.protocols.noded import call
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.instance import OpInstanceShutdown
from gantry.protocols.opcodes.node import OpNodeCleanUp
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.testing import OpTestDelay
from gantry.protocols.runtime_types import DiskSpec
from gantry.protocols.steps import NodeCall, Step

DELAY = OpTestDelay(duration=1.0, on_master=False, on_nodes=("node2.gnt.test",))


class Hanging:
    """A call that does not end; the job is cancelled as soon as it has begun."""

    def __init__(self, patch: pytest.MonkeyPatch, method: str) -> None:
        self.begun = self.ended = 0
        self.dies = False
        """Whether the nodes are not heard of any more from then on."""
        self.ends = False
        """Whether it ends all the same, some time after the cancel was heard."""
        servers: list[JobServer] = []
        links: list[TwinNodeLinks] = []

        def serve(job: JobId, outbox: Outbox) -> JobServer:
            servers.append(JobServer(job, outbox))
            return servers[-1]

        class Links(TwinNodeLinks):
            def __init__(self, *given: object) -> None:
                super().__init__(*given)  # type: ignore[arg-type] # as it came
                links.append(self)

        async def hang(node: TwinNode, *_: object, **__: object) -> None:
            self.begun += 1
            if self.dies:
                links[-1].dead.add(NodeUuid(node.uuid))
            await servers[-1].cancel()
            if self.ends:
                await wait_all_tasks_blocked(0.01)
                return
            try:
                await trio.sleep_forever()
            finally:
                self.ended += 1

        patch.setattr(job_bench, "JobServer", serve)
        patch.setattr(job_bench, "TwinNodeLinks", Links)
        patch.setattr(TwinNode, method, hang)


@pytest.mark.parametrize(
    ("opcode", "method"),
    [
        (DELAY, "delay"),
        (create(), "create_os"),
        (create(), "run_hooks"),
        (create(), "start_instance"),
        (MIGRATE, "accept_migration"),
        (MIGRATE, "migrate_instance"),
        (OpInstanceShutdown(instance_name=NEW), "stop_instance"),
        (FAILOVER, "stop_instance"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.op_id(),
)
async def test_a_call_in_flight_is_broken_off_and_undone(
    opcode: Opcode, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = JobBench(tmp_path)
    if opcode not in (DELAY, create()):
        assert (await bench.run(create("sharedfile"))).statuses == {0: "success"}
    before = bench.cluster.picture()
    with monkeypatch.context() as patched:
        call = Hanging(patched, method)
        ran = await bench.run(opcode)
    assert ran.statuses == {0: "canceled"}, ran.results
    assert call.begun
    assert call.ended == call.begun
    assert bench.cluster.picture() == before
    assert not any(node.begun for node in bench.cluster.all())


async def test_a_call_that_was_interrupted_is_broken_off_when_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = JobBench(tmp_path)
    bench.cluster.fate.mishap, bench.cluster.fate.at_do = "interrupted before", 1
    with monkeypatch.context() as patched:
        call = Hanging(patched, "delay")
        ran = await bench.run(DELAY)
    assert ran.statuses == {0: "canceled"}, ran.results
    assert call.begun == call.ended == 1


async def test_past_the_point_of_no_return_nothing_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = JobBench(tmp_path)
    assert (await bench.run(create("sharedfile"))).statuses == {0: "success"}
    with monkeypatch.context() as patched:
        call = Hanging(patched, "finish_migration")
        call.ends = True
        ran = await bench.run(MIGRATE)
    assert call.begun
    assert ran.statuses == {0: "success"}, ran.results
    assert not any(node.abandoned for node in bench.cluster.all())


async def test_a_node_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    bench = JobBench(tmp_path)
    with monkeypatch.context() as patched:
        call = Hanging(patched, "delay")
        call.dies = True
        ran = await bench.run(DELAY)
    assert ran.statuses == {0: "canceled"}, ran.results
    [left] = bench.cluster.wconfd.state.configuration.leftovers.values()
    assert (left.method, left.object_kind) == ("abandon", "node")
    assert "noted as a left-over" in str(ran.results[0])


@pytest.mark.parametrize(
    ("dead", "left"),
    [
        ("node2.gnt.test", {("abandon", "node2.gnt.test"), ("remove_disk", "node1.gnt.test")}),
        ("node1.gnt.test", {("remove_disk", "node1.gnt.test")}),
    ],
    ids=["the call's node", "the undo's node"],
)
async def test_a_call_that_is_undone_elsewhere_is_noted_where_it_may_be_at_work(
    dead: str,
    left: set[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: object,
) -> None:
    bench = JobBench(tmp_path)
    nodes = {node.name: node for node in bench.cluster.all()}
    disk = DiskSpec(DiskUuid("disk"), 0, "file", 1, "/srv/ganeti/file-storage/left/0")
    elsewhere = call(nodes["node1.gnt.test"].uuid, lambda n, t: n.remove_disk(t, "left", disk))
    real = delay._one_round

    def one_round(opcode: OpTestDelay, on: Sequence[Node], number: int) -> list[Step]:
        made = real(opcode, on, number)
        return [evolve(s, undo=elsewhere) if isinstance(s.do, NodeCall) else s for s in made]

    with monkeypatch.context() as patched:
        patched.setattr(delay, "_one_round", one_round)
        hanging = Hanging(patched, "delay")
        hanging.dies = dead == "node2.gnt.test"
        bench.dead = {dead} - {"node2.gnt.test"}
        ran = await bench.run(DELAY)
    assert ran.statuses == {0: "canceled"}, ran.results
    noted = bench.cluster.wconfd.state.configuration.leftovers.values()
    names = {node.uuid: name for name, node in nodes.items()}
    assert {(each.method, names[each.node]) for each in noted} == left
    assert "noted as a left-over" in str(ran.results[0])
    bench.dead = set()
    for name in sorted(node for _, node in left):
        assert (await bench.run(OpNodeCleanUp(node_name=name))).statuses == {0: "success"}
    assert not bench.cluster.wconfd.state.configuration.leftovers
    assert not any(node.begun for node in nodes.values())
