"""The whole configuration against a config.data that a real Ganeti 3.0.2 wrote."""

import json
from copy import deepcopy
from pathlib import Path
from typing import cast

import attrs
import pytest
from tests.unit.core.config.small_cluster import a_leftover

from gantry.protocols.codec import OURS, Malformed, dump, load
from gantry.protocols.identity import DiskUuid, InstanceUuid, NodeUuid
from gantry.protocols.objects.configuration import (
    Configuration,
    dump_configuration,
    load_configuration,
)
from gantry.protocols.objects.disk import Disk, DrbdId, FileId, VolumeId
from gantry.protocols.objects.wire import dump_object, load_object

FACTS = Path(__file__).parents[3] / "facts"
JsonObject = dict[str, "Json"]
Json = object

SAMPLE = cast(
    "dict[str, dict[str, dict[str, Json]]]",
    json.loads((FACTS / "samples" / "config.data").read_text()),
)


def test_a_real_configuration_round_trips_exactly() -> None:
    configuration = load_configuration(SAMPLE)
    assert json.loads(json.dumps(dump_configuration(configuration))) == SAMPLE


def test_a_real_configuration_travels_in_our_own_protocols() -> None:
    configuration = load_configuration(SAMPLE)
    assert load(Configuration, json.loads(json.dumps(dump(configuration))), OURS) == configuration


def test_what_is_not_set_is_not_written() -> None:
    configuration = load_configuration(SAMPLE)
    assert "gantry" not in dump_configuration(configuration)
    assert "volume_group_name" not in dump_object(configuration.cluster)
    node = next(iter(configuration.nodes.values()))
    assert "hv_state_static" not in dump_object(node)
    state = attrs.evolve(node, hv_state_static={"kvm": {"cpu_total": 4}})
    assert dump_object(state)["hv_state_static"] == {"kvm": {"cpu_total": 4}}


def test_keys_that_we_do_not_know_are_kept_at_every_level() -> None:
    value = deepcopy(SAMPLE)
    value["surprise"] = {}
    value["cluster"]["surprise"] = {"a": [1]}
    for group in ("nodes", "nodegroups", "instances", "networks", "disks", "filters"):
        next(iter(value[group].values()))["surprise"] = "kept"
    assert dump_configuration(load_configuration(value)) == value


def test_our_own_key_is_kept() -> None:
    value = {**SAMPLE, "gantry": {"keys": {"1/0/0": "done"}}}
    assert dump_configuration(load_configuration(value)) == value


def test_left_overs_stand_under_our_own_key() -> None:
    left = a_leftover(3)
    there = {left.uuid: dump_object(left)}
    value = {**SAMPLE, "gantry": {"leftovers": there, "other": 1}}
    configuration = load_configuration(value)
    assert dict(configuration.leftovers) == {left.uuid: left}
    assert dict(configuration.gantry) == {"other": 1}
    assert dump_configuration(configuration) == value
    alone = {**SAMPLE, "gantry": {"leftovers": there}}
    assert dump_configuration(load_configuration(alone)) == alone
    wrong = {**SAMPLE, "gantry": {"leftovers": {"other": dump_object(left)}}}
    with pytest.raises(Malformed, match="the object under other has the uuid"):
        load_configuration(wrong)


def test_forthcoming_objects_stand_apart_inside_and_among_the_others_on_the_wire() -> None:
    value = deepcopy(SAMPLE)
    place = InstanceUuid("d3eae1d6-5d84-4a4c-b9d3-4a5c6a2b7a01")
    space = DiskUuid("d3eae1d6-5d84-4a4c-b9d3-4a5c6a2b7a02")
    value["instances"][place] = {
        "uuid": place,
        "serial_no": 1,
        "forthcoming": True,
        "name": "soon.example.org",
    }
    value["disks"][space] = {
        "uuid": space,
        "serial_no": 1,
        "forthcoming": True,
        "logical_id": ["vg", "lv"],
        "size": 128,
    }
    configuration = load_configuration(value)
    assert place not in configuration.instances
    assert configuration.forthcoming_instances[place].name == "soon.example.org"
    assert configuration.forthcoming_disks[space].size == 128
    assert dump_configuration(configuration) == value


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": 2170000}, "version 2170000"),
        ({"serial_no": True}, "serial_no: expected int"),
        ({"nodes": []}, "nodes: expected an object"),
        ({"instances": {"x": {"uuid": "x"}}}, "instances: x: name"),
        ({"cluster": None}, "cluster: expected an object"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(change: JsonObject, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        load_configuration({**SAMPLE, **change})


@pytest.mark.parametrize("value", [None, [], "config", 3000000, {}])
def test_what_is_no_configuration_is_refused(value: Json) -> None:
    with pytest.raises(Malformed):
        load_configuration(value)


def test_a_key_must_be_the_uuid_of_its_object() -> None:
    value = deepcopy(SAMPLE)
    uuid, node = value["nodes"].popitem()
    value["nodes"]["somewhere-else"] = node
    with pytest.raises(Malformed, match=f"somewhere-else has the uuid {uuid}"):
        load_configuration(value)


VOLUME: JsonObject = {
    "uuid": "u1", "serial_no": 1, "dev_type": "plain", "logical_id": ["xenvg", "data"], "size": 9,
    "children": [], "nodes": ["n1"], "iv_name": "", "mode": "rw", "ctime": 0, "mtime": 0,
}  # fmt: skip
MIRROR: JsonObject = {
    **VOLUME, "uuid": "u2", "dev_type": "drbd", "nodes": ["n1", "n2"], "children": [VOLUME, VOLUME],
    "logical_id": ["n1", "n2", 11000, 0, 3, "secret-words"], "iv_name": "disk/0",
}  # fmt: skip


def test_a_mirrored_disk_knows_its_ends_and_its_volumes() -> None:
    disk = load_object(Disk, MIRROR)
    assert disk.logical_id == DrbdId(NodeUuid("n1"), NodeUuid("n2"), 11000, 0, 3, "secret-words")
    assert disk.children[0].logical_id == VolumeId("xenvg", "data")
    assert dump_object(disk) == MIRROR


def test_the_secret_of_a_mirrored_disk_is_not_shown() -> None:
    assert "secret-words" not in repr(load_object(Disk, MIRROR))


@pytest.mark.parametrize(
    "change",
    [
        {"dev_type": "drbd"},
        {"dev_type": "file"},
        {"dev_type": "floppy"},
        {"dev_type": "diskless"},
        {"logical_id": ["xenvg"]},
        {"logical_id": ["xenvg", 7]},
        {"logical_id": "xenvg/data"},
        {"size": 1.5},
        {"mode": "w"},
    ],
)
def test_a_disk_that_makes_no_sense_is_refused(change: JsonObject) -> None:
    with pytest.raises(Malformed):
        load_object(Disk, {**VOLUME, **change})


def test_a_disk_can_not_be_made_with_the_place_of_another_template() -> None:
    disk = load_object(Disk, VOLUME)
    with pytest.raises(ValueError, match="plain has no FileId"):
        attrs.evolve(disk, logical_id=FileId("loop", "/srv/image"))
