"""A node that was removed from its cluster while it was down, or cut off, hears of it."""

from __future__ import annotations

import json

import pytest
import trio
from tests.unit.daemons.noded.conftest import Machines, calling, running

from gantry.daemons.noded import belonging
from gantry.protocols.identity import Epoch
from gantry.protocols.noded import Membership
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, StartRefused
from gantry.runtime.environment import Environment
from gantry.runtime.membership import is_member


class Cluster:
    """Two nodes, of which the second has a replica."""

    def __init__(self, master: Environment, node: Environment, addresses: str) -> None:
        self.master, self.node = master, node
        self._addresses = addresses

    async def tell(self, called: Environment, names: list[str], serial: int) -> None:
        """Store on a node which nodes there are, as of a configuration's serial number."""
        async with calling(self.master, called) as noded:
            told = {"node_list": "\n".join(names), "node_primary_ips": self._addresses}
            await noded.store_ssconf(Epoch(1), serial, told)

    @property
    def names(self) -> list[str]:
        return [self.master.node, self.node.node]


@pytest.fixture
async def cluster(machines: Machines) -> Cluster:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
        addresses = [f"{each.node} {await each.address()}" for each in (master, node)]
        pair = Cluster(master, node, "\n".join(addresses))
        await pair.tell(master, pair.names, 50)
        async with running(node):
            await pair.tell(node, pair.names, 50)
    node.paths.config.write_bytes(master.paths.config.read_bytes())
    return pair


async def test_it_serves_nothing_and_puts_aside_what_it_had(cluster: Cluster) -> None:
    data = cluster.node.paths.data
    async with running(cluster.master):
        await cluster.tell(cluster.master, [cluster.master.node], 51)
        with pytest.raises(StartRefused, match="was removed from its cluster") as told:
            async with running(cluster.node):
                pytest.fail("it runs")
        assert told.value.status == EXIT_NOT_CLUSTER
        assert cluster.master.node in str(told.value)
        assert [path.name for path in data.iterdir()] == ["removed-1-50"]
        kept = (data / "removed-1-50/config.data").read_bytes()
        assert kept == cluster.master.paths.config.read_bytes()
        assert not await is_member(cluster.node)


async def test_who_knows_nothing_newer_is_not_believed(cluster: Cluster) -> None:
    async with running(cluster.master):
        async with calling(cluster.node, cluster.master) as noded:
            assert await noded.membership(cluster.node.node) == Membership(True, 1, 50)
        async with running(cluster.node):
            await cluster.tell(cluster.node, cluster.names, 60)
        await cluster.tell(cluster.master, [cluster.master.node], 55)
        async with running(cluster.node):
            pass
    assert await is_member(cluster.node)


async def test_a_node_that_is_being_added_is_none_yet_and_stays(cluster: Cluster) -> None:
    async with running(cluster.master):
        async with running(cluster.node):
            await cluster.tell(cluster.node, [cluster.master.node], 60)
        await cluster.tell(cluster.master, [cluster.master.node], 61)
        async with running(cluster.node):
            pass


async def test_a_candidate_whose_first_ssconf_files_never_came_goes_by_its_replica(
    cluster: Cluster,
) -> None:
    value = json.loads(cluster.node.paths.config.read_bytes())
    [first] = value["nodes"].values()
    value["nodes"]["n2"] = {**first, "uuid": "n2", "name": cluster.node.node}
    value["serial_no"] = 70
    async with running(cluster.master):
        async with running(cluster.node):
            await cluster.tell(cluster.node, [cluster.master.node], 60)
        cluster.node.paths.config.write_text(json.dumps(value))
        await cluster.tell(cluster.master, [cluster.master.node], 70)
        async with running(cluster.node):
            pass
        cluster.node.paths.config.write_text(json.dumps(value))
        await cluster.tell(cluster.master, [cluster.master.node], 71)
        with pytest.raises(StartRefused, match="was removed from its cluster"):
            async with running(cluster.node):
                pytest.fail("it runs")


async def test_nobody_who_answers_is_no_reason_to_go(cluster: Cluster) -> None:
    async with running(cluster.node), calling(cluster.node, cluster.node) as noded:
        assert (await noded.version()).node == cluster.node.node


async def test_one_that_was_cut_off_while_it_ran_hears_of_it_later(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AGAIN_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(belonging, name, 0.1)

    async def live_on() -> None:
        async with running(cluster.node), running(cluster.master):
            await cluster.tell(cluster.master, [cluster.master.node], 51)
            await trio.sleep_forever()  # the node ends, and says why

    with pytest.raises(StartRefused, match="was removed from its cluster"):
        await live_on()
    assert not cluster.node.paths.config.exists()
