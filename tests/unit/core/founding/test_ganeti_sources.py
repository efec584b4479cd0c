"""What may be taken over from Ganeti, what becomes of it, and what an export gives back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from tests.unit.core.config.small_cluster import (
    NODE3,
    a_file_disk,
    a_leftover,
    a_network,
    a_nic,
    a_node,
    a_rule,
    an_instance,
    made,
)
from tests.unit.core.founding.ganeti_schema import misfits
from tests.unit.core.founding.ganeti_source import source_value

from gantry.core.config.export import exported
from gantry.core.config.state import State
from gantry.core.config.transaction import to_file
from gantry.core.founding.takeover import (
    TakeoverRefused,
    check_master,
    check_rules,
    parse_source,
    taken_over,
)
from gantry.protocols.changes import (
    AddFilter,
    AddInstance,
    AddLeftover,
    AddNode,
    Change,
    ChangeTags,
    RemoveNode,
)
from gantry.protocols.codec import to_bytes
from gantry.protocols.identity import NodeUuid
from gantry.protocols.network_changes import AddNetwork
from gantry.protocols.objects.configuration import Configuration, dump_configuration
from gantry.protocols.records import ORIGIN

SUBNET = "127.3.2"
VERSIONS = (3_000_000, 3_010_000)


def parsed(value: object) -> Configuration:
    return parse_source(to_bytes(value), "config.data")


def taken(version: int = 3_000_000) -> Configuration:
    source = parsed(source_value(SUBNET, version))
    return taken_over(source, {uuid: f"NEW:{uuid[:2]}" for uuid in source.nodes})


def as_json(configuration: Configuration) -> dict[str, Any]:
    """Return what a reader of the file finds."""
    saved = to_file(State.of(configuration), ORIGIN)
    value: dict[str, Any] = json.loads(to_bytes(dump_configuration(saved)))
    return value


@pytest.mark.parametrize("version", VERSIONS)
def test_an_export_straight_after_is_the_source(version: int) -> None:
    assert exported(as_json(taken(version))) == source_value(SUBNET, version)


def test_new_certificates_are_listed_for_candidates_only() -> None:
    value = source_value(SUBNET)
    value["nodes"][NODE3]["master_candidate"] = False
    del value["cluster"]["candidate_certs"][NODE3]
    source = parsed(value)
    configuration = taken_over(source, {uuid: f"NEW:{uuid}" for uuid in source.nodes})
    listed = configuration.cluster.candidate_certs
    assert listed == {uuid: f"NEW:{uuid}" for uuid in source.nodes if uuid != NODE3}
    assert exported(as_json(configuration)) == value


@pytest.mark.parametrize("version", VERSIONS)
def test_an_export_after_changes_is_what_ganeti_loads(version: int) -> None:
    state = State.of(taken(version))
    disk, node = a_file_disk("new.gnt.test"), a_node("node4.gnt.test", 4)
    changes: tuple[Change, ...] = (
        AddInstance(an_instance("new.gnt.test", disk, nic=a_nic("new"), port=11002), (disk,)),
        AddNode(node, "OUR:S"),
        AddNetwork(a_network("more", gateway="10.88.0.1")),
        AddFilter(a_rule("pause")),
        AddLeftover(a_leftover(7)),
        ChangeTags("cluster", "", add=frozenset({"gantry:was-here"})),
    )
    for change in changes:
        state = made(change, state)
    value = exported(as_json(state.configuration))
    assert misfits(value) == []
    assert value["version"] == version
    source = source_value(SUBNET, version)
    certificates = {**source["cluster"]["candidate_certs"], node.uuid: "OUR:S"}
    assert value["cluster"]["candidate_certs"] == certificates  # type: ignore[index] # a JSON value
    without = exported(as_json(made(RemoveNode(node.uuid), state).configuration))
    assert without["cluster"]["candidate_certs"] == source["cluster"]["candidate_certs"]  # type: ignore[index] # a JSON value


def test_the_schema_that_it_is_compared_with_knows_the_sample() -> None:
    value = source_value(SUBNET)
    assert misfits(value) == []
    value["gantry"] = {}
    value["nodes"][NODE3]["surprise"] = 1
    del value["cluster"]["master_ip"]
    assert misfits(value) == [
        "the configuration has the unknown gantry",
        "cluster lacks master_ip",
        f"node {NODE3} has the unknown surprise",
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "config.data is no config.data: "),
        (b"\x00\xff", "config.data is no config.data: "),
        (b"[1]", "it describes no cluster"),
        (b'{"version": 3000000}', "it describes no cluster"),
        (b'{"version": 2160000, "cluster": {}}', "has version 2160000, and only 3000000 or"),
        (b'{"version": "3000000", "cluster": {}}', "has version '3000000', and only"),
        (b'{"version": 3000000, "cluster": {}}', "does not fit Ganeti's schema: "),
        (b'{"version": 3000000, "cluster": {}, "gantry": {}}', "is Gantry's own configuration"),
    ],
)
def test_what_is_no_source_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(TakeoverRefused) as caught:
        parse_source(data, "config.data")
    assert text in str(caught.value)


def test_only_the_master_takes_over() -> None:
    source = parsed(source_value(SUBNET))
    assert check_master(source, "node1.gantry.test", f"{SUBNET}.1").name == "node1.gantry.test"
    with pytest.raises(TakeoverRefused, match="and this machine is node2"):
        check_master(source, "node2.gantry.test", f"{SUBNET}.2")
    with pytest.raises(TakeoverRefused, match=r"configuration says 127\.3\.2\.1 of node1"):
        check_master(source, "node1.gantry.test", "10.0.0.1")
    lost = evolve(source, cluster=evolve(source.cluster, master_node=NodeUuid("nobody")))
    with pytest.raises(TakeoverRefused, match="names a master node that it does not have"):
        check_master(lost, "node1.gantry.test", f"{SUBNET}.1")


def test_what_can_not_work_is_refused_and_what_can_is_told() -> None:
    value = source_value(SUBNET)
    instance = next(iter(value["instances"].values()))
    instance["primary_node"] = "nowhere"
    with pytest.raises(TakeoverRefused) as caught:
        check_rules(parsed(value))
    assert "mend it with Ganeti first:" in str(caught.value)
    assert f"instance {instance['name']}: refers to node nowhere" in str(caught.value)

    value = source_value(SUBNET)
    disk = next(iter(value["disks"].values()))
    disk["iv_name"] = "disk/7"
    assert [each.rule for each in check_rules(parsed(value))] == ["disks are named by their place"]
    assert check_rules(parsed(source_value(SUBNET))) == ()
