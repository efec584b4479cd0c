"""The whole daemon in memory, through its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from tests.unit.core.config.small_cluster import INST1, INST2, NODE2, ticket
from tests.unit.daemons.wconfd.running_wconfd import MASTER_NAME, lone_master_files

from gantry.daemons.wconfd.main import main
from gantry.protocols.changes import RemoveNode, SetInstanceState
from gantry.protocols.errors import BadCall, KeyConflict, NoLease, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.locks import BGL, Granted, Held, LockOwner, LockRequest
from gantry.protocols.records import Index
from gantry.protocols.wconfd import (
    WCONFD,
    Committed,
    Deltas,
    LivingJob,
    Refused,
    Reserved,
    Selection,
    Snapshot,
    Want,
    WConfD,
)
from gantry.runtime.daemon import StartRefused
from gantry.runtime.environment import Environment
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.rpc import connect
from gantry.runtime.testing.environment import RecordedReadiness, memory_environment
from gantry.runtime.testing.files import MemoryFiles

OWNER = LockOwner(JobId(1), Attempt(1))
UP = SetInstanceState(INST1, admin_state="up")


@asynccontextmanager
async def running(files: MemoryFiles) -> AsyncIterator[tuple[Environment, WConfD]]:
    """A daemon and a client."""
    env = memory_environment(MASTER_NAME, files)
    async with open_plain_nursery() as nursery:
        nursery.start_soon(main, env)
        await trio.testing.wait_all_tasks_blocked()
        async with connect(WCONFD, env.network, env.paths.socket("wconfd")) as client:
            yield env, client
        nursery.cancel_scope.cancel()


async def test_a_jobs_life() -> None:
    files = lone_master_files()
    async with running(files) as (env, wconfd):
        assert isinstance(env.readiness, RecordedReadiness)
        assert env.readiness.states == ["READY=1"]
        await wconfd.name_jobs(Epoch(1), ())
        granted = await wconfd.lock(OWNER, (LockRequest(BGL, "shared"),), 0)
        assert granted == Granted((Held(BGL, "shared"),), Index(0))
        (state,) = await wconfd.locks()
        assert (state.name, state.mode, state.owners, state.waits) == (BGL, "shared", (1,), ())
        assert await wconfd.blockers(OWNER) == ()
        wants = (Want("instance name", "new"), Want("mac"))
        assert isinstance(await wconfd.reserve(OWNER, wants), Reserved)

        part = await wconfd.read(Selection(instances=("inst1.gnt.test",), nodes="all"))
        assert part.instances[INST1].admin_state == "down"
        assert len(part.nodes) == 3
        assert await wconfd.commit(ticket(UP), UP) == Committed(Index(1))
        assert (await wconfd.lock(OWNER, (), 0)).index == Index(1)
        answer = await wconfd.deltas(Index(0))
        assert isinstance(answer, Deltas)
        assert await wconfd.verify() == ()
        await wconfd.flush()

        await wconfd.release(OWNER, None)
        await wconfd.drop_job(JobId(1))
        status = await wconfd.status()
        assert (status.index, status.locks, status.ready) == (1, 0, True)

    async with running(files) as (_, wconfd):
        snapshot = await wconfd.snapshot()
        assert isinstance(snapshot, Snapshot)
        assert snapshot.index == 1
        assert not (await wconfd.status()).ready


async def test_what_is_refused() -> None:
    async with running(lone_master_files()) as (_, wconfd):
        await wconfd.name_jobs(Epoch(1), (LivingJob(LockOwner(JobId(1), Attempt(2))),))
        wrong = RemoveNode(NODE2)
        refused = await wconfd.commit(ticket(wrong, job=2), wrong)
        assert isinstance(refused, Refused)
        assert refused.invariant.object == "node2.gnt.test"
        with pytest.raises(StaleAttempt):
            await wconfd.commit(ticket(UP, attempt=1), UP)
        with pytest.raises(StaleEpoch):
            await wconfd.commit(ticket(UP, attempt=2, epoch=0), UP)
        with pytest.raises(NoLease):
            await wconfd.name_jobs(Epoch(2), ())
        await wconfd.commit(ticket(UP, attempt=2), UP)
        other = SetInstanceState(INST2, admin_state="down")
        with pytest.raises(KeyConflict):
            await wconfd.commit(ticket(other, attempt=2), other)
        with pytest.raises(BadCall, match="instance name can not be made up"):
            await wconfd.reserve(LockOwner(JobId(1), Attempt(2)), (Want("instance name"),))


async def test_a_lost_connection_leaves_the_line() -> None:
    async with running(lone_master_files()) as (env, wconfd):
        await wconfd.name_jobs(Epoch(1), ())
        asked = (LockRequest(BGL, "exclusive"),)
        await wconfd.lock(OWNER, asked, 0)
        path = env.paths.socket("wconfd")
        two = LockOwner(JobId(2), Attempt(1))
        async with connect(WCONFD, env.network, path) as second, open_plain_nursery() as nursery:
            nursery.start_soon(second.lock, two, asked, 0)
            await trio.testing.wait_all_tasks_blocked()
            assert await wconfd.blockers(two) == (JobId(1),)
            await wconfd.set_lock_priority(two, -1)
            nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert await wconfd.blockers(two) == ()
        assert [state.waits for state in await wconfd.locks()] == [()]


async def test_ganetis_place_has_a_link_to_the_socket() -> None:
    files = lone_master_files()
    async with running(files) as (env, _):
        links = await files.list(Path("/var/run/ganeti/socket"))
        assert links == ("ganeti-wconfd",)
        assert env.paths.socket("wconfd") == Path("/run/gantry/wconfd")


async def test_a_damaged_file_is_a_clear_refusal() -> None:
    files = lone_master_files()
    files.put(Path("/var/lib/ganeti/locks.log"), b"garbage\n")
    with pytest.raises(
        StartRefused, match=r"locks\.log: record 0 at byte 0 is damaged: this is no log"
    ):
        await main(memory_environment(MASTER_NAME, files))
