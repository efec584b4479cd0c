"""The whole daemon on a real socket, asked by a client that we did not write."""

from pathlib import Path

import attrs
import httpx
import pytest
import trio
from tests.unit.daemons.mond.mond_world import Node
from typing_extensions import override

from gantry.daemons.mond.main import main
from gantry.runtime.environment import Environment, Options, Readiness
from gantry.runtime.network import RealNetwork
from gantry.runtime.real import real_environment


class NotingNetwork(RealNetwork):
    """Remembers the port of the daemon's listener."""

    port = 0

    @override
    async def listen_tcp(self, address: str, port: int) -> trio.abc.Listener[trio.abc.Stream]:
        listener = await super().listen_tcp(address, port)
        type(self).port = self.port_of(listener)
        return listener


class Ready(Readiness):
    """Hears when the daemon is ready."""

    def __init__(self) -> None:
        self.heard = trio.Event()

    @override
    def notify(self, state: str) -> None:
        self.heard.set()


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    real = real_environment({"GANTRY_ROOT": str(tmp_path)}, Options(bind="127.0.0.1", port=0))
    network = NotingNetwork(tmp_path / "hosts", "localhost")
    return attrs.evolve(real, files=Node().files, network=network, readiness=Ready())


async def test_a_machine_that_is_in_no_cluster_is_measured_all_the_same(env: Environment) -> None:
    ready = env.readiness
    assert isinstance(ready, Ready)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(main, env)
            await ready.heard.wait()
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{NotingNetwork.port}", trust_env=False
            ) as client:
                listed = await client.get("/1/list/collectors")
                everything = await client.get("/1/report/all")
                metrics = await client.get("/metrics")
                posted = await client.post("/1/list/collectors")
            nursery.cancel_scope.cancel()
    names = [each[0] for each in listed.json()]
    assert names == ["cpu-avg-load", "diskstats", "inst-status-kvm"]
    assert listed.headers["server"].startswith("Snap")
    assert [each["name"] for each in everything.json()] == names
    assert metrics.text.endswith("# EOF\n")
    assert posted.status_code == 404
