"""Taps on a real bridge, in a network namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from attrs import evolve
from tests.guest.conftest import Node, make_spec
from typing_extensions import override

from gantry.drivers.network.backends import Tap, UserMode
from gantry.drivers.network.taps import Taps
from gantry.protocols.runtime_types import DriverFailed, ParamValue
from gantry.runtime.environment import Environment, Finished
from gantry.runtime.processes import RealProcesses

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces")


class InNamespace(RealProcesses):
    """Runs programs inside of a network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    @override
    async def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        input_bytes: bytes = b"",
        deadline_seconds: float,
    ) -> Finished:
        return await super().run(
            ["ip", "netns", "exec", self.name, *argv],
            environment=environment,
            folder=folder,
            input_bytes=input_bytes,
            deadline_seconds=deadline_seconds,
        )


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"gantry-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in ("link add br7 type bridge", "link set br7 up"):
            subprocess.run(["ip", "-n", name, *command.split()], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture
def environment(node: Node, namespace: str) -> Environment:
    return evolve(node.environment, processes=InNamespace(namespace))


async def test_connect_and_disconnect(
    node: Node, environment: Environment, boot_parameters: Mapping[str, ParamValue]
) -> None:
    spec, taps = make_spec(node, boot_parameters), Taps(environment)
    assert await taps.bridges() == {"br7"}
    assert await taps.plan(spec) == (UserMode(),)
    (nic,) = spec.nics
    (backend,) = backends = await taps.plan(evolve(spec, nics=(evolve(nic, link="br7"),)))
    assert isinstance(backend, Tap)
    show = ["ip", "-brief", "link", "show", "master", "br7"]
    for _ in range(2):
        await taps.connect(backends)
        ended = await environment.processes.run(show, deadline_seconds=10)
        assert ended.output.decode().split()[0] == backend.device
    for _ in range(2):
        await taps.disconnect(backends)
        ended = await environment.processes.run(show, deadline_seconds=10)
        assert ended.output == b""


async def test_a_bridge_that_is_gone_leaves_no_tap(environment: Environment) -> None:
    taps = Taps(environment)
    with pytest.raises(DriverFailed, match="no-such"):
        await taps.connect((Tap("gntdeadbeef.0", "no-such"),))
    ended = await environment.processes.run(["ip", "-brief", "link"], deadline_seconds=10)
    assert b"gntdeadbeef" not in ended.output
