"""A WConfD in memory, on the master of the sample cluster."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.unit.core.config.small_cluster import MASTER, SAMPLE, sample_state

from gantry.daemons.wconfd.config_store import ConfigStore
from gantry.daemons.wconfd.lock_store import LockStore
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.identity import Epoch
from gantry.runtime.environment import Environment
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles

MASTER_NAME = "node1.gnt.test"


def master_files() -> MemoryFiles:
    """Return the files of the master with Ganeti's own configuration."""
    files = MemoryFiles()
    env = memory_environment(MASTER_NAME, files)
    files.put(env.paths.config, SAMPLE.read_bytes())
    return files


def lone_master_files() -> MemoryFiles:
    """Return the files of a master that is the only candidate: nobody else votes."""
    files = master_files()
    path = on_master(files).paths.config
    value = json.loads(SAMPLE.read_bytes())
    for node in value["nodes"].values():
        node["master_candidate"] = node["name"] == MASTER_NAME
    certificates = value["cluster"]["candidate_certs"]
    value["cluster"]["candidate_certs"] = {MASTER: certificates[MASTER]}
    files.put(path, json.dumps(value).encode())
    return files


def on_master(files: MemoryFiles) -> Environment:
    return memory_environment(MASTER_NAME, files)


@asynccontextmanager
async def config_store(files: MemoryFiles) -> AsyncIterator[ConfigStore]:
    """A configuration that is written, and not saved in the background."""
    store = await ConfigStore.open(on_master(files))
    async with store.journal.running():
        yield store


@asynccontextmanager
async def saving_config_store(files: MemoryFiles) -> AsyncIterator[ConfigStore]:
    """A configuration that is written and saved in the background."""
    async with config_store(files) as store, open_plain_nursery() as nursery:
        nursery.start_soon(store.saver.keep_saving)
        yield store
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def lock_store(
    files: MemoryFiles, *, ready: bool = True, epoch: Epoch = FIRST_EPOCH
) -> AsyncIterator[LockStore]:
    """Locks that are written; by default no job is unfinished."""
    store = await LockStore.open(on_master(files), epoch)
    async with store.journal.running():
        if ready:
            await store.name_jobs((), sample_state())
        yield store
