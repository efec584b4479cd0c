"""The export without WConfD: what the node's own files hold, to the last record."""

from __future__ import annotations

import pytest
from tests.unit.core.config.small_cluster import NODE2, sample, ticket
from tests.unit.daemons.wconfd.running_wconfd import config_store, master_files, on_master

from gantry.core.config.export import exported
from gantry.core.config.reservations import Reservations
from gantry.protocols.changes import ChangeTags
from gantry.protocols.codec import from_bytes, to_bytes
from gantry.protocols.objects.configuration import dump_configuration
from gantry.runtime.looking import read_configuration
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles


async def test_what_is_only_in_the_journal_is_exported_too() -> None:
    files = master_files()
    assert exported(await read_configuration(on_master(files))) == from_bytes(
        to_bytes(dump_configuration(sample()))
    )
    async with config_store(files) as store:
        for number, saved in ((1, True), (2, False)):
            change = ChangeTags("node", NODE2, add=frozenset({f"t{number}"}))
            await store.commit(ticket(change, step=number), change, Reservations())
            if saved:
                await store.saver.save()
        expected = from_bytes(to_bytes(dump_configuration(store.durable.configuration)))
    assert exported(await read_configuration(on_master(files))) == expected


async def test_a_machine_without_a_cluster_says_what_to_do() -> None:
    env = memory_environment("stranger", MemoryFiles())
    with pytest.raises(OSError, match="run this on the master"):
        await read_configuration(env)
