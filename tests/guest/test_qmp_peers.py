"""Our QMP client against a real QEMU, with PyPI's qemu.qmp as a second opinion."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from qemu.qmp import QMPClient
from tests.guest.conftest import Node, make_spec

from gantry.drivers.hypervisor.kvm import monitor
from gantry.drivers.hypervisor.kvm.command import Sockets
from gantry.drivers.hypervisor.qmp import QmpGone, QmpRefused, QmpTimeout, open_qmp
from gantry.protocols.runtime_types import ParamValue

COMMANDS = ("query-version", "query-name", "query-uuid", "query-status", "query-cpus-fast")


@pytest.fixture
async def sockets(node: Node, boot_parameters: Mapping[str, ParamValue]) -> Sockets:
    """The monitors of a machine that is paused before its first instruction."""
    spec = make_spec(node, boot_parameters)
    await node.kvm.start(spec, paused=True)
    return node.kvm.machines.files.sockets(spec.name)


def ask_the_other(path: Path) -> dict[str, object]:
    """Run the same commands with qemu.qmp, which needs asyncio."""

    async def main() -> dict[str, object]:
        client = QMPClient("peer")
        await client.connect(str(path))
        replies: dict[str, object] = {}
        for name in COMMANDS:
            replies[name] = await client.execute(name)
        await client.disconnect()
        return replies

    return asyncio.run(main())


async def test_both_clients_get_the_same_answers(node: Node, sockets: Sockets) -> None:
    theirs = await trio.to_thread.run_sync(ask_the_other, sockets.queries)
    async with open_qmp(node.environment.network, sockets.actions) as qmp:
        ours = {name: await qmp.execute(name) for name in COMMANDS}
        assert qmp.version >= (7, 0, 0)
    assert ours == theirs


async def test_a_monitor_serves_one_client_at_a_time(node: Node, sockets: Sockets) -> None:
    network = node.environment.network
    async with open_qmp(network, sockets.actions) as first:
        assert await monitor.query_status(first) == "prelaunch"
        with pytest.raises(QmpTimeout, match="no greeting"):
            async with open_qmp(network, sockets.actions, deadline_seconds=0.2):
                pytest.fail("two clients at once")
    async with open_qmp(network, sockets.actions) as second:
        assert await monitor.query_status(second) == "prelaunch"


async def test_commands_run_at_once_events_arrive_and_the_end_is_noticed(
    node: Node, sockets: Sockets
) -> None:
    async with (
        open_qmp(node.environment.network, sockets.actions) as qmp,
        qmp.events() as events,
    ):
        answers: list[str] = []

        async def ask() -> None:
            answers.append(await monitor.query_uuid(qmp))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask)
        assert len(answers) == 50
        assert len(set(answers)) == 1
        with pytest.raises(QmpRefused, match="no-such-command"):
            await qmp.execute("no-such-command")
        await monitor.cont(qmp)
        with trio.fail_after(10):
            assert [(await events.receive()).name] == ["RESUME"]
            await monitor.quit_qemu(qmp)
            assert "SHUTDOWN" in [event.name async for event in events]
        with pytest.raises(QmpGone):
            await monitor.query_status(qmp)


async def test_nobody_listens(node: Node) -> None:
    with pytest.raises(QmpGone, match="No such file"):
        async with open_qmp(node.environment.network, Path("/no/such/socket")):
            pytest.fail("there is none")
