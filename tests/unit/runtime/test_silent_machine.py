"""A machine in memory that loses its power is noticed as the real network would notice it."""

from __future__ import annotations

import pytest
import trio
from attrs import define, field

from gantry.runtime.network import SILENT_SECONDS_MAX
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.testing.life import Life
from gantry.runtime.testing.network import MemoryNetwork, Sockets
from gantry.runtime.testing.streams import BUFFER_BYTES
from gantry.runtime.testing.wires import Station, Wires

HERE, THERE = "192.0.2.1", "192.0.2.2"


@define
class Two:
    """Two machines, and a connection between them."""

    wires: Wires = field(factory=Wires)
    sockets: dict[str, Sockets] = field(factory=dict)

    def network(self, address: str) -> MemoryNetwork:
        station = self.wires.add(f"node{address[-1]}", address)
        sockets = self.sockets[address] = Sockets(station, MemoryFiles())
        return MemoryNetwork(self.wires, sockets, self._sockets_of, Life())

    def _sockets_of(self, station: Station) -> Sockets:
        return self.sockets[station.address]

    async def connected(self) -> trio.abc.Stream:
        here, there = self.network(HERE), self.network(THERE)
        await there.listen_tcp(THERE, 80)
        return await here.connect_tcp(THERE, 80)

    def lose_power(self) -> None:
        self.sockets[THERE].station.is_up = False
        self.sockets[THERE].lose()

    def boot(self) -> None:
        self.sockets[THERE].station.is_up = True
        self.wires.tell()


@pytest.mark.parametrize("comes_back", [False, True])
async def test_who_waits_for_an_answer_is_told(autojump_clock: object, comes_back: bool) -> None:
    two = Two()
    stream, began = await two.connected(), trio.current_time()
    two.lose_power()
    async with trio.open_nursery() as nursery:

        async def boot() -> None:
            await trio.sleep(5.0)
            if comes_back:
                two.boot()

        nursery.start_soon(boot)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
    assert trio.current_time() - began == SILENT_SECONDS_MAX


async def test_who_waits_for_room_is_told(autojump_clock: object) -> None:
    two = Two()
    stream = await two.connected()
    two.lose_power()
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(bytes(2 * BUFFER_BYTES))
