"""A directory that follows changes is the one that is made afresh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs
from hypothesis import given
from hypothesis import strategies as st

from gantry.core.config.claims import Ref
from gantry.core.query.view import View
from gantry.protocols.identity import DiskUuid, InstanceUuid, NetworkUuid, NodeUuid
from gantry.protocols.objects.configuration import Configuration, load_configuration
from gantry.protocols.objects.instance import Instance

SAMPLE: Final = Path(__file__).parents[3] / "facts" / "samples" / "config.data"
NAMES: Final = ("web1", "web10.a", "web2.a.b", "web02.a", "web", "web.a", "a.web", "a-1")
NODES: Final = tuple(map(NodeUuid, ("node-a", "node-b", "node-c")))
NETWORKS: Final = tuple(map(NetworkUuid, ("net-a", "net-b")))


def sample() -> Configuration:
    return load_configuration(json.loads(SAMPLE.read_text()))


CONFIGURATION: Final = sample()
MODEL: Final = next(each for each in CONFIGURATION.instances.values() if each.disks)
DISK: Final = CONFIGURATION.disks[MODEL.disks[0]]


def instance(number: int, drawn: tuple[str, NodeUuid, NodeUuid | None, Any]) -> Any:  # noqa: ANN401 - an instance with its disk
    name, primary, secondary, networks = drawn
    disk = DiskUuid(f"disk-{number}")
    nodes = (primary,) if secondary is None else (primary, secondary)
    nics = tuple(attrs.evolve(MODEL.nics[0], network=network) for network in networks)
    made = attrs.evolve(
        MODEL, uuid=InstanceUuid(f"uuid-{number}"), name=name,
        primary_node=primary, disks=(disk,), nics=nics,
    )  # fmt: skip
    return made, attrs.evolve(DISK, uuid=disk, nodes=nodes)


DRAWN: Final = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(NODES),
    st.sampled_from((None, *NODES)),
    st.lists(st.sampled_from(NETWORKS), max_size=2),
)
CHANGES: Final = st.lists(
    st.tuples(st.integers(0, 7), st.none() | DRAWN, st.booleans()), max_size=12
)


@given(CHANGES)
def test_following_is_making_afresh(changes: list[tuple[int, Any, bool]]) -> None:
    view = View(CONFIGURATION)
    view.directory  # noqa: B018 - what is not made yet has nothing to follow
    for number, drawn, only_the_disk in changes:
        configuration, changed = changed_by(view.configuration, number, drawn, only_the_disk)
        view = view.followed(configuration, changed)
        assert seen(view) == seen(View(configuration))


def changed_by(
    configuration: Configuration,
    number: int,
    drawn: Any,  # noqa: ANN401 - what DRAWN draws
    only_the_disk: bool,
) -> tuple[Configuration, list[Ref]]:
    uuid, disk = InstanceUuid(f"uuid-{number}"), DiskUuid(f"disk-{number}")
    instances, disks = configuration.instances, configuration.disks
    refs = [Ref("disk", disk)] if only_the_disk else [Ref("instance", uuid), Ref("disk", disk)]
    if drawn is None:
        only_the_disk = False
        refs = [Ref("instance", uuid), Ref("disk", disk)]
        instances = instances.delete(uuid) if uuid in instances else instances
        disks = disks.delete(disk) if disk in disks else disks
    else:
        name, *rest = drawn
        if any(each.name == name and each.uuid != uuid for each in instances.values()):
            name = f"{name}.{number}"
        made, its_disk = instance(number, (name, *rest))
        if not only_the_disk:
            instances = instances.set(uuid, made)
        disks = disks.set(disk, its_disk)
    return attrs.evolve(configuration, instances=instances, disks=disks), refs


def seen(view: View) -> object:
    directory = view.directory
    return (
        [each.uuid for each in directory.instances if isinstance(each, Instance)],
        {key: names for key, names in directory.primaries.items() if names},
        {key: names for key, names in directory.secondaries.items() if names},
        {key: names for key, names in directory.network_users.items() if names},
    )


@given(st.lists(DRAWN, max_size=8), st.sampled_from(NAMES))
def test_an_unambiguous_beginning_finds_an_instance(drawn: list[Any], wanted: str) -> None:
    configuration = CONFIGURATION
    for number, each in enumerate(drawn):
        configuration, _ = changed_by(configuration, number, each, only_the_disk=False)
    instances = configuration.instances.values()
    exact = [each for each in instances if each.name == wanted]
    longer = [each for each in instances if each.name.startswith(wanted + ".")]
    found = View(configuration).find_instance(wanted)
    if exact:
        assert found in exact
    else:
        assert found == (longer[0] if len(longer) == 1 else None)
