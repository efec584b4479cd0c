"""Failover: what happens when the node that an instance leaves is not there any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.test_every_operation import NEW, create

from gantry.core.config.state import with_object
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.relocation import OpInstanceFailover, OpInstanceMigrate

FAILOVER = OpInstanceFailover(instance_name=NEW, target_node="node2.gnt.test")


@pytest.fixture
async def bench(tmp_path: Path) -> JobBench:
    """A cluster on which an instance with shared files runs on node1."""
    bench = JobBench(tmp_path)
    ran = await bench.run(create("sharedfile"))
    assert ran.statuses == {0: "success"}, ran.results
    return bench


def running(bench: JobBench) -> dict[str, list[str]]:
    return {node.name: [n for n in node.running if n == NEW] for node in bench.cluster.all()}


def change_node(bench: JobBench, name: str, **changes: bool) -> None:
    state = bench.cluster.wconfd.state
    node = next(n for n in state.configuration.nodes.values() if n.name == name)
    changed: Node = evolve(node, **changes)  # type: ignore[arg-type] # by name
    bench.cluster.wconfd.state = state.of(with_object(state.configuration, changed))


async def test_a_node_that_does_not_answer_stops_it(bench: JobBench) -> None:
    bench.dead = {"node1.gnt.test"}
    ran = await bench.run(FAILOVER)
    assert ran.statuses == {0: "error"}
    assert "mark the node offline" in str(ran.results[0])
    assert running(bench)["node2.gnt.test"] == []


async def test_unless_that_is_to_be_ignored(bench: JobBench) -> None:
    bench.dead = {"node1.gnt.test"}
    ran = await bench.run(evolve(FAILOVER, ignore_consistency=True))
    assert ran.statuses == {0: "success"}, ran.results
    assert running(bench)["node2.gnt.test"] == [NEW]
    assert "may still run on node node1.gnt.test" in str(ran.log)


async def test_an_offline_node_is_not_asked(bench: JobBench) -> None:
    change_node(bench, "node2.gnt.test", offline=True)
    refused = await bench.run(FAILOVER)
    assert "is marked offline" in str(refused.results[0])
    change_node(bench, "node2.gnt.test", offline=False)
    bench.dead = {"node1.gnt.test"}
    change_node(bench, "node1.gnt.test", offline=True)
    ran = await bench.run(FAILOVER)
    assert ran.statuses == {0: "success"}, ran.results
    assert running(bench)["node2.gnt.test"] == [NEW]


async def test_local_disks_stay_where_they_are(tmp_path: Path) -> None:
    bench = JobBench(tmp_path)
    await bench.run(create("file"))
    ran = await bench.run(FAILOVER)
    assert "only node node1.gnt.test has" in str(ran.results[0])


async def test_a_running_instance_is_migrated_even_if_a_failover_were_allowed(
    bench: JobBench,
) -> None:
    migrate = OpInstanceMigrate(
        instance_name=NEW, target_node="node2.gnt.test", allow_failover=True
    )
    ran = await bench.run(migrate)
    assert ran.statuses == {0: "success"}, ran.results
    assert "failed over" not in str(ran.log)
    assert running(bench) == {
        each.name: [NEW] if each.name == "node2.gnt.test" else [] for each in bench.cluster.all()
    }


async def test_clean_up_notes_where_it_runs(bench: JobBench) -> None:
    nodes = {node.name: node for node in bench.cluster.all()}
    first, second = nodes["node1.gnt.test"], nodes["node2.gnt.test"]
    second.running[NEW] = first.running.pop(NEW)
    target = OpInstanceFailover(instance_name=NEW, target_node=second.name, cleanup=True)
    ran = await bench.run(target)
    assert ran.statuses == {0: "success"}, ran.results
    found = bench.cluster.wconfd.state.configuration.instances.values()
    assert [i.primary_node for i in found if i.name == NEW] == [second.uuid]
