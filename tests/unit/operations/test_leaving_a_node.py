"""All instances of a node leave it: by jobs of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.operations.test_allocation import Bench
from tests.unit.operations.test_every_operation import NEW, create

from gantry.protocols.opcodes.node import OpNodeEvacuate, OpNodeMigrate
from gantry.protocols.opcodes.opcode import Opcode

LEAVE = OpNodeEvacuate(node_name="node1", mode="primary-only", iallocator="first")
FAILOVER = {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": NEW, "target_node": "node2.gnt.test"}


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    ran = await bench.run(create("sharedfile"))
    assert ran.statuses == {0: "success"}, ran.results
    return bench


async def why(bench: Bench, opcode: Opcode) -> str:
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "error"}, ran.results
    assert ran.submitted == []
    return str(ran.results[0])


async def test_a_migration_is_submitted_for_each_instance(bench: Bench) -> None:
    ran = await bench.run(OpNodeMigrate(node_name="node1", target_node="node3"))
    assert ran.statuses == {0: "success"}, ran.results
    opcodes = [job[0] for job in ran.submitted]
    assert {each["OP_ID"] for each in opcodes} == {"OP_INSTANCE_MIGRATE"}
    assert NEW in {each["instance_name"] for each in opcodes}
    assert {each["target_node"] for each in opcodes} == {"node3"}
    assert ran.results[0] == {"jobs": [[True, 100 + n] for n in range(len(opcodes))]}


async def test_an_allocator_says_how_instances_leave(bench: Bench) -> None:
    bench.answers(
        {"success": True, "info": "", "result": [[[NEW, "default", []]], [], [[FAILOVER]]]}
    )
    ran = await bench.run(LEAVE)
    assert ran.statuses == {0: "success"}, ran.results
    ((submitted,),) = ran.submitted
    assert FAILOVER.items() <= submitted.items()
    assert ran.results[0] == {"jobs": [[True, 100]]}
    assert bench.seen["request"]["type"] == "node-evacuate"
    assert NEW in bench.seen["request"]["instances"]


async def test_a_node_without_instances_needs_no_job(bench: Bench) -> None:
    ran = await bench.run(OpNodeEvacuate(node_name="node3", mode="all", iallocator="missing"))
    assert ran.results[0] == {"jobs": []}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ([[], [[NEW, "no room"]], []], f"{NEW}: no room"),
        (["node2"], "when asked how to evacuate"),
        ([[], [], [["x"]]], "a job is a list of opcodes"),
        ([[], [], [[{"OP_ID": "OP_NOPE"}]]], "an opcode that is none"),
    ],
)
async def test_what_can_not_be_done_is_not_begun(bench: Bench, result: object, text: str) -> None:
    bench.answers({"success": True, "info": "", "result": result})
    assert text in await why(bench, LEAVE)
