"""Rendering config.data piece by piece gives what rendering it at once gives."""

from __future__ import annotations

import json

import trio
from attrs import evolve
from immutables import Map
from tests.unit.core.config.small_cluster import a_nic, an_instance, fake_uuid, sample

from gantry.daemons.wconfd.config_file import PIECE_OBJECTS, ConfigFile
from gantry.protocols.codec import to_bytes
from gantry.protocols.identity import InstanceUuid
from gantry.protocols.objects.configuration import Configuration, dump_configuration
from gantry.protocols.objects.instance import ForthcomingInstance, Instance


def large() -> Configuration:
    instances = {}
    for number in range(10 * PIECE_OBJECTS + 1):
        name = f"instance{number}"
        instances[InstanceUuid(fake_uuid(name))] = an_instance(name, nic=a_nic(name))
    configuration = sample()
    return evolve(configuration, instances=configuration.instances.update(instances))


async def test_pieces_make_the_whole() -> None:
    file = ConfigFile()  # the same for all: what one leaves behind is not in the next
    empty: Map[InstanceUuid, Instance] = Map()
    uuid = InstanceUuid(fake_uuid("to come"))
    forthcoming = sample().forthcoming_instances.set(
        uuid, ForthcomingInstance(uuid=uuid, serial_no=1)
    )
    for configuration in (
        sample(),
        evolve(sample(), instances=empty),
        large(),
        evolve(sample(), gantry=sample().gantry.set("log", {"index": 1})),
        evolve(sample(), forthcoming_instances=forthcoming),
    ):
        expected = dump_configuration(configuration)
        written = b"".join(await file.rendered(configuration))
        assert json.loads(written) == json.loads(to_bytes(expected))
        assert list(json.loads(written)) == list(expected)


async def test_others_may_work_in_between() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await ConfigFile().rendered(large())
        nursery.cancel_scope.cancel()
    assert turns >= 8
