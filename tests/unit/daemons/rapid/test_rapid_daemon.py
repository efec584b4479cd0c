"""The whole daemon over TLS, asked by a client that we did not write."""

import ssl
from pathlib import Path

import attrs
import httpx
import pytest
import trio
import trustme
from tests.unit.daemons.rapid.rapi_world import World
from tests.unit.runtime.canned_luxid import CannedNetwork
from typing_extensions import override

from gantry.daemons.rapid.main import main
from gantry.runtime.daemon import StartRefused
from gantry.runtime.environment import Environment, Options, Readiness


class NotingNetwork(CannedNetwork):
    """Remembers the daemon's port."""

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
def env(world: World) -> Environment:
    return attrs.evolve(
        world.env,
        network=NotingNetwork(world.luxid),
        readiness=Ready(),
        options=Options(bind="127.0.0.1", port=0),
    )


async def test_over_tls(env: Environment) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    env.paths.data.mkdir(parents=True)
    certificate.private_key_and_cert_chain_pem.write_to_path(env.paths.data / "rapi.pem")
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    ready = env.readiness
    assert isinstance(ready, Ready)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(main, env)
            await ready.heard.wait()
            async with httpx.AsyncClient(
                base_url=f"https://127.0.0.1:{NotingNetwork.port}", verify=tls, trust_env=False
            ) as client:
                version = await client.get("/version")
                refused = await client.put("/2/tags?tag=x")
                submitted = await client.put("/2/tags?tag=x", auth=("admin", "secret"))
                headless = await client.head("/2/info")
            nursery.cancel_scope.cancel()
    assert (version.status_code, version.content) == (200, b"2\n")
    assert version.headers["server"] == "Ganeti 3.0.2"
    assert version.headers["connection"] == "close"
    assert version.headers["content-type"] == "application/json"
    assert refused.status_code == 401
    assert submitted.json() == 1234
    assert (headless.status_code, headless.content) == (501, b"")


async def test_without_a_certificate_it_does_not_start(env: Environment) -> None:
    with pytest.raises(StartRefused, match=r"rapi\.pem is missing"):
        await main(env)


async def test_a_broken_certificate_is_told(env: Environment, tmp_path: Path) -> None:
    env.paths.data.mkdir(parents=True)
    (env.paths.data / "rapi.pem").write_bytes(b"no certificate")
    with pytest.raises(StartRefused, match="can not be used"):
        await main(env)
