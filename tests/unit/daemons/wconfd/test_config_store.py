"""The configuration on disk: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve
from tests.unit.core.config.small_cluster import INST1, NODE2, a_leftover, sample, ticket
from tests.unit.daemons.wconfd.running_wconfd import (
    config_store,
    master_files,
    on_master,
    saving_config_store,
)

from gantry.core.config.reservations import Reservations
from gantry.core.config.state import State
from gantry.core.config.verify import verify
from gantry.daemons.wconfd import config_saver as module
from gantry.daemons.wconfd.config_store import ConfigStore
from gantry.protocols.changes import AddLeftover, ChangeTags, SetInstanceState
from gantry.protocols.codec import from_bytes, to_bytes, to_pieces
from gantry.protocols.config_records import load_record
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import Epoch, InstanceUuid, JobId, Key
from gantry.protocols.objects.configuration import dump_configuration
from gantry.protocols.records import CorruptRecord, Index, decode_log
from gantry.protocols.wconfd import Committed, Deltas, NeverSeen, NotDurable, Refused, Snapshot
from gantry.runtime.daemon import StartRefused
from gantry.runtime.journal import JournalGap
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles, Operation, PowerLost

UP = SetInstanceState(INST1, admin_state="up")
LOG = Path("/var/lib/ganeti/config.log")
CONFIG = Path("/var/lib/ganeti/config.data")


def tag(number: int) -> ChangeTags:
    return ChangeTags("node", NODE2, add=frozenset({f"t{number}"}))


async def add_tag(store: ConfigStore, number: int) -> Index:
    change = tag(number)
    done = await store.commit(ticket(change, step=number), change, Reservations())
    assert isinstance(done, Committed)
    return done.index


def tags(state: State) -> set[str]:
    return set(state.configuration.nodes[NODE2].tags) - {"rack1"}


async def test_a_change_is_there_after_a_restart() -> None:
    files = master_files()
    async with config_store(files) as store:
        assert await store.commit(ticket(UP), UP, Reservations()) == Committed(Index(1))
        before = store.durable

    async with config_store(files) as store:
        assert store.durable == before
        assert verify(store.durable) == ()
        assert await store.commit(ticket(UP), UP, Reservations()) == Committed(Index(1))
        assert await store.outcome(ticket(UP).key) == Committed(Index(1))
        assert await store.outcome(Key(JobId(9), 0, 0)) == NeverSeen()


async def test_a_left_over_is_seen_by_subscribers_and_survives_a_restart() -> None:
    files, change = master_files(), AddLeftover(a_leftover(1))
    async with config_store(files) as store:
        assert await store.commit(ticket(change), change, Reservations()) == Committed(Index(1))
        followed = await store.changes(Index(0))
        assert isinstance(followed, Deltas)
        assert [each.of for each in followed.deltas[0].objects] == ["leftover"]
        await store.saver.save()
        before = store.durable
    async with config_store(files) as store:
        assert store.durable == before
        assert list(store.durable.configuration.leftovers) == [change.leftover.uuid]
        assert verify(store.durable) == ()


async def test_the_next_record_tells_which_jobs_are_over() -> None:
    files = master_files()
    async with config_store(files) as store:
        await add_tag(store, 1)
        job = ticket(tag(1)).key.job
        store.forget(job)
        store.forget(JobId(99))  # it has never changed anything
        other = tag(2)
        await store.commit(ticket(other, job=2), other, Reservations())
        await store.commit(ticket(tag(3), job=3), tag(3), Reservations())
    _, second, third = decode_log(await files.read(LOG), "").records
    assert load_record(second.payload).over == (job,)
    assert load_record(third.payload).over == ()


async def test_a_refused_change_writes_nothing() -> None:
    async with config_store(master_files()) as store:
        wrong = SetInstanceState(InstanceUuid("nobody"), admin_state="up")
        assert isinstance(await store.commit(ticket(wrong), wrong, Reservations()), Refused)
        assert store.journal.figures.records == 0


async def test_concurrent_changes_share_a_flush_and_none_is_lost() -> None:
    async with config_store(master_files()) as store:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(add_tag, store, number)
        assert store.journal.figures.flushes == 1
        assert tags(store.durable) == {f"t{number}" for number in range(50)}


async def test_nobody_sees_a_change_before_it_is_durable() -> None:
    async with config_store(master_files()) as store:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(add_tag, store, 1)
            while store.head is store.durable:
                await trio.lowlevel.checkpoint()
            assert tags(store.head) == {"t1"}
            assert tags(store.durable) == set()
        assert tags(store.durable) == {"t1"}


async def test_a_voter_whose_removal_does_not_count_yet_is_still_known() -> None:
    async with config_store(master_files()) as store:
        removed = evolve(
            store.head.configuration, nodes=store.head.configuration.nodes.delete(NODE2)
        )
        store.head = evolve(store.head, configuration=removed)
        assert store.voter(NODE2) == store.durable.configuration.nodes[NODE2]
        store.durable = store.head
        with pytest.raises(ConnectionLost, match="no node"):
            store.voter(NODE2)


async def test_the_same_key_in_flight_waits_for_the_first() -> None:
    async with config_store(master_files()) as store:
        indexes: list[Index] = []

        async def ask() -> None:
            indexes.append(await add_tag(store, 1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
        assert indexes == [1, 1]
        assert store.journal.figures.records == 1


async def test_a_cancelled_change_counts_all_the_same() -> None:
    files = master_files()
    async with config_store(files) as store:
        with trio.CancelScope() as scope:
            scope.cancel()
            await add_tag(store, 1)
        assert await store.outcome(ticket(tag(1), step=1).key) == Committed(Index(1))
        assert tags(store.durable) == {"t1"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
async def test_on_a_disk_that_takes_nothing_nothing_changes_and_reads_go_on(
    autojump_clock: object, number: int
) -> None:
    files = master_files()
    full = True

    def fault(operation: Operation, _: Path) -> OSError | None:
        writing = operation in ("append", "write")
        return OSError(number, os.strerror(number)) if full and writing else None

    async with config_store(files) as store:
        files.fault = fault
        before = store.durable
        said = f"{os.strerror(number)}; free space or mend the disk, and try again"
        with pytest.raises(NotDurable, match=re.escape(said)):
            await add_tag(store, 1)
        assert store.durable == store.head == before
        full = False
        assert await add_tag(store, 1) == 1
    async with config_store(files) as store:
        assert tags(store.durable) == {"t1"}


async def test_config_data_follows_a_second_behind(autojump_clock: object) -> None:
    files = master_files()
    async with saving_config_store(files) as store:
        await add_tag(store, 1)
        assert b'"t1"' not in files.content(CONFIG)
        await trio.sleep(module.BEHIND_SECONDS + 0.1)
        written = json.loads(files.content(CONFIG))
        assert written["nodes"][NODE2]["tags"] == ["rack1", "t1"]
        assert written["gantry"]["log"]["index"] == 1
        await add_tag(store, 2)

    assert b'"t2"' in files.content(CONFIG)  # at the end it is written at once


async def test_config_data_is_ganetis_but_for_one_key() -> None:
    files = master_files()
    async with config_store(files) as store:
        await add_tag(store, 1)
        await store.saver.save()
        written = json.loads(files.content(CONFIG))
        expected = json.loads(to_bytes(dump_configuration(store.durable.configuration)))
    assert list(written)[:-1] == list(expected)
    del written["gantry"]
    assert written == expected


async def test_a_failed_rewrite_is_tried_again(autojump_clock: object) -> None:
    files = master_files()
    async with saving_config_store(files) as store:
        files.fault = lambda operation, _: (
            OSError(errno.ENOSPC, "full") if operation == "write" else None
        )
        await add_tag(store, 1)
        await trio.sleep(2)
        with pytest.raises(NotDurable, match="full"):
            await store.saver.save()
        files.fault = None
        await trio.sleep(module.RETRY_SECONDS + 1)
        assert b'"t1"' in files.content(CONFIG)


async def test_a_long_journal_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    files = master_files()
    monkeypatch.setattr(module, "JOURNAL_BYTES_KEPT", 0)
    async with config_store(files) as store:
        while store.journal.figures.file_bytes <= 20_000:
            await add_tag(store, store.durable.index)
        await store.saver.save()
        assert store.journal.figures.records == 0
        last = await add_tag(store, 999)
    async with config_store(files) as store:
        assert store.durable.index == last
        assert len(tags(store.durable)) == last


async def test_subscribers_wait_for_deltas_and_get_a_snapshot_if_they_missed_some(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with config_store(master_files()) as store:
        with trio.move_on_after(60) as scope:
            await store.changes(Index(0))
        assert scope.cancelled_caught

        answers: list[Deltas | Snapshot] = []

        async def subscribe() -> None:
            answers.append(await store.changes(Index(0)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscribe)
            await trio.testing.wait_all_tasks_blocked()
            await add_tag(store, 1)
        (answer,) = answers
        assert isinstance(answer, Deltas)
        assert [delta.index for delta in answer.deltas] == [1]

        for wrong in (Index(7), Index(-1)):
            snapshot = await store.changes(wrong)
            assert isinstance(snapshot, Snapshot)
            assert (snapshot.index, snapshot.epoch) == (1, Epoch(1))
            sent = from_bytes(b"".join(to_pieces(snapshot.configuration)))
            assert sent == dump_configuration(store.durable.configuration)


async def test_keys_of_finished_jobs_are_forgotten() -> None:
    files = master_files()
    async with config_store(files) as store:
        await add_tag(store, 1)
        store.forget_all_but({JobId(1)})
        assert JobId(1) in store.durable.jobs
        store.forget_all_but(set())
        assert not store.durable.jobs
        assert not store.head.jobs


@pytest.mark.parametrize(
    ("node", "status", "text"),
    [
        ("node2.gnt.test", 11, "is not the master: node1.gnt.test is"),
        ("elsewhere", 11, "is not the master"),
    ],
)
async def test_it_runs_on_the_master_only(node: str, status: int, text: str) -> None:
    with pytest.raises(StartRefused, match=text) as caught:
        await ConfigStore.open(memory_environment(node, master_files()))
    assert caught.value.status == status


async def test_without_a_cluster_it_says_so() -> None:
    with pytest.raises(StartRefused, match="there is no cluster on this node") as caught:
        await ConfigStore.open(on_master(MemoryFiles()))
    assert caught.value.status == 5


async def test_what_is_no_configuration_is_refused() -> None:
    files = master_files()
    for content, text in (
        (b"", "not JSON"),
        (b"{}", "version None"),
        (files.content(CONFIG).replace(b'"primary_ip"', b'"primary_xx"', 1), "primary_ip"),
    ):
        bad = MemoryFiles()
        bad.put(CONFIG, content)
        with pytest.raises(StartRefused, match=text):
            await ConfigStore.open(on_master(bad))


async def test_a_damaged_journal_is_loud() -> None:
    files = master_files()
    async with config_store(files) as store:
        await add_tag(store, 1)
        await add_tag(store, 2)
    files.put(LOG, files.content(LOG).replace(b'"t1"', b'"t0"'))
    with pytest.raises(CorruptRecord, match="record 1 at byte"):
        await ConfigStore.open(on_master(files))


async def test_the_journal_of_another_cluster_is_not_replayed() -> None:
    files = master_files()
    async with config_store(files) as store:
        await add_tag(store, 1)
    uuid = sample().cluster.uuid.encode()
    files.put(CONFIG, files.content(CONFIG).replace(uuid, uuid[:-1] + b"0"))
    with pytest.raises(JournalGap):
        await ConfigStore.open(on_master(files))


# --- power lost anywhere -------------------------------------------------------------------------


async def history(files: MemoryFiles, acknowledged: list[int]) -> None:
    """Change things one by one and together, save in between, with the journal cut."""
    async with config_store(files) as store:

        async def one(number: int) -> None:
            await add_tag(store, number)
            acknowledged.append(number)

        await one(0)
        async with trio.open_nursery() as nursery:
            for number in (1, 2, 3):
                nursery.start_soon(one, number)
        await store.saver.save()
        await one(4)
        await store.saver.save()
        await one(5)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["lost", "torn", "kept"])
async def test_power_lost_at_any_operation_loses_no_change_and_repeats_none(
    share: float, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cut_after", lambda _: 0)
    whole = master_files()
    await history(whole, [])
    for number in range(whole.operations):
        files = master_files()
        files.power_lost_at, files.power_lost_late = number, late
        acknowledged: list[int] = []
        with pytest.RaisesGroup(PowerLost, flatten_subgroups=True, allow_unwrapped=True):
            await history(files, acknowledged)

        again: list[int] = []
        after = files.survivors(lambda unsynced: int(unsynced * share))
        async with config_store(after) as store:
            assert tags(store.durable) >= {f"t{each}" for each in acknowledged}
            assert verify(store.durable) == ()
        await history(after, again)  # everything is asked for again under its key
        async with config_store(after) as store:
            node = store.durable.configuration.nodes[NODE2]
            assert tags(store.durable) == {f"t{each}" for each in range(6)}
            assert node.serial_no == sample().nodes[NODE2].serial_no + 6
            assert store.durable.configuration.serial_no == sample().serial_no + 6
