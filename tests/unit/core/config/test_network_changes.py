"""Networks: what they give out, which groups they reach, and what is refused."""

from __future__ import annotations

import pytest
from attrs import evolve
from tests.unit.core.config.small_cluster import (
    EMPTY_GROUP,
    GROUP,
    INST1,
    NETWORK,
    NODE2,
    NODE3,
    NOW,
    a_network,
    a_nic,
    made,
    refused,
    sample,
)

from gantry.core.config.state import State
from gantry.protocols.changes import AssignGroups, RemoveGroup
from gantry.protocols.device_changes import AddNic, RemoveNic
from gantry.protocols.identity import GroupUuid, NetworkUuid
from gantry.protocols.network_changes import (
    AddNetwork,
    ConnectNetwork,
    DisconnectNetwork,
    RemoveNetwork,
    RestoreNetwork,
    UpdateNetwork,
)
from gantry.protocols.objects.network import Network

PARAMETERS = {"mode": "bridged", "link": "br1", "vlan": ""}


def stored(state: State, name: str = "new") -> Network:
    return state.configuration.networks[a_network(name).uuid]


def test_a_new_network_keeps_back_what_is_never_given_out() -> None:
    after = made(AddNetwork(a_network("new", gateway="10.88.0.1"), ("10.88.0.5",)))
    network = stored(after)
    assert network.ext_reservations == "1100010000000001"
    assert network.reservations == "0" * 16
    assert (network.serial_no, network.ctime) == (1, NOW)


def test_the_sample_network_looks_as_ganeti_made_it() -> None:
    bare = evolve(sample().networks[NETWORK], reservations=None, ext_reservations=None)
    named = evolve(bare, name="again", uuid=NetworkUuid("0d123dd2-18d3-4a78-bb17-000000000000"))
    after = made(AddNetwork(named)).configuration.networks[named.uuid]
    assert after.ext_reservations == sample().networks[NETWORK].ext_reservations


@pytest.mark.parametrize(
    ("network", "rule"),
    [
        (a_network("net1"), "values are unique"),
        (a_network(""), "networks have names"),
        (a_network("new", "10.88.0.1/28"), "networks are IPv4 networks"),
        (a_network("new", "10.88.0.0/31"), "networks have a fit size"),
        (a_network("new", "10.0.0.0/8"), "networks have a fit size"),
        (a_network("new", gateway="10.9.9.9"), "addresses are in their network"),
        (evolve(a_network("new"), mac_prefix="aa:bb"), "MAC prefixes are three bytes"),
        (evolve(a_network("new"), reservations="01"), "bitmaps fit their network"),
    ],
)
def test_wrong_networks_are_refused(network: Network, rule: str) -> None:
    assert refused(AddNetwork(network)).rule == rule


def test_addresses_are_kept_back_and_given_back_as_differences() -> None:
    one = made(AddNetwork(a_network("new")))
    network = stored(one)
    two = made(UpdateNetwork(network, reserve=("10.88.0.3",)), one)
    assert stored(two).ext_reservations == "1001000000000001"
    assert refused(UpdateNetwork(stored(two), reserve=("10.88.0.3",)), two).text == (
        "address 10.88.0.3 is taken already"
    )
    assert refused(UpdateNetwork(network, reserve=("10.88.0.4",)), two).rule == (
        "changes build on the stored version"
    )
    back = made(RestoreNetwork(network, release=("10.88.0.3",)), two)
    assert stored(back).ext_reservations == network.ext_reservations
    for ip, text in (
        ("10.88.0.4", "address 10.88.0.4 is not kept from the cluster"),
        ("10.88.0.0", "is the network's own"),
        ("10.88.0.15", "is the network's own"),
        ("10.9.9.9", "10.9.9.9 is not an address in 10.88.0.0/28"),
    ):
        assert text in refused(UpdateNetwork(stored(two), release=(ip,)), two).text


def test_a_change_of_settings_keeps_the_addresses_that_are_in_use() -> None:
    network = sample().networks[NETWORK]
    busy = made(AddNic(INST1, a_nic("more", "10.77.5.7")))
    after = made(UpdateNetwork(evolve(network, mac_prefix="aa:bb:cc")), busy)
    assert after.configuration.networks[NETWORK].mac_prefix == "aa:bb:cc"
    assert after.configuration.networks[NETWORK].reservations == (
        busy.configuration.networks[NETWORK].reservations
    )


def test_the_gateways_address_moves_with_the_gateway() -> None:
    one = made(AddNetwork(a_network("new", gateway="10.88.0.1")))
    two = made(UpdateNetwork(evolve(stored(one), gateway="10.88.0.2")), one)
    assert stored(two).ext_reservations == "1010000000000001"
    three = made(UpdateNetwork(evolve(stored(two), gateway=None)), two)
    assert stored(three).ext_reservations == "1000000000000001"
    back = made(RestoreNetwork(stored(one)), three)
    assert stored(back).ext_reservations == "1100000000000001"
    text = "address 10.88.0.2 is the network's own, its broadcast's or its gateway's"
    assert refused(UpdateNetwork(stored(two), release=("10.88.0.2",)), two).text == text


def test_a_network_does_not_become_another() -> None:
    other = evolve(sample().networks[NETWORK], network="10.99.0.0/24")
    assert refused(UpdateNetwork(other)).text == "is 10.77.5.0/24 and can not become 10.99.0.0/24"


def test_groups_are_connected_and_disconnected() -> None:
    added = made(AddNetwork(a_network("new")))
    uuid = a_network("new").uuid
    connected = made(ConnectNetwork(uuid, GROUP, PARAMETERS), added)
    assert connected.configuration.nodegroups[GROUP].networks[uuid] == PARAMETERS
    assert refused(RemoveNetwork(uuid), connected).text == "is used by nodegroup default"
    apart = made(DisconnectNetwork(uuid, GROUP), connected)
    assert apart.configuration.nodegroups[GROUP].networks == sample().nodegroups[GROUP].networks
    again = made(DisconnectNetwork(uuid, GROUP), apart)
    assert again.configuration == apart.configuration
    gone = made(RemoveNetwork(uuid), apart)
    assert gone.configuration.networks == sample().networks
    assert made(AddNetwork(stored(apart)), gone).configuration.networks == (
        apart.configuration.networks
    )


def test_a_network_in_use_stays_connected() -> None:
    text = "is used by instance inst1.gnt.test in node group default"
    assert refused(DisconnectNetwork(NETWORK, GROUP)).text == text
    (nic,) = sample().instances[INST1].nics
    unused = made(RemoveNic(INST1, nic.uuid))
    assert (
        NETWORK
        not in made(DisconnectNetwork(NETWORK, GROUP), unused)
        .configuration.nodegroups[GROUP]
        .networks
    )


def test_only_what_exists_is_connected() -> None:
    nowhere = NetworkUuid("x")
    assert refused(ConnectNetwork(nowhere, GROUP)).text == "there is no network with the UUID x"
    assert refused(ConnectNetwork(NETWORK, GroupUuid("x"))).rule == "the object exists"


def test_nodes_are_assigned_to_groups_all_or_none() -> None:
    after = made(AssignGroups({NODE2: EMPTY_GROUP, NODE3: EMPTY_GROUP})).configuration
    assert {node.uuid for node in after.nodes.values() if node.group == EMPTY_GROUP} == {
        NODE2,
        NODE3,
    }
    assert after.serial_no == sample().serial_no + 1
    lost = refused(AssignGroups({NODE2: EMPTY_GROUP, NODE3: GroupUuid("x")}))
    assert lost.text == "refers to nodegroup x, which does not exist"
    assert "is used by node" in refused(RemoveGroup(GROUP)).text
