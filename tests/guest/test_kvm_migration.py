"""A guest moves between two nodes while it counts on its console."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from attrs import evolve
from tests.guest.conftest import GUEST_DEADLINE_SECONDS, Node, make_spec

from gantry.protocols.runtime_types import (
    DriverFailed,
    InstanceSpec,
    MigrationProgress,
    MigrationTarget,
    ParamValue,
)

NAME = "guest1.example.com"
MAY_ACCELERATE = Path("/dev/kvm").exists()


@pytest.fixture
def spec(node: Node, boot_parameters: Mapping[str, ParamValue]) -> InstanceSpec:
    return make_spec(node, boot_parameters)


async def boot(node: Node, spec: InstanceSpec) -> None:
    await node.kvm.start(spec)
    await node.until(NAME, r"tick 5\n")


def ticks(source: Node, target: Node) -> list[int]:
    """The numbers that the guest counted: first on one node's log, then on the other's."""
    text = source.serial(NAME) + target.serial(NAME)
    return [int(number) for number in re.findall(r"tick (\d+)\n", text)]


@pytest.mark.parametrize("live", [True, False])
async def test_the_guest_counts_on_without_a_gap(
    nodes: tuple[Node, Node], spec: InstanceSpec, live: bool
) -> None:
    source, target = nodes
    await boot(source, spec)
    seen: list[MigrationProgress] = []
    accepted = await target.kvm.accept(spec, await source.kvm.migration_source(NAME))
    (waiting,) = await target.kvm.list()
    assert waiting.state == "incoming"
    with trio.fail_after(GUEST_DEADLINE_SECONDS):
        report = await source.kvm.migrate(spec, accepted, live=live, progress=seen.append)
    assert report.status == "completed", report
    assert report.transferred_bytes > 0
    if not live or not MAY_ACCELERATE:  # an emulated guest stands still meanwhile
        assert report.downtime_ms >= report.total_ms
    (sent,) = await source.kvm.list()
    assert sent.state == "migrated"
    again = await source.kvm.migrate(spec, accepted, live=live)
    assert again.status == "completed"

    await target.kvm.finish_target(spec, success=True)
    await source.kvm.finish_source(spec, success=True)
    assert await source.kvm.list() == ()
    (arrived,) = await target.kvm.list()
    assert arrived.state == "running"

    reached = ticks(source, target)[-1]
    await target.until(NAME, rf"tick {reached + 5}\n")
    counted = ticks(source, target)
    consoles = f"{source.serial(NAME)}\n--- on the target:\n{target.serial(NAME)}"
    assert counted == list(range(counted[-1] + 1)), consoles
    async with await target.console(NAME) as console:
        await console.send_all(b"echo moved=$((6*7)) > /data/moved; cat /data/moved\n")
        await target.until(NAME, r"moved=42")


async def test_a_target_that_is_gone_leaves_the_source_running(
    nodes: tuple[Node, Node], spec: InstanceSpec
) -> None:
    source, target = nodes
    await boot(source, spec)
    accepted = await target.kvm.accept(spec, await source.kvm.migration_source(NAME))
    await target.kvm.finish_target(spec, success=False)
    assert await target.kvm.list() == ()
    report = await source.kvm.migrate(spec, accepted, live=False)
    assert report.status == "failed"
    assert report.problem != ""
    await source.kvm.finish_source(spec, success=False)
    (found,) = await source.kvm.list()
    assert found.state == "running"
    reached = ticks(source, target)[-1]
    await source.until(NAME, rf"tick {reached + 3}\n")


async def test_cancelling_breaks_the_migration_off(
    nodes: tuple[Node, Node], spec: InstanceSpec
) -> None:
    source, target = nodes
    slow = {**spec.hvparams, "migration_bandwidth": 1}

    spec = evolve(spec, hvparams=slow)
    await boot(source, spec)
    accepted = await target.kvm.accept(spec, await source.kvm.migration_source(NAME))
    with trio.CancelScope() as scope, trio.fail_after(GUEST_DEADLINE_SECONDS):
        await source.kvm.migrate(
            spec, accepted, live=True, progress=lambda progress: scope.cancel()
        )
    assert scope.cancelled_caught
    await target.kvm.finish_target(spec, success=False)
    (found,) = await source.kvm.list()
    assert found.state == "running"
    reached = ticks(source, target)[-1]
    await source.until(NAME, rf"tick {reached + 3}\n")


async def test_accepting_twice_is_accepting_once(
    nodes: tuple[Node, Node], spec: InstanceSpec
) -> None:
    _, target = nodes
    first = await target.kvm.accept(spec)
    assert await target.restarted().kvm.accept(spec) == first
    assert isinstance(first, MigrationTarget)


async def test_a_node_on_which_it_runs_does_not_accept_it(node: Node, spec: InstanceSpec) -> None:
    await node.kvm.start(spec)
    with pytest.raises(DriverFailed, match="already runs"):
        await node.kvm.accept(spec)
