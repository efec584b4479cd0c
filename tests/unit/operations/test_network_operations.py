"""Networks: what is kept back, what is refused, and what instances then get."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.test_every_operation import CONNECT, NET, create

from gantry.protocols.objects.network import Network
from gantry.protocols.opcodes.instance import OpInstanceRemove
from gantry.protocols.opcodes.network import (
    OpNetworkAdd,
    OpNetworkConnect,
    OpNetworkDisconnect,
    OpNetworkRemove,
    OpNetworkRename,
    OpNetworkSetParams,
)
from gantry.protocols.opcodes.opcode import Opcode


@pytest.fixture
def bench(tmp_path: Path) -> JobBench:
    return JobBench(tmp_path)


async def done(bench: JobBench, *opcodes: Opcode) -> None:
    for opcode in opcodes:
        ran = await bench.run(opcode)
        assert ran.statuses == {0: "success"}, ran.results
        assert ran.results[0] is None or not opcode.op_id().startswith("OP_NETWORK")


async def refusal(bench: JobBench, opcode: Opcode) -> str:
    before = bench.cluster.wconfd.state
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "error"}
    assert bench.cluster.wconfd.state.configuration == before.configuration
    return str(ran.results[0])


def network(bench: JobBench, name: str = "net2") -> Network:
    networks = bench.cluster.wconfd.state.configuration.networks.values()
    return next(each for each in networks if each.name == name)


async def test_a_network_is_made_as_it_is_asked_for(bench: JobBench) -> None:
    wide = OpNetworkAdd(
        network_name="net2",
        network="10.77.0.0/28",
        gateway="10.77.0.1",
        network6="2001:db8:0::/64",
        gateway6="2001:db8::1",
        mac_prefix="AA:00:17",
        add_reserved_ips=("10.77.0.2", "10.77.0.2"),
        tags=("lab",),
    )
    await done(bench, wide)
    made = network(bench)
    assert (made.network6, made.gateway6, made.mac_prefix) == (
        "2001:db8::/64",
        "2001:db8::1",
        "aa:00:17",
    )
    # its own address, the gateway, what was asked for, the cluster's and the nodes', broadcast
    assert made.ext_reservations == "1110000000111101"
    assert made.tags == {"lab"}


async def test_nodes_addresses_are_given_out_if_nobody_is_to_look(bench: JobBench) -> None:
    await done(
        bench,
        OpNetworkAdd(network_name="net2", network="10.77.0.0/28", conflicts_check=False),
    )
    assert network(bench).ext_reservations == "1000000000000001"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"network_name": "net1"}, "network net1 exists already"),
        ({"network": "10.88.0.1/28"}, "has host bits set"),
        ({"network": "10.0.0.0/8"}, "has a prefix length that is not among 16 to 30"),
        ({"network": "2001:db8::/64"}, "is not an IPv4 network"),
        ({"gateway": "10.9.9.9"}, "10.9.9.9 is not an address in 10.88.0.0/28"),
        ({"gateway": "10.88.0.0"}, "is no host of 10.88.0.0/28"),
        ({"gateway": "router"}, "'router' is not an IPv4 address"),
        ({"network6": "10.0.0.0/8"}, "is not an IPv6 network"),
        ({"gateway6": "::g"}, "is not an IPv6 address"),
        ({"mac_prefix": "aa:bb"}, "'aa:bb' is not the first half of a MAC address"),
        ({"add_reserved_ips": ("10.1.1.1",)}, "10.1.1.1 is not an address in 10.88.0.0/28"),
        ({"tags": ("not a tag",)}, "can not be a tag"),
    ],
)
async def test_what_can_not_be_is_refused(
    bench: JobBench, given: dict[str, object], text: str
) -> None:
    fields = {"network_name": "net2", "network": "10.88.0.0/28", **given}
    assert text in await refusal(bench, OpNetworkAdd(**fields))  # type: ignore[arg-type] # by name


async def test_settings_are_changed_and_removed(bench: JobBench) -> None:
    await done(
        bench,
        NET,
        OpNetworkSetParams(network_name="net2", gateway="10.88.0.1", mac_prefix="aa:00:17"),
    )
    assert network(bench).ext_reservations == "1101000000000001"
    await done(bench, OpNetworkSetParams(network_name="net2", gateway="none", mac_prefix="none"))
    assert (network(bench).gateway, network(bench).mac_prefix) == (None, None)
    assert network(bench).ext_reservations == "1001000000000001"
    for given, text in (
        ({}, "say what to change"),
        ({"gateway": "10.88.0.3"}, "address 10.88.0.3 of network net2 is kept back already"),
        ({"add_reserved_ips": ("10.88.0.3",)}, "is kept back already"),
        ({"remove_reserved_ips": ("10.88.0.4",)}, "is not kept back"),
        ({"add_reserved_ips": ("10.9.9.9",)}, "which is 10.88.0.0/28"),
    ):
        wrong = OpNetworkSetParams(network_name="net2", **given)
        assert text in await refusal(bench, wrong)


async def test_a_network_is_renamed_and_stays_connected(bench: JobBench) -> None:
    nics = ({"network": "net2", "ip": "pool"},)
    await done(bench, NET, CONNECT, create(nics=nics, start=False))
    before = network(bench)
    ran = await bench.run(OpNetworkRename(network_name="net2", new_name="lab"))
    assert (ran.statuses, ran.results) == ({0: "success"}, {0: "lab"})
    after = network(bench, "lab")
    assert (after.uuid, after.serial_no) == (before.uuid, before.serial_no + 1)
    assert (after.reservations, after.tags) == (before.reservations, before.tags)
    for new_name, text in (("net1", "network net1 already"), (after.uuid, "already")):
        wrong = OpNetworkRename(network_name="lab", new_name=new_name)
        assert text in await refusal(bench, wrong)
    apart = OpNetworkDisconnect(network_name="lab", group_name="default")
    assert "is used in node group default by new.gnt.test" in await refusal(bench, apart)


async def test_an_instance_gets_an_address_of_a_connected_network(bench: JobBench) -> None:
    await done(bench, NET)
    nics = ({"network": "net2", "ip": "pool"},)
    assert "is not connected to node group default" in await refusal(bench, create(nics=nics))
    await done(bench, CONNECT, create(nics=nics, start=False))
    assert network(bench).reservations == "0100000000000000"
    used = OpNetworkSetParams(network_name="net2", add_reserved_ips=("10.88.0.1",))
    assert "is an instance's already" in await refusal(bench, used)

    apart = OpNetworkDisconnect(network_name="net2", group_name="default")
    assert "is used in node group default by new.gnt.test" in await refusal(bench, apart)
    remove = OpNetworkRemove(network_name="net2")
    assert "is connected to the node groups default" in await refusal(bench, remove)
    await done(bench, OpInstanceRemove(instance_name="new.gnt.test"), apart, apart, remove)
    names = [n.name for n in bench.cluster.wconfd.state.configuration.networks.values()]
    assert names == ["net1"]


async def test_addresses_that_are_used_otherwise_are_conflicts(bench: JobBench) -> None:
    nic = {"mode": "routed", "link": "100", "ip": "10.88.0.9"}
    await done(bench, NET, create(nics=(nic,), start=False))
    text = await refusal(bench, CONNECT)
    assert "new.gnt.test (10.88.0.9); change these first" in text
    forced = OpNetworkConnect(
        network_name="net2",
        group_name="default",
        network_mode="bridged",
        network_link="br0",
        conflicts_check=False,
    )
    await done(bench, forced, forced)


async def test_what_does_not_exist_is_told(bench: JobBench) -> None:
    assert "network 'net9' is not known" in await refusal(
        bench, OpNetworkRemove(network_name="net9")
    )
    wrong = OpNetworkDisconnect(network_name="net1", group_name="nowhere")
    assert "node group 'nowhere' is not known" in await refusal(bench, wrong)
