"""Roles of nodes: the pool of master candidates stays as full as it can be."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.operations.job_bench import JobBench, Ran

from gantry.operations.node.roles import Role, role_of
from gantry.protocols.opcodes.node import OpNodeSetParams

MASTER, SECOND, THIRD = (f"node{n}.gnt.test" for n in (1, 2, 3))


@pytest.fixture
def bench(tmp_path: Path) -> JobBench:
    bench = JobBench(tmp_path)
    bench.cluster.use(candidate_pool_size=2)
    return bench


def roles(bench: JobBench) -> dict[str, Role]:
    nodes = bench.cluster.wconfd.state.configuration.nodes.values()
    return {node.name: role_of(node) for node in nodes}


async def modify(bench: JobBench, name: str, **changes: object) -> Ran:
    return await bench.run(OpNodeSetParams(node_name=name, **changes))  # type: ignore[arg-type] # by name


async def done(bench: JobBench, name: str, **changes: object) -> object:
    ran = await modify(bench, name, **changes)
    assert ran.statuses == {0: "success"}, ran.results
    return ran.results[0]


async def why(bench: JobBench, name: str, **changes: object) -> str:
    before = bench.cluster.picture()
    ran = await modify(bench, name, **changes)
    assert ran.statuses == {0: "error"}
    assert bench.cluster.picture() == before
    return str(ran.results[0])


async def test_a_candidate_leaves_the_pool_only_if_others_may_take_its_place(
    bench: JobBench,
) -> None:
    await done(bench, THIRD, master_candidate=False)
    assert roles(bench) == {MASTER: "candidate", SECOND: "candidate", THIRD: "regular"}
    assert "--auto-promote" in await why(bench, SECOND, offline=True)
    result = await done(bench, SECOND, offline=True, auto_promote=True)
    assert result == [["master_candidate", "False"], ["offline", "True"]]
    assert roles(bench) == {MASTER: "candidate", SECOND: "offline", THIRD: "candidate"}


async def test_a_new_candidates_certificate_is_listed_and_an_old_ones_is_not(
    bench: JobBench,
) -> None:
    await done(bench, THIRD, master_candidate=False)
    await done(bench, SECOND, drained=True, auto_promote=True)
    configuration = bench.cluster.wconfd.state.configuration
    by_uuid = {node.uuid: node.name for node in configuration.nodes.values()}
    assert {by_uuid[u] for u in configuration.cluster.candidate_certs} == {MASTER, THIRD}


async def test_who_comes_back_fills_the_pool_up(bench: JobBench) -> None:
    bench.cluster.use(candidate_pool_size=3)
    await done(bench, SECOND, offline=True, auto_promote=True)
    await done(bench, SECOND, offline=False)
    assert roles(bench)[SECOND] == "candidate"


async def test_who_comes_back_to_a_full_pool_is_a_regular_node(bench: JobBench) -> None:
    await done(bench, THIRD, drained=True)
    await done(bench, THIRD, drained=False)
    assert roles(bench)[THIRD] == "regular"


async def test_a_dead_node_can_be_marked_offline_and_does_not_come_back(bench: JobBench) -> None:
    bench.dead = {THIRD}
    await done(bench, THIRD, offline=True)
    assert "no answer" in await why(bench, THIRD, offline=False)


async def test_the_master_stays_a_candidate(bench: JobBench) -> None:
    for change in ({"offline": True}, {"drained": True}, {"master_capable": False}):
        assert "is the master" in await why(bench, MASTER, auto_promote=True, **change)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "say what to change"),
        ({"offline": True, "drained": True}, "only one of"),
        ({"master_capable": False, "master_candidate": True}, "not master capable"),
        ({"ndparams": {"nope": 1}}, "does not exist"),
        ({"powered": True}, "out-of-band"),
    ],
)
async def test_what_can_not_be_is_refused(
    bench: JobBench, changes: dict[str, object], text: str
) -> None:
    assert text in await why(bench, THIRD, **changes)


async def test_a_node_with_instances_goes_on_running_them(bench: JobBench) -> None:
    assert "still has the instances" in await why(bench, MASTER, vm_capable=False)


async def test_parameters_are_changed_and_reset(bench: JobBench) -> None:
    result = await done(bench, THIRD, ndparams={"spindle_count": "5"})
    assert result == [["ndparams", {"spindle_count": 5}]]
    await done(bench, THIRD, ndparams={"spindle_count": "default"})
    nodes = bench.cluster.wconfd.state.configuration.nodes.values()
    assert next(n for n in nodes if n.name == THIRD).ndparams == {}
