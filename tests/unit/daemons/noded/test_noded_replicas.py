"""A node's replicas over the wire: what a leader sends is on the disk before it is answered."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
from attrs import define, evolve
from tests.unit.daemons.noded.conftest import DEADLINE_SECONDS, Machines, running
from typing_extensions import override

from gantry.core.config.folding import end_of_file
from gantry.core.queue.snapshot import take
from gantry.core.queue.state import Queue
from gantry.daemons.noded.master_services import MasterServices
from gantry.daemons.noded.replica_files import ReplicaFiles
from gantry.protocols.codec import Json, dump, from_bytes, load, to_bytes
from gantry.protocols.config_records import ConfigRecord, dump_record
from gantry.protocols.errors import Forbidden, StaleEpoch
from gantry.protocols.identity import Attempt, Epoch, JobId, Key
from gantry.protocols.job_archive import JOB_ARCHIVE, ArchivedFile
from gantry.protocols.noded import NODED, PORT, StepFailed
from gantry.protocols.queue_records import StoredQueue
from gantry.protocols.records import ORIGIN, Index, Position, Record, encode_records
from gantry.protocols.replication import (
    NOTHING,
    REPLICAS,
    STREAMS,
    Appended,
    Mismatch,
    Replicas,
    Snapshot,
    Stream,
)
from gantry.protocols.service import stub
from gantry.runtime.environment import Environment
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.service import http_call
from gantry.runtime.membership import own_certificate
from gantry.runtime.replica_log import ReplicaLog
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles
from gantry.security.contexts import client_context
from gantry.security.pem_files import AUTHORITY_PEM, CLIENT_PEM

ONE, TWO = Epoch(1), Epoch(2)


@asynccontextmanager
async def leading(caller: Environment, called: Environment) -> AsyncIterator[Replicas]:
    data = caller.paths.data
    tls = client_context((data / AUTHORITY_PEM).read_bytes(), data / CLIENT_PEM)
    async with HttpClient(caller.network, await called.address(), PORT, tls) as client:
        yield stub(REPLICAS, http_call(client, REPLICAS, DEADLINE_SECONDS))


@define
class Stopping(MasterServices):
    """Counts how often the master daemons are stopped."""

    stops: int = 0

    @override
    async def start(self) -> None:
        await trio.lowlevel.checkpoint()

    @override
    async def stop(self) -> None:
        await trio.lowlevel.checkpoint()
        self.stops += 1


async def tell_candidates(
    caller: Environment, called: Environment, names: str, serial: int
) -> None:
    """Store the names of the candidates on a node."""
    await tell(caller, called, {"master_candidates": names}, serial)


async def tell(
    caller: Environment, called: Environment, values: dict[str, str], serial: int
) -> None:
    """Store ssconf values on a node, as of a configuration's serial number."""
    data = caller.paths.data
    tls = client_context((data / AUTHORITY_PEM).read_bytes(), data / CLIENT_PEM)
    async with HttpClient(caller.network, await called.address(), PORT, tls) as client:
        noded = stub(NODED, http_call(client, NODED, DEADLINE_SECONDS))
        await noded.store_ssconf(ONE, serial, frozenset(), values)


def changes(after: Position, count: int, epoch: Epoch = ONE) -> tuple[Record, ...]:
    """Return records that change nothing but the serial number."""
    payloads = [
        dump_record(
            ConfigRecord(
                Key(JobId(epoch), 0, after.index + n), Attempt(1), f"digest {n}", 100 + n, 5.0, ()
            )
        )
        for n in range(count)
    ]
    return encode_records(after, epoch, payloads)[1]


def snapshot_of(env: Environment) -> Snapshot:
    data = from_bytes(env.paths.config.read_bytes())
    assert isinstance(data, dict)
    return Snapshot(end_of_file(data), data)


async def test_a_replica_follows_its_leader(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
    snapshot = snapshot_of(master)
    first = changes(snapshot.end.position, 3)
    async with running(node), leading(master, node) as replicas:
        asked = await replicas.append_records("config", ONE, first[1].position, (), Index(0))
        assert isinstance(asked, Mismatch)
        installed = await replicas.install_snapshot("config", ONE, snapshot)
        assert installed == Appended(snapshot.end.position)
        added = await replicas.append_records("config", ONE, snapshot.end.position, first, Index(2))
        assert added == Appended(first[-1].position)
    async with running(node), leading(master, node) as replicas:  # all of it was durable
        state = await replicas.replica_state("config")
        assert state.end.position == first[-1].position
        copy = await replicas.replica_copy("config")
        assert copy.records[-1:] == first[-1:]


async def test_a_replica_that_could_not_be_opened_is_no_other_reign(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
    whole, opened = ReplicaFiles.open, list[str]()

    async def fails_once(env: Environment, stream: Stream, promised: Epoch) -> ReplicaFiles:
        opened.append(stream)
        if opened == ["config", "queue"]:
            raise OSError(errno.EIO, "Input/output error", "queue.journal")
        return await whole(env, stream, promised)

    monkeypatch.setattr(ReplicaFiles, "open", fails_once)
    async with running(node), leading(master, node) as replicas:
        with pytest.raises(StepFailed, match="Input/output error"):
            await replicas.append_records("config", ONE, ORIGIN, (), Index(0))
        for stream in STREAMS:  # StaleEpoch would end the leader
            answer = await replicas.append_records(stream, ONE, ORIGIN, (), Index(0))
            assert isinstance(answer, Appended)
    assert opened == ["config", "queue", "config", "queue"]


async def test_a_snapshot_of_the_queue_leaves_a_gap_in_the_archive(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
    snapshot = Snapshot(NOTHING, dump(StoredQueue(ORIGIN, take(Queue()))))
    data = master.paths.data
    tls = client_context((data / AUTHORITY_PEM).read_bytes(), data / CLIENT_PEM)
    client = HttpClient(master.network, await node.address(), PORT, tls)
    async with running(node), leading(master, node) as replicas, client:
        archive = stub(JOB_ARCHIVE, http_call(client, JOB_ARCHIVE, DEADLINE_SECONDS))
        assert await archive.archive_gap() is None
        end = load(StoredQueue, snapshot.data).end
        await replicas.install_snapshot("queue", ONE, evolve(snapshot, end=end))
        assert await archive.archive_gap() == end.index
        await archive.write_archived(ONE, (ArchivedFile(JobId(3), "{}"),))
        assert await archive.archived_jobs(0) == (3,)
        await replicas.promise(TWO)
        with pytest.raises(StaleEpoch):
            await archive.close_archive_gap(ONE, end.index)
        await archive.close_archive_gap(TWO, end.index)
        assert await archive.archive_gap() is None


async def test_a_promise_is_kept_across_restarts_and_a_tail_is_saved_aside(
    machines: Machines,
) -> None:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
    snapshot = snapshot_of(master)
    old = changes(snapshot.end.position, 3)
    new = changes(old[0].position, 1, TWO)
    async with running(node), leading(master, node) as replicas:
        await replicas.install_snapshot("config", ONE, snapshot)
        await replicas.append_records("config", ONE, snapshot.end.position, old, Index(1))
        promised = await replicas.promise(TWO)
        assert promised.config.position == old[-1].position
    async with running(node), leading(master, node) as replicas:
        with pytest.raises(StaleEpoch):
            await replicas.append_records("config", ONE, old[-1].position, (), Index(1))
        with pytest.raises(StaleEpoch):
            await replicas.promise(TWO)
        added = await replicas.append_records("config", TWO, old[0].position, new, Index(2))
        assert added == Appended(new[-1].position)
        assert (await replicas.replica_state("config")).end.position == new[-1].position
    (aside,) = node.paths.data.glob("config.log.aside-*")
    assert b"digest 2" in aside.read_bytes()


async def test_a_crash_between_a_snapshot_and_its_log_does_not_silence_a_voter(
    machines: Machines,
) -> None:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
    snapshot = snapshot_of(master)
    async with running(node), leading(master, node) as replicas:
        await replicas.install_snapshot("config", ONE, snapshot)
    other = changes(Position(Index(50), snapshot.end.checksum), 2)
    await ReplicaLog.open(node.files, node.paths.data / "other.log", other[0].position)
    (node.paths.data / "other.log").replace(node.paths.data / "config.log")
    async with running(node), leading(master, node) as replicas:
        assert (await replicas.promise(TWO)).config == snapshot.end
        assert (await replicas.replica_copy("config")).snapshot == snapshot


async def test_records_that_were_changed_on_their_way_are_refused(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
    snapshot = snapshot_of(master)
    (record,) = changes(snapshot.end.position, 1)
    forged = Record(record.epoch, record.index, record.checksum, {"forged": True})
    async with running(node), leading(master, node) as replicas:
        await replicas.install_snapshot("config", ONE, snapshot)
        with pytest.raises(StepFailed):
            await replicas.append_records("config", ONE, snapshot.end.position, (forged,), Index(0))
        assert (await replicas.replica_state("config")).end == snapshot.end


async def test_a_leader_takes_nothing_from_its_own_epoch(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master), leading(master, master) as replicas:
        with pytest.raises(StepFailed):
            await replicas.install_snapshot("config", ONE, snapshot_of(master))


async def test_a_new_candidate_is_known_at_once_where_the_master_writes_the_replica(
    machines: Machines,
) -> None:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
        own = await own_certificate(node)
        assert own is not None
        async with leading(node, master) as replicas:
            with pytest.raises(Forbidden):
                await replicas.promise(TWO)
            # WConfD commits it; the ssconf files follow some time later.
            data = from_bytes(master.paths.config.read_bytes())
            assert isinstance(data, dict)
            cluster = cast("dict[str, Json]", data["cluster"])
            cast("dict[str, Json]", cluster["candidate_certs"])[own.common_name] = own.sha1
            master.paths.config.write_bytes(to_bytes(data))
            assert (await replicas.promise(TWO)).epoch == TWO


async def test_who_is_no_candidate_any_more_drops_its_replica(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        node = await machines.joined(2)
    snapshot = snapshot_of(master)
    records = changes(snapshot.end.position, 3)  # with the serial numbers 100 to 102
    files = ("config.data", "config.log", "queue.snapshot", "queue.journal")
    async with running(node), leading(master, node) as replicas:
        await replicas.install_snapshot("config", ONE, snapshot)
        await replicas.append_records("config", ONE, snapshot.end.position, records, Index(2))
        both = f"{master.node} {node.node}"
        await tell_candidates(master, node, both, 98)
        await tell_candidates(master, node, master.node, 101)  # older than what is here
        assert (await replicas.replica_state("config")).end.position == records[-1].position
        await tell_candidates(master, node, both, 102)
        assert node.paths.config.exists()
        await tell_candidates(master, node, master.node, 103)
        assert not [name for name in files if (node.paths.data / name).exists()]
        assert (await replicas.replica_state("config")).end.index == 0
        # It may become one again.
        await replicas.install_snapshot("config", ONE, snapshot)
        assert node.paths.config.exists()
    async with running(node):  # what was not done before a crash is done at the next start
        assert not node.paths.config.exists()


@pytest.mark.parametrize("stream", STREAMS)
async def test_a_replica_without_a_snapshot_has_nothing_to_fold(stream: Stream) -> None:
    """A node that becomes a candidate again hears of one stream before the other."""
    files = MemoryFiles()
    env = memory_environment("node1.gantry.test", files)
    files.put_folder(env.paths.data)
    held = await ReplicaFiles.open(env, stream, ONE)
    await held.fold()
    await held.shorten()
    assert (held.data, held.replica.end.index) == (None, 0)
    await held.aclose()


async def test_an_old_master_stands_down_though_it_was_told_of_the_new_one_before(
    machines: Machines,
) -> None:
    master, services = await machines.founded(), Stopping()
    snapshot = snapshot_of(master)
    async with running(master, services), leading(master, master) as replicas:
        await tell(master, master, {"master_node": "node2.gantry.test"}, 99)
        records = changes(snapshot.end.position, 1, TWO)
        await replicas.append_records("config", TWO, snapshot.end.position, records, Index(0))
        assert services.stops == 1
        await replicas.append_records("config", TWO, records[-1].position, (), Index(0))
        assert services.stops == 1


async def test_who_is_promoted_again_begins_with_new_master_daemons(machines: Machines) -> None:
    """Those of its earlier reign may run for a moment yet, and would be taken for the new ones."""
    master, services = await machines.founded(), Stopping()
    async with running(master, services), leading(master, master) as replicas:
        for epoch, stops in ((TWO, 1), (Epoch(3), 2)):
            await replicas.promise(epoch)
            await replicas.start_master(epoch, None)
            await replicas.start_master(epoch, None)  # whose answer was lost
            assert services.stops == stops
