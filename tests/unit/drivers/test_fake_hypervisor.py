"""The fake hypervisor keeps the port's rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from tests.unit.drivers.conftest import node_below

from gantry.drivers.hypervisor.fake import FakeHypervisor
from gantry.protocols.identity import InstanceUuid
from gantry.protocols.runtime_types import (
    DriverFailed,
    InstanceSpec,
    MessageConsole,
    MigrationTarget,
    NotRunning,
    PathRefused,
)


@pytest.fixture
def nodes(tmp_path: Path) -> tuple[FakeHypervisor, FakeHypervisor]:
    return (
        FakeHypervisor(node_below(tmp_path, "a")),
        FakeHypervisor(node_below(tmp_path, "b")),
    )


@pytest.fixture
def fake(nodes: tuple[FakeHypervisor, FakeHypervisor]) -> FakeHypervisor:
    return nodes[0]


async def states(hypervisor: FakeHypervisor) -> list[str]:
    return [runtime.state for runtime in await hypervisor.list()]


async def test_start_and_stop_are_idempotent(fake: FakeHypervisor, spec: InstanceSpec) -> None:
    assert (await fake.probe()).usable
    started = await fake.start(spec)
    assert (started.state, started.memory_mib, started.vcpus) == ("running", 128, 2)
    assert await fake.start(spec) == started
    restarted = FakeHypervisor(fake.environment)
    assert await restarted.list() == (started,)
    assert await restarted.find(spec.name) == started
    assert await fake.stop(spec.name, timeout_seconds=1) == "powered-off"
    assert await fake.stop(spec.name, timeout_seconds=1) == "absent"
    assert await fake.list() == ()
    assert await fake.find(spec.name) is None


async def test_two_instances_of_one_name(fake: FakeHypervisor, spec: InstanceSpec) -> None:
    await fake.start(spec)
    with pytest.raises(DriverFailed, match="another instance of that name"):
        await fake.start(evolve(spec, uuid=InstanceUuid("other")))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden"])
async def test_names_that_are_no_file_names(
    fake: FakeHypervisor, spec: InstanceSpec, name: str
) -> None:
    with pytest.raises(PathRefused):
        await fake.start(evolve(spec, name=name))


async def test_reboot(fake: FakeHypervisor, spec: InstanceSpec) -> None:
    with pytest.raises(NotRunning):
        await fake.reboot(spec, how="soft", timeout_seconds=1)
    assert (await fake.reboot(spec, how="hard", timeout_seconds=1)).state == "running"
    assert (await fake.reboot(spec, how="soft", timeout_seconds=1)).state == "running"


@pytest.mark.parametrize("paused", [False, True])
async def test_migration(
    nodes: tuple[FakeHypervisor, FakeHypervisor], spec: InstanceSpec, paused: bool
) -> None:
    source, target = nodes
    before = "paused" if paused else "running"
    await source.start(spec, paused=paused)
    accepted = await target.accept(spec, await source.migration_source(spec.name))
    assert await target.accept(spec, await source.migration_source(spec.name)) == accepted
    assert await states(target) == ["incoming"]
    for _ in range(2):
        report = await source.migrate(spec, accepted, live=True)
        assert report.status == "completed"
        assert await states(source) == ["migrated"]
    for _ in range(2):
        await target.finish_target(spec, success=True)
        await source.finish_source(spec, success=True)
    assert await states(source) == []
    assert await states(target) == [before]


@pytest.mark.parametrize("sent", [False, True])
async def test_a_migration_that_failed(
    nodes: tuple[FakeHypervisor, FakeHypervisor], spec: InstanceSpec, sent: bool
) -> None:
    source, target = nodes
    await source.start(spec)
    accepted = await target.accept(spec)
    if sent:
        await source.migrate(spec, accepted, live=True)
    for _ in range(2):
        await target.finish_target(spec, success=False)
        await source.finish_source(spec, success=False)
    assert await states(source) == ["running"]
    assert await states(target) == []


async def test_what_a_migration_refuses(
    nodes: tuple[FakeHypervisor, FakeHypervisor], spec: InstanceSpec
) -> None:
    source, target = nodes
    with pytest.raises(NotRunning):
        await source.migrate(spec, MigrationTarget("fake:"), live=True)
    with pytest.raises(NotRunning):
        await source.migration_source(spec.name)
    with pytest.raises(NotRunning):
        await target.finish_target(spec, success=True)
    await source.start(spec)
    with pytest.raises(DriverFailed, match="already runs"):
        await source.accept(spec)
    with pytest.raises(DriverFailed, match="no place for a fake instance"):
        await source.migrate(spec, MigrationTarget("tcp:127.0.0.1:1"), live=True)
    await target.finish_target(spec, success=False)
    await source.finish_target(spec, success=False)
    assert await states(source) == ["running"]


async def test_console_and_damage(fake: FakeHypervisor, spec: InstanceSpec) -> None:
    assert isinstance(await fake.console(spec.name), MessageConsole)
    await fake.start(spec)
    (fake.folder / spec.name).write_text("{}")
    with pytest.raises(DriverFailed, match="missing"):
        await fake.find(spec.name)
