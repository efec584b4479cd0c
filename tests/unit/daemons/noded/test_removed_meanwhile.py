"""A node that was removed from its cluster while it was down, or cut off, hears of it."""

from __future__ import annotations

import json

import pytest
import trio
from tests.unit.daemons.noded.conftest import Machines, calling, running
from tests.unit.daemons.noded.test_noded_replicas import Stopping

from gantry.daemons.noded import belonging
from gantry.protocols.codec import dump, to_bytes
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.noded import MasterAddress, Membership
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, StartRefused
from gantry.runtime.environment import Environment
from gantry.runtime.membership import is_member
from gantry.security.certificates import Certificate
from gantry.security.pem_files import SERVER_PEM


def uuid_of(env: Environment) -> NodeUuid:
    return NodeUuid(Certificate.of_pem((env.paths.data / SERVER_PEM).read_bytes()).common_name)


class Cluster:
    """Two nodes, of which the second has a replica."""

    def __init__(self, master: Environment, node: Environment, addresses: str) -> None:
        self.master, self.node = master, node
        self._addresses = addresses
        self.alone = frozenset({uuid_of(master)})
        self.both = self.alone | {uuid_of(node)}

    async def tell(self, called: Environment, nodes: frozenset[NodeUuid], serial: int) -> None:
        """Store on a node which nodes there are, as of a configuration's serial number."""
        async with calling(self.master, called) as noded:
            told = {"node_primary_ips": self._addresses}
            await noded.store_ssconf(Epoch(1), serial, nodes, told)


@pytest.fixture
async def cluster(machines: Machines) -> Cluster:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
        addresses = [f"{each.node} {await each.address()}" for each in (master, node)]
        pair = Cluster(master, node, "\n".join(addresses))
        await pair.tell(master, pair.both, 50)
        async with running(node):
            await pair.tell(node, pair.both, 50)
    node.paths.config.write_bytes(master.paths.config.read_bytes())
    return pair


async def test_it_serves_nothing_and_puts_aside_what_it_had(cluster: Cluster) -> None:
    data = cluster.node.paths.data
    address = MasterAddress("127.0.0.9", "lo", 8, 4, external_script=False)
    (data / "master-address.json").write_bytes(to_bytes(dump(address)))
    (data / "queue.archive-gap").write_bytes(b'{"through": 7}')
    services = Stopping()
    async with running(cluster.master):
        await cluster.tell(cluster.master, cluster.alone, 51)
        with pytest.raises(StartRefused, match="was removed from its cluster") as told:
            async with running(cluster.node, services):
                pytest.fail("it runs")
        assert services.stops == 1
        assert told.value.status == EXIT_NOT_CLUSTER
        assert cluster.master.node in str(told.value)
        assert [path.name for path in data.iterdir()] == ["removed-1-50"]
        kept = (data / "removed-1-50/config.data").read_bytes()
        assert kept == cluster.master.paths.config.read_bytes()
        assert not (data / "removed-1-50/master-address.json").exists()  # it was let go
        assert not await is_member(cluster.node)


async def test_who_knows_nothing_newer_is_not_believed(cluster: Cluster) -> None:
    async with running(cluster.master):
        async with calling(cluster.node, cluster.master) as noded:
            assert await noded.membership(uuid_of(cluster.node)) == Membership(True, 1, 50)
        async with running(cluster.node):
            await cluster.tell(cluster.node, cluster.both, 60)
        await cluster.tell(cluster.master, cluster.alone, 55)
        async with running(cluster.node):
            pass
    assert await is_member(cluster.node)


async def test_a_node_that_is_being_added_is_none_yet_and_stays(cluster: Cluster) -> None:
    async with running(cluster.master):
        async with running(cluster.node):
            await cluster.tell(cluster.node, cluster.alone, 60)
        await cluster.tell(cluster.master, cluster.alone, 61)
        async with running(cluster.node):
            pass


async def test_a_candidate_whose_first_ssconf_files_never_came_goes_by_its_replica(
    cluster: Cluster,
) -> None:
    value, uuid = json.loads(cluster.node.paths.config.read_bytes()), uuid_of(cluster.node)
    [first] = value["nodes"].values()
    value["nodes"][uuid] = {**first, "uuid": uuid, "name": cluster.node.node}
    value["serial_no"] = 70
    cluster.node.paths.config.write_text(json.dumps(value))
    for path in cluster.node.paths.data.glob("ssconf*"):
        path.unlink()
    async with running(cluster.master):
        await cluster.tell(cluster.master, cluster.alone, 70)
        async with running(cluster.node):
            pass
        await cluster.tell(cluster.master, cluster.alone, 71)
        with pytest.raises(StartRefused, match="was removed from its cluster"):
            async with running(cluster.node):
                pytest.fail("it runs")


async def test_files_that_came_without_the_note_of_their_age_make_no_member(
    cluster: Cluster,
) -> None:
    (cluster.node.paths.data / "ssconf-position.json").unlink()
    async with running(cluster.master):
        await cluster.tell(cluster.master, cluster.alone, 51)  # it may not know of the node yet
        async with running(cluster.node):
            pass


async def test_another_machine_of_the_same_name_is_another_node(cluster: Cluster) -> None:
    async with running(cluster.master):
        await cluster.tell(cluster.master, cluster.alone | {NodeUuid("the new one")}, 52)
        with pytest.raises(StartRefused, match="was removed from its cluster"):
            async with running(cluster.node):
                pytest.fail("it runs")


async def test_nobody_who_answers_is_no_reason_to_go(cluster: Cluster) -> None:
    async with running(cluster.node), calling(cluster.node, cluster.node) as noded:
        assert (await noded.version()).node == cluster.node.node


async def test_one_that_was_cut_off_while_it_ran_hears_of_it_later(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(belonging, "RETRY_SECONDS", 0.1)

    async def live_on() -> None:
        async with running(cluster.node), running(cluster.master):
            await cluster.tell(cluster.master, cluster.alone, 51)
            await trio.sleep_forever()  # the node ends, and says why

    with pytest.raises(StartRefused, match="was removed from its cluster"):
        await live_on()
    assert not cluster.node.paths.config.exists()


async def test_one_that_is_back_before_the_others_have_heard_of_its_removal_asks_again_soon(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(belonging, "AGAIN_SECONDS_FIRST", 0.1)

    async def live_on() -> None:
        async with running(cluster.master), running(cluster.node):  # which was told that it is one
            await cluster.tell(cluster.master, cluster.alone, 51)
            await trio.sleep_forever()  # the node ends, and says why

    with pytest.raises(StartRefused, match="was removed from its cluster"):
        await live_on()
