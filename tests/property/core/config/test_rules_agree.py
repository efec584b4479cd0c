"""Two implementations of the rules find the same in whatever configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.property.core.config.histories import a_change
from tests.property.core.config.plain_rules import UNIQUE, Breach, Value, breaches, leftovers
from tests.unit.core.config.small_cluster import (
    MASTER,
    NODE2,
    NODE3,
    NOW,
    a_drbd_disk,
    a_leftover,
    a_network,
    a_nic,
    an_instance,
    fake_uuid,
    made,
)

from gantry.core.config.apply import apply
from gantry.core.config.draft import Changed
from gantry.core.config.state import State
from gantry.core.config.verify import verify
from gantry.protocols.changes import AddInstance, AddLeftover
from gantry.protocols.codec import Malformed, to_bytes
from gantry.protocols.network_changes import AddNetwork
from gantry.protocols.objects.configuration import dump_configuration, load_configuration
from gantry.protocols.wconfd import Invariant

SPACE_AND_VALUE: Final = re.compile(r"uses (.*) twice|(.*) belongs to .*")
NOWHERE: Final = fake_uuid("nowhere")


def busy_state() -> State:
    """Return a cluster with something of every kind."""
    disk = a_drbd_disk("mirrored", 11000, 0)
    instance = an_instance("mirrored", disk, nic=a_nic("mirrored", "10.77.5.9"), port=11001)
    state = made(AddInstance(instance, (disk,)))
    state = made(AddNetwork(a_network("spare", gateway="10.88.0.1")), state)
    return made(AddLeftover(a_leftover(7)), state)


BUSY: Final = json.loads(to_bytes(dump_configuration(busy_state().configuration)))


def an_object(draw: st.DrawFn, config: Value, kind: str) -> Value:
    assume(config[kind])
    found: Value = config[kind][draw(st.sampled_from(sorted(config[kind])))]
    return found


def a_value_of_another(draw: st.DrawFn, config: Value) -> None:
    """Give an object what another of its kind has."""
    kind = draw(st.sampled_from(["nodes", "nodegroups", "instances", "networks", "disks"]))
    one, other = an_object(draw, config, kind), an_object(draw, config, kind)
    key = draw(st.sampled_from(sorted(set(one) & set(other) - {"uuid"})))
    if key not in ("logical_id", "dev_type", "children"):
        one[key] = deepcopy(other[key])


def a_missing_object(draw: st.DrawFn, config: Value) -> None:
    kind = draw(st.sampled_from(["nodes", "nodegroups", "networks", "disks", "instances"]))
    assume(config[kind])
    del config[kind][draw(st.sampled_from(sorted(config[kind])))]


def a_wrong_node(draw: st.DrawFn, config: Value) -> None:
    node = an_object(draw, config, "nodes")
    for flag in ("offline", "drained", "master_candidate", "master_capable"):
        node[flag] = draw(st.booleans())
    node["group"] = draw(st.sampled_from([node["group"], NOWHERE]))
    node["secondary_ip"] = draw(st.sampled_from(["10.77.0.11", "10.77.0.12", "10.78.0.1"]))


def a_wrong_instance(draw: st.DrawFn, config: Value) -> None:
    instance = an_object(draw, config, "instances")
    instance["primary_node"] = draw(st.sampled_from([MASTER, NODE2, NODE3, NOWHERE]))
    instance["disks"] = draw(st.lists(st.sampled_from([*config["disks"], NOWHERE]), max_size=3))
    nic = instance.setdefault("nics", [{"uuid": fake_uuid("nic"), "mac": "aa", "nicparams": {}}])[0]
    nic["mac"] = draw(st.sampled_from(["aa:00:00:89:FA:bc", "aa:00:00:00:00:01", "aa", nic["mac"]]))
    nic["ip"] = draw(st.sampled_from(["10.77.5.2", "10.77.5.30", "10.1.1.1", "no address"]))
    nic["network"] = draw(st.sampled_from([*config["networks"], NOWHERE]))
    instance["network_port"] = draw(st.integers(11000, 11003))


def a_wrong_disk(draw: st.DrawFn, config: Value) -> None:
    disk = an_object(draw, config, "disks")
    disk["nodes"] = draw(st.lists(st.sampled_from([MASTER, NODE2, NODE3, NOWHERE]), max_size=2))
    disk["iv_name"] = draw(st.sampled_from(["disk/0", "disk/1", ""]))
    disk["size"] = draw(st.integers(-1, 1))
    disk["children"] = disk["children"][: draw(st.integers(0, 2))]
    if disk["dev_type"] == "drbd":
        disk["logical_id"] = [
            NODE2,
            draw(st.sampled_from([NODE2, NODE3])),
            draw(st.integers(11000, 11002)),
            draw(st.integers(0, 1)),
            draw(st.integers(0, 1)),
            "secret",
        ]


def a_wrong_network(draw: st.DrawFn, config: Value) -> None:
    network = an_object(draw, config, "networks")
    network["name"] = draw(st.sampled_from(["", "net1", "other"]))
    network["network"] = draw(
        st.sampled_from([network["network"], "10.77.5.1/24", "10.0.0.0/8", "10.9.9.0/31", "what"])
    )
    network["gateway"] = draw(st.sampled_from(["10.77.5.0", "10.77.5.9", "10.77.5.30", "what"]))
    network["mac_prefix"] = draw(st.sampled_from(["aa:bb:cc", "aa:bb", "AA:BB:CC"]))
    bits = draw(st.sampled_from(["reservations", "ext_reservations"]))
    network[bits] = draw(st.sampled_from(["0" * 256, "1" * 256, "0" * 16, "2" * 256, ""]))


def a_wrong_cluster(draw: st.DrawFn, config: Value) -> None:
    cluster = config["cluster"]
    cluster["master_node"] = draw(st.sampled_from([MASTER, NODE3, NOWHERE]))
    cluster["candidate_certs"] = {draw(st.sampled_from([MASTER, NODE2, NOWHERE])): "AB"}
    cluster["enabled_hypervisors"] = draw(st.sampled_from([[], ["fake"], ["kvm", "lxc"]]))
    cluster["enabled_disk_templates"] = draw(st.sampled_from([[], ["file"]]))
    cluster["tcpudp_port_pool"] = draw(st.lists(st.integers(11000, 11003), max_size=3))
    cluster["highest_used_port"] = draw(st.integers(10999, 11003))


def a_wrong_policy(draw: st.DrawFn, config: Value) -> None:
    group = an_object(draw, config, "nodegroups")
    owner = draw(st.sampled_from([config["cluster"], group]))
    key = draw(st.sampled_from(["minmax", "std", "disk-templates", "vcpu-ratio", "surprise"]))
    spec = dict(BUSY["cluster"]["ipolicy"]["std"])
    spec["cpu-count"] = draw(st.sampled_from([-1, 3, 2.5, "many"]))
    most = draw(st.sampled_from([spec, {**spec, "cpu-count": 2}, {"cpu-count": 2}]))
    values: list[Any] = [
        [],
        [{"min": spec, "max": most}],
        spec,
        {},
        4.0,
        "what",
        ["file"],
        ["tape"],
    ]
    owner["ipolicy"][key] = draw(st.sampled_from(values))
    if draw(st.booleans()):
        owner["ipolicy"].pop("spindle-ratio", None)


def a_wrong_version(draw: st.DrawFn, config: Value) -> None:
    kind = draw(st.sampled_from(["nodes", "nodegroups", "instances", "networks"]))
    stored = draw(st.sampled_from([config["cluster"], an_object(draw, config, kind)]))
    stored["serial_no"] = draw(st.integers(-1, 1))
    stored["tags"] = draw(st.sampled_from([["a", "b"], ["not a tag"], ["x" * 129]]))
    for left in leftovers(config).values():
        left["node"] = draw(st.sampled_from([NODE3, NOWHERE]))
        left["serial_no"] = draw(st.integers(0, 1))
    for rule in config["filters"].values():
        rule["priority"] = draw(st.integers(-1, 1))


def a_forthcoming_instance(draw: st.DrawFn, config: Value) -> None:
    uuid = fake_uuid("soon")
    instance = an_object(draw, config, "instances")
    keys = draw(st.sets(st.sampled_from(["name", "primary_node", "nics", "disks", "network_port"])))
    taken = {key: instance[key] for key in keys if key in instance}
    config["instances"][uuid] = {"uuid": uuid, "serial_no": 1, "forthcoming": True, **taken}


CORRUPTIONS: tuple[Callable[[st.DrawFn, Value], None], ...] = (
    a_value_of_another,
    a_missing_object,
    a_wrong_node,
    a_wrong_instance,
    a_wrong_disk,
    a_wrong_network,
    a_wrong_cluster,
    a_wrong_policy,
    a_wrong_version,
    a_forthcoming_instance,
)


@st.composite
def corrupted(draw: st.DrawFn) -> Value:
    config: Value = deepcopy(BUSY)
    for corrupt in draw(st.lists(st.sampled_from(CORRUPTIONS), min_size=1, max_size=3)):
        corrupt(draw, config)
    return config


def as_breach(invariant: Invariant) -> Breach:
    if invariant.rule != UNIQUE:
        return (invariant.rule, invariant.object)
    match = SPACE_AND_VALUE.fullmatch(invariant.text)
    assert match is not None
    return (UNIQUE, match[1] or match[2])


def load(config: Value) -> State | None:
    try:
        return State.of(load_configuration(config))
    except Malformed:
        return None


@settings(max_examples=150, deadline=None)
@given(corrupted())
def test_both_find_the_same(config: Value) -> None:
    state = load(config)
    if state is not None:
        assert {as_breach(each) for each in verify(state)} == breaches(config)


@settings(max_examples=60, deadline=None)
@given(corrupted(), st.data())
def test_no_change_makes_a_broken_configuration_worse(config: Value, data: st.DataObject) -> None:
    state = load(config)
    if state is None or not state.configuration.nodes or not state.configuration.nodegroups:
        return
    change = data.draw(a_change(state))
    result = apply(state, change, NOW)
    assert isinstance(result, Changed | Invariant)


def test_the_busy_cluster_keeps_all_rules() -> None:
    assert breaches(BUSY) == set()
    assert verify(busy_state()) == ()
