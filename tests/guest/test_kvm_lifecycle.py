"""A guest's life on one node: boot, console, reboot, shutdown, and a restarted NodeD."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping

import pytest
import trio
from attrs import evolve
from tests.guest.conftest import GUEST_DEADLINE_SECONDS, Node, make_spec

from gantry.protocols.runtime_types import (
    DriverFailed,
    InstanceSpec,
    MessageConsole,
    NotRunning,
    ParamValue,
)

NAME = "guest1.example.com"


@pytest.fixture
def spec(node: Node, boot_parameters: Mapping[str, ParamValue]) -> InstanceSpec:
    return make_spec(node, boot_parameters)


async def read_until(stream: trio.SocketStream, pattern: bytes) -> bytes:
    seen = b""
    with trio.fail_after(GUEST_DEADLINE_SECONDS):
        while re.search(pattern, seen) is None:
            seen += await stream.receive_some()
    return seen


async def test_boot_console_and_acpi_shutdown(node: Node, spec: InstanceSpec) -> None:
    started = await node.kvm.start(spec)
    assert (started.state, started.memory_mib, started.uuid) == ("running", 128, spec.uuid)
    up = await node.until(NAME, r"GUEST-UP name=(\S+) uptime=\S+ disk=(\S+) boot=(\d+)")
    assert up.groups() == (NAME, "vda", "1")

    async with await node.console(NAME) as console:
        await console.send_all(b"echo sum=$((40+2))\n")
        await read_until(console, rb"sum=42")

    outcome = await node.kvm.stop(NAME, timeout_seconds=GUEST_DEADLINE_SECONDS)
    assert outcome == "powered-off"
    assert f"POWER-OFF {NAME}" in node.serial(NAME)
    assert await node.kvm.list() == ()
    assert await node.kvm.stop(NAME, timeout_seconds=0) == "absent"
    assert isinstance(await node.kvm.console(NAME), MessageConsole)


async def test_everything_is_gone_after_a_forced_stop(node: Node, spec: InstanceSpec) -> None:
    await node.kvm.start(spec)
    assert await node.kvm.stop(NAME, timeout_seconds=0, force=True) == "ended"
    left = [p for p in (node.environment.paths.run).rglob("*") if p.is_file() or p.is_symlink()]
    assert [p.name for p in left] == ["machine.json"]
    assert list(node.environment.paths.sockets.iterdir()) == []


async def test_starting_again_changes_nothing(node: Node, spec: InstanceSpec) -> None:
    first = await node.kvm.start(spec)
    again = await node.kvm.start(spec)
    assert (again.uuid, again.started_at) == (first.uuid, first.started_at)


async def test_a_restarted_noded_finds_the_guest_and_drives_it(
    node: Node, spec: InstanceSpec
) -> None:
    await node.kvm.start(spec)
    await node.until(NAME, r"tick 3\n")
    after = node.restarted()
    (found,) = await after.kvm.list()
    assert (found.name, found.state) == (NAME, "running")
    assert found.cpu_seconds > 0
    assert await after.kvm.stop(NAME, timeout_seconds=GUEST_DEADLINE_SECONDS) == "powered-off"


async def test_soft_and_hard_reboot(node: Node, spec: InstanceSpec) -> None:
    await node.kvm.start(spec)
    await node.until(NAME, r"boot=1\n(.*\n)*tick 2\n")
    await node.kvm.reboot(spec, how="soft", timeout_seconds=0)
    await node.until(NAME, r"boot=2\n(.*\n)*tick 2\n")
    await node.kvm.reboot(spec, how="hard", timeout_seconds=GUEST_DEADLINE_SECONDS)
    await node.until(NAME, r"POWER-OFF (.*\n)*GUEST-UP .* boot=3\n")


async def test_a_paused_start_waits(node: Node, spec: InstanceSpec) -> None:
    assert (await node.kvm.start(spec, paused=True)).state == "paused"
    found = await node.kvm.find(NAME)
    assert found is not None
    assert found.state == "paused"
    assert node.serial(NAME) == ""


async def test_a_killed_guest_is_reported_and_can_be_started(
    node: Node, spec: InstanceSpec
) -> None:
    await node.kvm.start(spec)
    pid = int((node.environment.paths.run / "kvm-hypervisor/pid" / NAME).read_text())
    node.environment.processes.kill(pid, signal.SIGKILL)
    with trio.fail_after(GUEST_DEADLINE_SECONDS):
        while node.environment.processes.is_alive(pid):  # noqa: ASYNC110 - not our child: no event
            await trio.sleep(0.01)
    found = await node.kvm.find(NAME)
    assert found is not None
    assert (found.state, found.started_at) == ("crashed", None)
    with pytest.raises(NotRunning):
        await node.kvm.reboot(spec, how="soft", timeout_seconds=0)
    assert (await node.kvm.start(spec)).state == "running"


async def test_what_qemu_refuses_is_said_and_nothing_is_left(
    node: Node, spec: InstanceSpec
) -> None:

    broken = evolve(spec, hvparams={**spec.hvparams, "cpu_type": "no-such-cpu"})
    with pytest.raises(DriverFailed, match="no-such-cpu"):
        await node.kvm.start(broken)
    assert await node.kvm.list() == ()


async def test_the_probe_believes_only_what_ran(node: Node) -> None:
    facts = node.environment.paths.run / "kvm-hypervisor" / "machine.json"
    facts.unlink()
    probe = await node.kvm.probe()
    assert probe.usable
    assert probe.acceleration == "kvm" or probe.note != ""
    assert await node.restarted().kvm.probe() == probe
    assert [path.name for path in facts.parent.iterdir()] == [facts.name]


async def test_what_is_missing_for_a_start_is_named(node: Node, spec: InstanceSpec) -> None:
    lost = evolve(spec, hvparams={**spec.hvparams, "kernel_path": "/no/such/kernel"})
    with pytest.raises(DriverFailed, match="its kernel_path /no/such/kernel does not exist"):
        await node.kvm.start(lost)
    (disk,) = spec.disks
    await node.environment.files.remove(node.environment.paths.below(disk.path))
    with pytest.raises(DriverFailed, match=r"its disk .*/disk0 does not exist"):
        await node.kvm.accept(spec)
    assert await node.kvm.list() == ()
