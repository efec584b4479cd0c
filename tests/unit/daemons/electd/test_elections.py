"""The election daemon's loop against an office in memory that can fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, field
from typing_extensions import override

from gantry.core.election import ReplicaSeen, Standing
from gantry.daemons.electd.campaign import Elections, Here, OfficeOfMaster
from gantry.daemons.electd.etcd import EtcdFailed
from gantry.daemons.electd.settings import Endpoint, Settings, read_settings
from gantry.protocols.identity import Epoch
from gantry.runtime.daemon import StartRefused
from gantry.runtime.promotion import PromotionRefused
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles


@define
class MemoryOffice(OfficeOfMaster):
    """One node's way to an office that all share."""

    me: str
    held: dict[str, str]
    away: bool = False
    kept: int = 0

    def _reach(self) -> None:
        if self.away:
            raise EtcdFailed("127.0.0.1:2379 does not answer")

    @override
    async def holder(self) -> str | None:
        await trio.lowlevel.checkpoint()
        self._reach()
        return self.held.get("master")

    @override
    async def take(self) -> bool:
        await trio.lowlevel.checkpoint()
        self._reach()
        return self.held.setdefault("master", self.me) == self.me

    @override
    async def keep(self) -> bool:
        await trio.lowlevel.checkpoint()
        self._reach()
        self.kept += 1
        return self.held.get("master") == self.me

    @override
    async def resign(self) -> None:
        await trio.lowlevel.checkpoint()
        self._reach()
        if self.held.get("master") == self.me:
            del self.held["master"]


@define
class MemoryNode(Here):
    name: str
    master: bool = False
    heard_seconds: float = 99.0
    refuses: bool = False
    promotions: int = 0

    @override
    async def is_master(self) -> bool:
        return self.master

    @override
    async def is_candidate(self) -> bool:
        return True

    @override
    async def leads(self) -> bool:
        return self.master

    @override
    async def replica(self) -> ReplicaSeen | None:
        return ReplicaSeen(self.heard_seconds, Epoch(1))

    async def promote(self) -> None:
        self.promotions += 1
        await trio.sleep(20)
        if self.refuses:
            raise PromotionRefused("only 1 of the 3 master candidates answer")
        self.master = True


@define
class Stage:
    held: dict[str, str]
    nodes: dict[str, MemoryNode]
    offices: dict[str, MemoryOffice] = field(factory=dict)
    scopes: dict[str, trio.CancelScope] = field(factory=dict)

    def die(self, name: str) -> None:
        """The node is gone, and its lease with it."""
        self.scopes[name].cancel()
        self.held.clear()


@asynccontextmanager
async def stage(*nodes: MemoryNode) -> AsyncIterator[Stage]:
    world = Stage({}, {node.name: node for node in nodes})
    async with trio.open_nursery() as nursery:
        for node in nodes:
            office = world.offices[node.name] = MemoryOffice(node.name, world.held)
            elections = Elections(office, node, node.promote, Standing(node.name), 3.0)
            scope = world.scopes[node.name] = trio.CancelScope()

            async def run(elections: Elections, scope: trio.CancelScope) -> None:
                with scope:
                    await elections.run()

            nursery.start_soon(run, elections, scope)
        yield world
        nursery.cancel_scope.cancel()


async def test_a_dead_master_is_replaced_by_one(autojump_clock: object) -> None:
    async with stage(MemoryNode("a", master=True), MemoryNode("b"), MemoryNode("c")) as world:
        await trio.sleep(60)
        assert world.held == {"master": "a"}
        assert sum(node.promotions for node in world.nodes.values()) == 0
        world.die("a")
        await trio.sleep(60)
        (winner,) = [n for n in world.nodes.values() if n.promotions]
        assert winner.promotions == 1
        assert world.held == {"master": winner.name}
        assert world.offices[winner.name].kept > 5  # also while it was being promoted


async def test_without_etcd_nobody_is_replaced(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(MemoryNode("a", master=True), MemoryNode("b", heard_seconds=1.0)) as world:
        await trio.sleep(10)
        for office in world.offices.values():
            office.away = True
        world.held.clear()  # all leases are over when it comes back
        await trio.sleep(600)
        for office in world.offices.values():
            office.away = False
        await trio.sleep(60)
        assert world.held == {"master": "a"}
        assert world.nodes["b"].promotions == 0
    said = [each.message for each in caplog.records if "nobody is elected" in each.message]
    assert len(said) == 2  # each says it once


async def test_who_can_not_be_promoted_lets_others_try(autojump_clock: object) -> None:
    async with stage(MemoryNode("b", refuses=True), MemoryNode("c")) as world:
        await trio.sleep(200)
        assert world.held == {"master": "c"}
        assert world.nodes["c"].master


async def test_a_failover_by_hand_moves_the_office(autojump_clock: object) -> None:
    async with stage(MemoryNode("a", master=True), MemoryNode("b")) as world:
        await trio.sleep(10)
        world.nodes["a"].master, world.nodes["b"].master = False, True
        await trio.sleep(10)
        assert world.held == {"master": "b"}
        assert world.nodes["b"].promotions == 0


# --- the file ------------------------------------------------------------------------------------


async def settings(text: str) -> Settings:
    files = MemoryFiles()
    env = memory_environment("node1.gnt.test", files)
    files.put(env.paths.etc / "election.json", text.encode())
    return await read_settings(env)


async def test_the_file_names_etcd() -> None:
    found = await settings('{"endpoints": ["http://192.0.2.1", "http://etcd2.test:1234"]}')
    assert found.endpoints == (
        Endpoint("192.0.2.1", 2379, encrypted=False),
        Endpoint("etcd2.test", 1234, encrypted=False),
    )
    assert found.lease_seconds == 15


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"endpoints": []}', "endpoints is empty"),
        ('{"endpoints": ["etcd1:2379"]}', "etcd1:2379 is no endpoint: write http://HOST:PORT"),
        ('{"endpoints": ["http://etcd1:x"]}', "http://etcd1:x is no endpoint"),
        ('{"endpoints": ["http://e"], "lease_seconds": 1}', "must be from 5 to 300"),
        ('{"endpoints": ["https://e"]}', "authority is missing"),
        ('{"endpoint": ["http://e"]}', "endpoint"),
        ("nonsense", "election.json can not be used"),
    ],
)
async def test_a_wrong_file_is_refused(text: str, reason: str) -> None:
    with pytest.raises(StartRefused, match=reason):
        await settings(text)


async def test_without_a_file_nothing_elects() -> None:
    with pytest.raises(StartRefused, match=r"no elections here: /etc/ganeti/election\.json"):
        await read_settings(memory_environment("node1.gnt.test", MemoryFiles()))
