"""Verification of the configuration: what breaks a rule is said, with its object."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from immutables import Map
from tests.unit.core.config.small_cluster import INST1, NODE3, a_leftover, sample
from tests.unit.operations.job_bench import JobBench, Ran

from gantry.core.config.state import State
from gantry.protocols.codec import dump, to_bytes
from gantry.protocols.identity import GroupUuid
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.opcodes.verification import OpClusterVerifyConfig


@pytest.fixture
def bench(tmp_path: Path) -> JobBench:
    return JobBench(tmp_path)


def said(ran: Ran) -> str:
    return to_bytes(dump(ran.log)).decode()


def holds(bench: JobBench, configuration: Configuration) -> None:
    bench.cluster.wconfd.state = State.of(configuration)


async def test_a_sound_configuration_is_good(bench: JobBench) -> None:
    holds(bench, sample())
    ran = await bench.run(OpClusterVerifyConfig(verbose=True))
    assert ran.results[0] is True
    counts = "3 nodes, 2 node groups, 3 instances, 2 disks, 1 networks"
    assert f"* Checked {counts} against every rule" in said(ran)


async def test_what_breaks_a_rule_is_told_with_its_object(bench: JobBench) -> None:
    configuration = sample()
    lost = evolve(configuration.nodes[NODE3], group=GroupUuid("nowhere"))
    two = evolve(configuration.instances[INST1], name="inst2.gnt.test")
    holds(
        bench,
        evolve(
            configuration,
            nodes=configuration.nodes.set(NODE3, lost),
            instances=configuration.instances.set(INST1, two),
        ),
    )
    ran = await bench.run(OpClusterVerifyConfig())
    assert ran.results[0] is False
    text = said(ran)
    assert "node node3.gnt.test: refers to nodegroup nowhere, which does not exist" in text
    assert "instance name inst2.gnt.test belongs to instance inst2.gnt.test (values are" in text
    coded = said(await bench.run(OpClusterVerifyConfig(error_codes=True)))
    assert "ERROR:ECLUSTERDANGLINGNODES:node:node3.gnt.test:" in coded


async def test_wrong_indexes_are_a_defect_that_is_told(bench: JobBench) -> None:
    state = State.of(sample())
    bench.cluster.wconfd.state = evolve(state, indexes=evolve(state.indexes, claims=Map()))
    ran = await bench.run(OpClusterVerifyConfig())
    assert ran.results[0] is False
    assert "the indexes in memory are not those of the objects" in said(ran)


async def test_left_overs_are_warned_of(bench: JobBench) -> None:
    left = a_leftover(7)
    holds(bench, evolve(sample(), leftovers=Map({left.uuid: left})))
    ran = await bench.run(OpClusterVerifyConfig())
    assert ran.results[0] is True
    warning = "WARNING: cluster : node node3.gnt.test may still have a part of instance"
    assert f"{warning} gone.gnt.test, which job 7 could not remove" in said(ran)
