"""A job without the lease stands still, or its process leaves; neither is a failure of the job."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import trio
from attrs import evolve
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.twin_cluster import TwinLink, TwinNodeLinks, TwinWConfD
from trio.testing import wait_all_tasks_blocked

from gantry.daemons.job import main as job_main
from gantry.daemons.job.main import say_farewell
from gantry.daemons.job.process import JobServer
from gantry.daemons.job.work import Work
from gantry.protocols.errors import ConnectionLost, NoLease, ServiceError, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Attempt, Epoch, JobId
from gantry.protocols.jobproc import (
    JOB_PROCESS,
    Assignment,
    EventNumber,
    Numbered,
    Recorded,
    SpawnRequest,
)
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.opcodes.tags import OpTagsSet
from gantry.protocols.opcodes.testing import OpTestDelay
from gantry.protocols.steps import Done, StepRecord, TurnedBack
from gantry.runtime.environment import Environment
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.rpc import connect
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles

TAGS = OpTagsSet(kind="instance", name="inst1.gnt.test", tags=("a",))
TWO_DELAYS = OpTestDelay(duration=0.0, repeat=1)


def work_of(
    bench: JobBench,
    server: JobServer,
    nursery: trio.Nursery,
    opcode: OpTagsSet | OpTestDelay,
) -> Work:
    job = Assignment(
        JobId(1), Attempt(1), Epoch(1), "run", (dump_opcode(opcode),), 0, (), 0, 0
    )  # fmt: skip
    nodes = TwinNodeLinks(bench.cluster.nodes, bench.cluster.wconfd)
    link = TwinLink(bench.cluster.wconfd)
    return Work(bench.environment(), job, server, link, nodes, nursery)


async def committing(server: JobServer, heard: list[Numbered]) -> None:
    """Be a LuxiD that commits all that it hears."""
    last = EventNumber(0)
    while True:
        for each in await server.events(last):
            heard.append(each)
            last = each.number


def records(heard: list[Numbered]) -> list[StepRecord]:
    return [each.event.record for each in heard if isinstance(each.event, Recorded)]


@pytest.mark.parametrize(
    "refusal",
    [NoLease(), StaleEpoch(Epoch(1), Epoch(2)), StaleAttempt(JobId(1), Attempt(1), Attempt(2))],
)
async def test_who_may_not_act_leaves_without_undoing_recording_or_releasing(
    refusal: ServiceError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise refusal

    released: list[object] = []

    async def release(_: TwinWConfD, *what: object) -> None:
        released.append(what)

    monkeypatch.setattr(TwinWConfD, "commit", refuse)
    monkeypatch.setattr(TwinWConfD, "release", release)
    server, heard = JobServer(JobId(1)), list[Numbered]()
    async with open_plain_nursery() as nursery:
        nursery.start_soon(committing, server, heard)
        work = work_of(JobBench(tmp_path), server, nursery, TAGS)
        with pytest.raises(type(refusal)):
            await work.do()
        nursery.cancel_scope.cancel()
    assert not [r for r in records(heard) if isinstance(r, Done | TurnedBack)]
    assert released == []


async def test_the_next_process_goes_on_when_the_lease_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, refusals = JobBench(tmp_path), [NoLease()]
    real = TwinWConfD.commit

    async def refuse_once(wconfd: TwinWConfD, *what: object) -> object:
        if refusals:
            raise refusals.pop()
        return await real(wconfd, *what)  # type: ignore[arg-type] # as it came

    monkeypatch.setattr(TwinWConfD, "commit", refuse_once)
    with pytest.raises(NoLease):
        await bench.run(TAGS)
    bench.skip(-1)
    again = await bench.run(TAGS)
    assert again.statuses == {0: "success"}, again.results


async def test_a_process_that_leaves_notes_which_it_was(tmp_path: Path) -> None:
    env, files = JobBench(tmp_path).environment(), MemoryFiles()
    await say_farewell(evolve(env, files=files), SpawnRequest(JobId(7), Attempt(3), "/job-7"))
    assert await files.read(env.paths.farewell(JobId(7))) == b"3"


async def test_it_is_there_until_that_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """LuxiD kills a process whose socket refuses, and counts its death."""
    files = MemoryFiles()
    env = memory_environment("node1.gnt.test", files)
    files.put_folder(env.paths.sockets)
    socket, noted = env.paths.socket("job-7"), list[bool]()
    job = Assignment(JobId(7), Attempt(3), Epoch(1), "run", (), 0, (), 0, 0)

    async def refuse(*_: object) -> None:
        raise NoLease

    async def note(env: Environment, spawn: SpawnRequest) -> None:
        async with connect(JOB_PROCESS, env.network, socket) as remote:
            noted.append(await remote.assignment() == (spawn.job, spawn.attempt))

    monkeypatch.setattr(Work, "do", refuse)
    monkeypatch.setattr(job_main, "say_farewell", note)
    listener = await env.network.listen_unix(socket, 0o600)
    async with open_plain_nursery() as nursery:
        nursery.start_soon(
            job_main.main, env, listener, SpawnRequest(JobId(7), Attempt(3), str(socket))
        )
        async with connect(JOB_PROCESS, env.network, socket) as remote:
            with suppress(ConnectionLost):  # it may be gone before it has answered
                await remote.assign(job)
    assert noted == [True]


async def test_a_note_that_can_not_be_written_keeps_nobody(tmp_path: Path) -> None:
    env, files = JobBench(tmp_path).environment(), MemoryFiles()
    files.fault = lambda operation, path: OSError("no space")
    await say_farewell(evolve(env, files=files), SpawnRequest(JobId(7), Attempt(3), "/job-7"))
    assert not await files.exists(env.paths.farewell(JobId(7)))


async def test_while_the_lease_is_lost_no_step_begins(tmp_path: Path) -> None:
    server, heard = JobServer(JobId(1)), list[Numbered]()
    await server.set_lease(False)
    async with open_plain_nursery() as nursery:
        nursery.start_soon(committing, server, heard)
        over = trio.Event()

        async def do() -> None:
            await work_of(JobBench(tmp_path), server, nursery, TWO_DELAYS).do()
            over.set()

        nursery.start_soon(do)
        await wait_all_tasks_blocked(0.05)
        assert not [r for r in records(heard) if isinstance(r, Done)]
        assert not over.is_set()
        await server.set_lease(True)
        await over.wait()
        nursery.cancel_scope.cancel()
