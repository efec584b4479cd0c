"""Laws of the configuration's codec: what is written is read back, what is read is checked."""

import json
from copy import deepcopy
from pathlib import Path
from typing import cast

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.protocols.typed_values import JSON, values

from gantry.protocols.codec import OURS, Malformed, dump, load
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.configuration import (
    READABLE_VERSIONS,
    Configuration,
    dump_configuration,
    load_configuration,
)
from gantry.protocols.objects.disk import Disk, ForthcomingDisk
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import ForthcomingInstance, Instance, Nic
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.objects.wire import ConfigObject, dump_object, load_object
from gantry.protocols.values import Json

CLASSES: tuple[type[ConfigObject], ...] = (
    Cluster,
    Disk,
    FilterRule,
    ForthcomingDisk,
    ForthcomingInstance,
    Instance,
    Leftover,
    Network,
    Nic,
    Node,
    NodeGroup,
)
SAMPLE = json.loads((Path(__file__).parents[2] / "facts" / "samples" / "config.data").read_text())

large = settings(
    max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def through_json(value: Json) -> Json:
    return cast(Json, json.loads(json.dumps(value)))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
@large
def test_an_object_is_read_back_as_it_was(cls: type[ConfigObject], data: st.DataObject) -> None:
    value = data.draw(values(cls))
    dumped = dump_object(value)
    assert load_object(cls, through_json(dumped)) == value
    assert dump_object(load_object(cls, through_json(dumped))) == dumped


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
@large
def test_an_object_travels_in_our_own_protocols(
    cls: type[ConfigObject], data: st.DataObject
) -> None:
    value = data.draw(values(cls))
    assert load(cls, through_json(dump(value)), OURS) == value


@given(value=values(Configuration), version=st.sampled_from(READABLE_VERSIONS))
@large
def test_a_configuration_is_read_back_as_it_was(value: Configuration, version: int) -> None:
    taken = set(value.instances) | set(value.disks)
    coming = set(value.forthcoming_instances) | set(value.forthcoming_disks)
    if not taken & coming:
        value = attrs.evolve(value, version=version)
        assert load_configuration(through_json(dump_configuration(value))) == value


@given(value=JSON)
def test_any_json_value_is_refused_or_read(value: Json) -> None:
    with pytest.raises(Malformed):
        load_configuration(value)


@given(data=st.data(), replacement=JSON)
def test_a_changed_configuration_is_refused_or_read_back(
    data: st.DataObject, replacement: Json
) -> None:
    changed = deepcopy(SAMPLE)
    place = changed
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not (isinstance(place[key], dict) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = replacement
    try:
        configuration = load_configuration(changed)
    except Malformed:
        return
    again = load_configuration(through_json(dump_configuration(configuration)))
    assert again == configuration
