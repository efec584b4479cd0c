"""Changing, reinstalling and (de)activating instances: what is refused, what the results say."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.test_every_operation import NEW, create

from gantry.protocols.objects.instance import Instance
from gantry.protocols.opcodes.disks import OpInstanceActivateDisks, OpInstanceDeactivateDisks
from gantry.protocols.opcodes.instance import OpInstanceReinstall, OpInstanceSetParams
from gantry.protocols.opcodes.opcode import Opcode


@pytest.fixture
async def bench(tmp_path: Path) -> JobBench:
    """A cluster with a stopped instance on node1."""
    bench = JobBench(tmp_path)
    await done(bench, create(start=False))
    return bench


async def done(bench: JobBench, opcode: Opcode) -> object:
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "success"}, ran.results
    return ran.results[0]


async def why(bench: JobBench, opcode: Opcode) -> str:
    before = bench.cluster.picture()
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "error"}, ran.results
    assert bench.cluster.picture() == before
    return str(ran.results[0])


def instance(bench: JobBench) -> Instance:
    found = bench.cluster.wconfd.state.configuration.instances.values()
    return next(each for each in found if each.name == NEW)


def modify(**changes: object) -> OpInstanceSetParams:
    return OpInstanceSetParams(instance_name=NEW, **changes)  # type: ignore[arg-type] # by name


async def test_parameters_are_set_and_go_back_to_the_clusters(bench: JobBench) -> None:
    change = modify(beparams={"memory": "256m", "vcpus": 2}, ignore_ipolicy=True)
    assert await done(bench, change) == [["be/memory", "256m"], ["be/vcpus", 2]]
    assert instance(bench).beparams == {"minmem": 256, "maxmem": 256, "vcpus": 2}
    await done(bench, modify(beparams={"vcpus": "default"}, ignore_ipolicy=True))
    assert "vcpus" not in instance(bench).beparams


async def test_an_instance_is_marked_offline_and_online_again(bench: JobBench) -> None:
    assert await done(bench, modify(offline=True)) == [["admin_state", "offline"]]
    assert await done(bench, modify(offline=False)) == [["admin_state", "down"]]
    assert "not marked offline" in await why(bench, modify(offline=False))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (modify(), "say what to change"),
        (modify(beparams={"nope": 1}), "does not exist"),
        (modify(beparams={"memory": "64G"}), "does not fit the policy"),
        (modify(beparams={"maxmem": 8000}, ignore_ipolicy=True), "could give instance"),
        (modify(hvparams={"migration_mode": "live"}), "whole cluster"),
        (modify(os_name="missing"), "there are: noop"),
        (modify(osparams={"dhcp": "yes"}), "has no parameter dhcp"),
        (modify(nics=(("add", -1, {}),)), "can not be changed in this version"),
    ],
)
async def test_what_can_not_be_is_refused(
    bench: JobBench, change: OpInstanceSetParams, text: str
) -> None:
    assert text in await why(bench, change)


async def test_more_memory_than_there_is_can_be_forced(bench: JobBench) -> None:
    await done(bench, modify(beparams={"maxmem": 8000}, ignore_ipolicy=True, force=True))
    assert instance(bench).beparams["maxmem"] == 8000


async def test_a_stopped_instance_is_installed_again(bench: JobBench) -> None:
    await done(bench, OpInstanceReinstall(instance_name=NEW))
    installed = [name for node in bench.cluster.all() for name in node.installed]
    assert installed == [NEW, NEW]


async def test_a_running_instance_is_left_alone(bench: JobBench) -> None:
    node = next(n for n in bench.cluster.all() if n.name == "node1.gnt.test")
    ran = await bench.run(create(instance_name="on.gnt.test"))
    assert ran.statuses == {0: "success"}, ran.results
    assert "on.gnt.test" in node.running
    for opcode in (
        OpInstanceReinstall(instance_name="on.gnt.test"),
        OpInstanceDeactivateDisks(instance_name="on.gnt.test"),
        OpInstanceSetParams(instance_name="on.gnt.test", offline=True),
    ):
        text = await why(bench, opcode)
        assert "is not stopped" in text or "is running" in text


async def test_disks_are_activated_where_they_are(bench: JobBench) -> None:
    found = await done(bench, OpInstanceActivateDisks(instance_name=NEW))
    assert isinstance(found, list)
    assert [each[:2] for each in found] == [
        ["node1.gnt.test", "disk/0"],
        ["node1.gnt.test", "disk/1"],
    ]
    assert instance(bench).disks_active
    await done(bench, OpInstanceDeactivateDisks(instance_name=NEW))
    assert not instance(bench).disks_active
    for node in bench.cluster.all():
        node.disks.clear()
    text = await why(bench, OpInstanceActivateDisks(instance_name=NEW))
    assert "disk/0, disk/1 of instance" in text
