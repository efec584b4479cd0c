"""Node groups: what is refused, and what the results say."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from tests.unit.operations.job_bench import JobBench

from gantry.core.config.state import State, with_object
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.opcodes.group import (
    OpGroupAdd,
    OpGroupAssignNodes,
    OpGroupRemove,
    OpGroupRename,
    OpGroupSetParams,
)
from gantry.protocols.opcodes.opcode import Opcode


@pytest.fixture
def bench(tmp_path: Path) -> JobBench:
    return JobBench(tmp_path)


async def done(bench: JobBench, opcode: Opcode) -> object:
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "success"}, ran.results
    return ran.results[0]


def group(bench: JobBench, name: str) -> NodeGroup:
    groups = bench.cluster.wconfd.state.configuration.nodegroups.values()
    return next(each for each in groups if each.name == name)


def mirror_disks(bench: JobBench) -> None:
    """Say that every disk is on all nodes."""
    state = bench.cluster.wconfd.state
    configuration = state.configuration
    for disk in configuration.disks.values():
        everywhere = evolve(disk, nodes=tuple(configuration.nodes))
        configuration = with_object(configuration, everywhere)
    bench.cluster.wconfd.state = State.of(configuration)


async def test_settings_are_taken_and_reset(bench: JobBench) -> None:
    settings = OpGroupSetParams(
        group_name="default",
        alloc_policy="unallocable",
        ndparams={"spindle_count": "4"},
        diskparams={"plain": {"stripes": 2}},
        ipolicy={"vcpu-ratio": 2.5},
    )
    assert await done(bench, settings) == [
        ["alloc_policy", "unallocable"],
        ["ndparams", {"spindle_count": 4}],
        ["diskparams", {"plain": {"stripes": 2}}],
        ["ipolicy", {"vcpu-ratio": 2.5}],
    ]
    back = OpGroupSetParams(
        group_name="default",
        ndparams={"spindle_count": "default"},
        ipolicy={"vcpu-ratio": "default"},
    )
    assert await done(bench, back) == [["ndparams", {}], ["ipolicy", {}]]
    assert group(bench, "default").alloc_policy == "unallocable"


async def test_a_new_group_is_preferred_unless_said_otherwise(bench: JobBench) -> None:
    await done(bench, OpGroupAdd(group_name="rack2"))
    assert group(bench, "rack2").alloc_policy == "preferred"
    assert await done(bench, OpGroupRename(group_name="rack2", new_name="rack3")) == "rack3"


@pytest.mark.parametrize(
    ("opcode", "text"),
    [
        (OpGroupAdd(group_name="default"), "already"),
        (OpGroupAdd(group_name="a b"), "can not be the name"),
        (OpGroupAdd(group_name="x", ipolicy={"std": {}}), "is the cluster's"),
        (OpGroupAdd(group_name="x", ndparams={"nope": 1}), "does not exist"),
        (OpGroupAdd(group_name="x", ipolicy={"vcpu-ratio": "much"}), "ipolicy"),
        (OpGroupRename(group_name="nowhere", new_name="x"), "not known"),
        (OpGroupRename(group_name="default", new_name="default"), "already"),
        (OpGroupRemove(group_name="default"), "still has the nodes"),
        (OpGroupSetParams(group_name="default"), "say what to change"),
        (OpGroupAssignNodes(group_name="default", nodes=("nowhere",)), "not known"),
    ],
)
async def test_what_can_not_be_is_refused(bench: JobBench, opcode: Opcode, text: str) -> None:
    before = bench.cluster.picture()
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "error"}
    assert text in str(ran.results[0])
    assert bench.cluster.picture() == before


async def test_mirrored_disks_stay_in_one_group(bench: JobBench) -> None:
    await done(bench, OpGroupAdd(group_name="rack2"))
    mirror_disks(bench)
    assign = OpGroupAssignNodes(group_name="rack2", nodes=("node2.gnt.test",))
    ran = await bench.run(assign)
    assert "would be in two node groups" in str(ran.results[0])
    both = OpGroupAssignNodes(
        group_name="rack2", nodes=tuple(f"node{n}.gnt.test" for n in (1, 2, 3))
    )
    await done(bench, both)
    assert await done(bench, OpGroupRemove(group_name="default")) is None
    assert "default" not in {
        each.name for each in bench.cluster.wconfd.state.configuration.nodegroups.values()
    }
