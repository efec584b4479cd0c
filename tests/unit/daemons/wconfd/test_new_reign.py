"""A new reign begins with its own record, and waits for nothing that can not come before it."""

from __future__ import annotations

import trio
from attrs import evolve
from tests.unit.core.config.small_cluster import INST1, MASTER, NODE2, NODE3, ticket
from tests.unit.daemons.wconfd.running_wconfd import config_store, master_files, on_master
from tests.unit.runtime.memory_replicas import Node, asking

from gantry.core.config.reservations import Reservations
from gantry.daemons.wconfd.config_store import CONFIRMATION_SECONDS
from gantry.protocols.changes import SetInstanceState
from gantry.protocols.identity import Epoch
from gantry.protocols.wconfd import Committed
from gantry.runtime.allegiance import Allegiance, write_allegiance
from gantry.runtime.nursery import open_plain_nursery

TWO = Epoch(2)
UP = SetInstanceState(INST1, admin_state="up")


async def test_records_of_an_earlier_reign_hold_up_no_new_one(autojump_clock: object) -> None:
    files, nodes = master_files(), {NODE2: Node(), NODE3: Node()}
    async with config_store(files) as store, open_plain_nursery() as nursery:
        await nursery.start(store.replicate(asking(nodes)).run)
        assert await store.begin_reign() is None
        assert isinstance(await store.commit(ticket(UP), UP, Reservations()), Committed)
        nursery.cancel_scope.cancel()
    await write_allegiance(files, on_master(files).paths, Allegiance(TWO, TWO))
    for node in nodes.values():
        node.replica = evolve(node.replica, promised=TWO)
    async with config_store(files) as store, open_plain_nursery() as nursery:
        await nursery.start(store.replicate(asking(nodes)).run)
        began = trio.current_time()
        assert await store.begin_reign() == MASTER
        assert trio.current_time() - began < CONFIRMATION_SECONDS
        assert (store.durable.epoch, store.durable.index) == (TWO, 2)
        nursery.cancel_scope.cancel()
