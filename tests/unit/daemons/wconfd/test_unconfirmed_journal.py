"""What the journal held at the start is told to those who came before it was known to count."""

from __future__ import annotations

from tests.unit.core.config.small_cluster import INST1, NODE2, NODE3, ticket
from tests.unit.daemons.wconfd.running_wconfd import config_store, master_files
from tests.unit.runtime.memory_replicas import Node, asking
from trio.testing import wait_all_tasks_blocked

from gantry.core.config.reservations import Reservations
from gantry.protocols.changes import SetInstanceState
from gantry.protocols.identity import NodeUuid
from gantry.protocols.records import Index
from gantry.protocols.wconfd import Committed, Deltas, Snapshot
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.testing.files import MemoryFiles


async def committed_record(files: MemoryFiles, nodes: dict[NodeUuid, Node]) -> None:
    """Leave a record that counts in the journal, after what the snapshot has."""
    up = SetInstanceState(INST1, admin_state="up")
    async with config_store(files) as store, open_plain_nursery() as nursery:
        await nursery.start(store.replicate(asking(nodes)).run)
        assert isinstance(await store.commit(ticket(up), up, Reservations()), Committed)
        nursery.cancel_scope.cancel()


async def test_a_subscriber_that_waits_hears_of_it(autojump_clock: object) -> None:
    files, nodes = master_files(), {NODE2: Node(), NODE3: Node()}
    await committed_record(files, nodes)
    for node in nodes.values():
        node.away = True
    heard: list[Deltas | Snapshot] = []
    async with config_store(files) as store, open_plain_nursery() as nursery:
        await nursery.start(store.replicate(asking(nodes)).run)
        assert not store.confirmed
        seen = (await store.snapshot()).index

        async def wait() -> None:
            heard.append(await store.changes(seen))

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        for node in nodes.values():
            node.away = False
        assert store.log is not None
        assert await store.log.confirmed(30.0)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    [news] = heard
    assert isinstance(news, Deltas)
    assert [delta.index for delta in news.deltas] == [Index(seen + 1)]
