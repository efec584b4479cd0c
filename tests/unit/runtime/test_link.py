"""A link's calls outlive the daemon at its other end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import pytest
import trio
from typing_extensions import override

from gantry.protocols.service import Service
from gantry.runtime.link import Link
from gantry.runtime.network import RealNetwork
from gantry.runtime.rpc import serve

PATIENCE_SECONDS: Final = 10.0


class Waiting(Protocol):
    """Waits."""

    async def ask(self, number: int) -> int:
        """Return the number when the daemon answers."""


WAITING: Final = Service(Waiting)


class Mute(Waiting):
    """A daemon that dies before it answers."""

    def __init__(self) -> None:
        self.asked = 0
        self.all_asked = trio.Event()

    @override
    async def ask(self, number: int) -> int:
        self.asked += 1
        if self.asked == 3:
            self.all_asked.set()
        await trio.sleep_forever()
        return number


class Answering(Waiting):
    """The next one."""

    @override
    async def ask(self, number: int) -> int:
        await trio.lowlevel.checkpoint()
        return number


@pytest.fixture
def network() -> RealNetwork:
    return RealNetwork(Path("/etc/hosts"), "")


@asynccontextmanager
async def serving(network: RealNetwork, path: Path, daemon: Waiting) -> AsyncIterator[None]:
    listener = await network.listen_unix(path, 0o600)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, WAITING, daemon, listener)
        yield
        nursery.cancel_scope.cancel()


async def test_every_call_in_flight_is_made_again(run_folder: Path, network: RealNetwork) -> None:
    path, answers = run_folder / "link", set()
    link = Link(WAITING, network, path)

    async def ask(number: int) -> None:
        answers.add(await link.call(lambda waiting: waiting.ask(number)))

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as linked:
            linked.start_soon(link.run)
            async with trio.open_nursery() as calls:
                mute = Mute()
                async with serving(network, path, mute):
                    for number in range(3):
                        calls.start_soon(ask, number)
                    await mute.all_asked.wait()
                path.unlink(missing_ok=True)
                await trio.lowlevel.checkpoint()
                async with serving(network, path, Answering()):
                    while len(answers) < 3:
                        await trio.lowlevel.checkpoint()
            linked.cancel_scope.cancel()
    assert answers == {0, 1, 2}
