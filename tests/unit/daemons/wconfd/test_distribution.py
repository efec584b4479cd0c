"""Copies to the nodes: who gets what, and what happens when a node is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import trio
import trio.testing
from attrs import evolve
from tests.unit.core.config.small_cluster import MASTER, NODE2, NODE3, a_node, ticket
from tests.unit.daemons.wconfd.running_wconfd import config_store, master_files

from gantry.core.config.reservations import Reservations
from gantry.daemons.wconfd.config_store import ConfigStore
from gantry.daemons.wconfd.distribution import RETRY_SECONDS_FIRST, Distribution
from gantry.protocols.changes import AddNode, Change, ChangeTags, RemoveNode, UpdateNode
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.noded import NodeD
from gantry.protocols.objects.node import Node
from gantry.runtime.files import in_place
from gantry.runtime.nursery import open_plain_nursery


class FakeNoded:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.ssconf: list[Mapping[str, str]] = []
        self.told: frozenset[NodeUuid] = frozenset()

    async def store_ssconf(
        self, epoch: Epoch, serial: int, nodes: frozenset[NodeUuid], values: Mapping[str, str]
    ) -> None:
        await trio.lowlevel.checkpoint()
        self.ssconf.append(values)
        self.told = nodes


class FakeNodes:
    """Nodes that may be away."""

    def __init__(self) -> None:
        self.nodes: dict[NodeUuid, FakeNoded] = {}
        self.away: set[NodeUuid] = set()
        self.tries = 0

    async def ask_at(
        self, node: Node, question: Callable[[NodeD], Awaitable[None]], deadline_seconds: float
    ) -> None:
        self.tries += 1
        if node.uuid in self.away:
            raise ConnectionLost("nobody there")
        await question(cast(NodeD, self.nodes.setdefault(node.uuid, FakeNoded())))


async def change(store: ConfigStore, what: Change, step: int) -> None:
    await store.commit(ticket(what, step=step), what, Reservations())
    await store.saver.save()
    await trio.sleep(0.01)


async def test_all_nodes_get_ssconf_when_it_changes(autojump_clock: object) -> None:
    nodes = FakeNodes()
    async with config_store(master_files()) as store, open_plain_nursery() as nursery:
        nursery.start_soon(Distribution(store, nodes, in_place).run)
        await trio.sleep(0.01)
        assert set(nodes.nodes) == {MASTER, NODE2, NODE3}
        assert nodes.nodes[MASTER].ssconf[0]["master_node"] == "node1.gnt.test"

        await change(store, ChangeTags("node", NODE2, add=frozenset({"x"})), 1)
        assert len(nodes.nodes[NODE2].ssconf) == 1  # nothing in it has changed
        await change(store, ChangeTags("cluster", "", add=frozenset({"x"})), 2)
        assert nodes.nodes[NODE2].ssconf[-1]["cluster_tags"] == "ct1\nx"
        nursery.cancel_scope.cancel()


async def test_a_new_node_is_served_and_one_that_left_is_not(autojump_clock: object) -> None:
    nodes = FakeNodes()
    async with config_store(master_files()) as store, open_plain_nursery() as nursery:
        nursery.start_soon(Distribution(store, nodes, in_place).run)
        new = evolve(a_node("node4.gnt.test", 4), master_candidate=False)
        await change(store, AddNode(new), 1)
        assert "node4.gnt.test" in nodes.nodes[new.uuid].ssconf[-1]["node_list"]
        assert "node4.gnt.test" in nodes.nodes[NODE3].ssconf[-1]["node_list"]
        assert nodes.nodes[NODE3].told == {MASTER, NODE2, NODE3, new.uuid}

        before = len(nodes.nodes[new.uuid].ssconf)
        await change(store, RemoveNode(new.uuid), 2)
        assert len(nodes.nodes[new.uuid].ssconf) == before
        assert nodes.nodes[NODE3].told == {MASTER, NODE2, NODE3}
        nursery.cancel_scope.cancel()


async def test_another_node_of_a_removed_ones_name_is_told_of_though_ssconf_is_the_same(
    autojump_clock: object,
) -> None:
    nodes = FakeNodes()
    async with config_store(master_files()) as store, open_plain_nursery() as nursery:
        nursery.start_soon(Distribution(store, nodes, in_place).run)
        old = evolve(a_node("node4.gnt.test", 4), master_candidate=False)
        await change(store, AddNode(old), 1)
        before = nodes.nodes[NODE3].ssconf[-1]
        new = evolve(old, uuid=NodeUuid("another"))
        removal = RemoveNode(old.uuid)
        await store.commit(ticket(removal, step=2), removal, Reservations())
        await change(store, AddNode(new), 3)
        assert nodes.nodes[NODE3].ssconf[-1] == before
        assert nodes.nodes[NODE3].told == {MASTER, NODE2, NODE3, new.uuid}
        nursery.cancel_scope.cancel()


async def test_a_node_that_is_away_is_tried_again_and_holds_up_nobody(
    autojump_clock: object,
) -> None:
    nodes = FakeNodes()
    nodes.away = {NODE2}
    async with config_store(master_files()) as store, open_plain_nursery() as nursery:
        nursery.start_soon(Distribution(store, nodes, in_place).run)
        await change(store, ChangeTags("cluster", "", add=frozenset({"x"})), 1)
        assert nodes.nodes[NODE3].ssconf[-1]["cluster_tags"] == "ct1\nx"
        tries = nodes.tries
        await trio.sleep(4 * RETRY_SECONDS_FIRST)
        assert tries < nodes.tries <= tries + 3  # later and later
        nodes.away = set()
        await trio.sleep(8 * RETRY_SECONDS_FIRST)
        assert nodes.nodes[NODE2].ssconf[-1]["cluster_tags"] == "ct1\nx"
        nursery.cancel_scope.cancel()


async def test_who_waits_for_a_nodes_copy_hears_of_it(autojump_clock: object) -> None:
    nodes = FakeNodes()
    nodes.away = {NODE2}
    async with config_store(master_files()) as store, open_plain_nursery() as nursery:
        distribution = Distribution(store, nodes, in_place)
        nursery.start_soon(distribution.run)
        with trio.fail_after(RETRY_SECONDS_FIRST / 2):
            await distribution.reached(MASTER)
        assert nodes.nodes[MASTER].ssconf[-1]["master_node"] == "node1.gnt.test"
        with trio.move_on_after(10 * RETRY_SECONDS_FIRST) as waiting:
            await distribution.reached(NODE2)
        assert waiting.cancelled_caught
        nodes.away = set()
        await distribution.reached(NODE2)
        nursery.cancel_scope.cancel()


async def test_an_offline_node_is_left_alone_until_it_is_back(autojump_clock: object) -> None:
    nodes = FakeNodes()
    async with config_store(master_files()) as store, open_plain_nursery() as nursery:
        node = store.durable.configuration.nodes[NODE2]
        off = evolve(node, offline=True, master_candidate=False)
        nursery.start_soon(Distribution(store, nodes, in_place).run)
        await change(store, UpdateNode(off), 1)
        count = len(nodes.nodes[NODE2].ssconf)
        await change(store, ChangeTags("cluster", "", add=frozenset({"x"})), 2)
        assert len(nodes.nodes[NODE2].ssconf) == count
        back = evolve(store.durable.configuration.nodes[NODE2], offline=False)
        await change(store, UpdateNode(back), 3)
        assert len(nodes.nodes[NODE2].ssconf) == count + 1
        nursery.cancel_scope.cancel()
