"""A subscriber gets the whole of a large configuration, and nobody waits while it is rendered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
import trio
import trio.testing
from attrs import define, evolve, field
from tests.unit.core.config.small_cluster import a_nic, an_instance, fake_uuid
from tests.unit.daemons.wconfd.running_wconfd import config_store, lock_store, lone_master_files
from typing_extensions import override

from gantry.daemons.wconfd import config_file
from gantry.daemons.wconfd.config_file import PIECE_OBJECTS
from gantry.daemons.wconfd.config_store import ConfigStore
from gantry.daemons.wconfd.server import WConfDServer
from gantry.protocols import codec
from gantry.protocols.codec import Json, from_bytes, to_bytes, to_pieces
from gantry.protocols.identity import InstanceUuid
from gantry.protocols.objects.configuration import dump_configuration
from gantry.protocols.objects.wire import ConfigObject, dump_object
from gantry.protocols.replication import REPLICAS
from gantry.protocols.wconfd import WCONFD
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.rpc import WRITE_BYTES, client, serve_connection

INSTANCES = 20 * PIECE_OBJECTS

SLICE_OBJECTS_MAX = 2 * PIECE_OBJECTS
"""The task that watches may be the first of one round and the last of the next."""

SLICE_BYTES_MAX = 64 * 1024
"""Rendered at once: a fiftieth of what a megabyte takes, which is a millisecond or two."""


@define
class Slices:
    """What was done between two turns of a task that is always ready."""

    objects: int = 0
    rendered_bytes: int = 0
    objects_max: int = 0
    rendered_bytes_max: int = 0
    objects_total: int = 0

    def dump_object(self, value: ConfigObject) -> Json:
        self.objects += 1
        self.objects_total += 1
        return dump_object(value)

    def dumps(self, value: object, default: Callable[[Any], Any] | None = None) -> bytes:
        made = orjson.dumps(value, default=default)
        self.rendered_bytes += len(made)
        return made

    async def watch(self) -> None:
        while True:
            self.objects_max = max(self.objects_max, self.objects)
            self.rendered_bytes_max = max(self.rendered_bytes_max, self.rendered_bytes)
            self.objects = self.rendered_bytes = 0
            await trio.lowlevel.checkpoint()


class CountedOrjson:
    """Renders as orjson does, and counts."""

    loads = staticmethod(orjson.loads)
    Fragment = orjson.Fragment
    JSONDecodeError = orjson.JSONDecodeError

    def __init__(self, slices: Slices) -> None:
        self.dumps = slices.dumps


@define(eq=False)
class Measuring(trio.abc.Stream):
    """Notes how much is given to the stream at once."""

    inner: trio.abc.Stream
    written: list[int] = field(factory=list)

    @override
    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    @override
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(len(data))
        await self.inner.send_all(data)

    @override
    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    @override
    async def aclose(self) -> None:
        await self.inner.aclose()


def fill(store: ConfigStore) -> None:
    """Put many instances into a configuration, past all rules."""
    instances = {}
    for number in range(INSTANCES):
        name = f"instance{number}"
        instances[InstanceUuid(fake_uuid(name))] = an_instance(name, nic=a_nic(name))
    before = store.durable.configuration
    configuration = evolve(before, instances=before.instances.update(instances))
    store.durable = evolve(store.durable, configuration=configuration)


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> Slices:
    slices = Slices()
    monkeypatch.setattr(config_file, "dump_object", slices.dump_object)
    monkeypatch.setattr(codec, "orjson", CountedOrjson(slices))
    return slices


async def test_a_subscriber_holds_nobody_up(slices: Slices) -> None:
    files = lone_master_files()
    async with (
        config_store(files) as store,
        lock_store(files) as held,
        open_plain_nursery() as nursery,
    ):
        fill(store)
        ours, theirs = trio.testing.memory_stream_pair()
        stream = Measuring(theirs)
        nursery.start_soon(serve_connection, WCONFD, WConfDServer(store, held), stream)
        async with client(WCONFD, ours) as subscriber:
            nursery.start_soon(slices.watch)
            snapshot = await subscriber.snapshot()
        nursery.cancel_scope.cancel()
    whole = from_bytes(to_bytes(dump_configuration(store.durable.configuration)))
    assert from_bytes(to_bytes(snapshot.configuration)) == whole
    assert slices.objects_total > INSTANCES
    assert slices.objects_max <= SLICE_OBJECTS_MAX
    assert slices.rendered_bytes_max <= SLICE_BYTES_MAX
    assert max(stream.written) < 2 * WRITE_BYTES


async def test_the_next_one_renders_nothing_again(slices: Slices) -> None:
    files = lone_master_files()
    async with config_store(files) as store:
        fill(store)
        first = await store.snapshot()
        rendered = slices.objects_total
        again = await store.snapshot()
        assert b"".join(to_pieces(again.configuration)) == b"".join(to_pieces(first.configuration))
        assert slices.objects_total == rendered


async def test_a_replica_s_snapshot_is_rendered_in_slices_too(slices: Slices) -> None:
    files = lone_master_files()
    async with config_store(files) as store, open_plain_nursery() as nursery:
        fill(store)
        nursery.start_soon(slices.watch)
        snapshot = await store._replica_snapshot()
        sent = REPLICAS.method("install_snapshot").dump_args(
            {"stream": "config", "epoch": snapshot.end.epoch, "snapshot": snapshot}
        )
        pieces = to_pieces(sent)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert len(b"".join(pieces)) > 5 * SLICE_BYTES_MAX
    assert slices.objects_max <= SLICE_OBJECTS_MAX
    assert slices.rendered_bytes_max <= SLICE_BYTES_MAX
