"""The leader's side of a stream over a real journal in memory, with replicas behind a switch."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
import trio.testing
from attrs import define, evolve, field
from tests.unit.runtime.memory_replicas import BASE, ONE, Node, asking

from gantry.core.replication.replica import Replica
from gantry.protocols.codec import Json
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.records import ORIGIN, Index, Position
from gantry.protocols.replication import (
    LogEnd,
    Mismatch,
    Snapshot,
)
from gantry.runtime.allegiance import Allegiance, write_allegiance
from gantry.runtime.journal import Durable, Failed, Journal
from gantry.runtime.leading import figures_of
from gantry.runtime.nursery import only, open_plain_nursery
from gantry.runtime.replicated_log import Deposed, ReplicatedLog, begin_leading
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles

A, B, C = (NodeUuid(name) for name in "abc")


@define
class Stage:
    """A leader, the other voters, and what was acknowledged."""

    files: MemoryFiles
    log: ReplicatedLog
    nodes: dict[NodeUuid, Node]
    done: list[tuple[str, Durable | Failed]] = field(factory=list)

    def submit(self, text: str) -> None:
        self.log.submit([text], lambda outcome: self.done.append((text, outcome)))

    def acknowledged(self) -> list[str]:
        return [text for text, outcome in self.done if isinstance(outcome, Durable)]

    async def pledge(self, epoch: int) -> None:
        env = memory_environment("a", self.files)
        await write_allegiance(env.files, env.paths, Allegiance(promised=Epoch(epoch)))


@asynccontextmanager
async def leading(
    *voters: NodeUuid,
    mismatching: bool = False,
    files: MemoryFiles | None = None,
    before: Callable[[ReplicatedLog], None] = lambda _: None,
) -> AsyncIterator[Stage]:
    files = files or MemoryFiles()
    env = memory_environment("a", files)
    files.put_folder(env.paths.data)
    nodes = {voter: Node() for voter in voters}
    if mismatching:
        nodes = {voter: Node(Replica(ONE)) for voter in voters}
    journal, found = await Journal.open(files, env.paths.data / "stream.log", ONE)

    async def snapshot() -> Snapshot:
        await trio.lowlevel.checkpoint()
        record = log.leader.records.get(log.leader.committed)
        data: Json = {}
        if record is None:
            return Snapshot(log.leader.base, data)
        return Snapshot(LogEnd(record.epoch, record.index, record.checksum), data)

    leader = begin_leading(A, ONE, frozenset({A, *voters}), BASE, found)
    log = ReplicatedLog(env, "config", journal, leader, asking(nodes), snapshot)
    before(log)
    async with journal.running(), open_plain_nursery() as nursery:
        await nursery.start(log.run)
        yield Stage(files, log, nodes)
        nursery.cancel_scope.cancel()


async def test_alone_a_flush_is_enough(autojump_clock: object) -> None:
    async with leading() as stage:
        stage.submit("x")
        await trio.testing.wait_all_tasks_blocked()
        assert stage.acknowledged() == ["x"]


async def test_two_of_three_are_enough_and_share_messages(autojump_clock: object) -> None:
    async with leading(B, C) as stage:
        stage.nodes[C].away = True
        await trio.sleep(0.1)
        before = stage.nodes[B].messages
        for number in range(50):
            stage.submit(f"x{number}")
        await trio.sleep(0.1)
        assert stage.acknowledged() == [f"x{number}" for number in range(50)]
        assert stage.nodes[B].messages - before <= 2
        assert stage.nodes[B].replica.end.index == 50


async def test_one_of_three_acknowledges_nothing_until_another_is_back(
    autojump_clock: object,
) -> None:
    lost: list[float] = []
    async with leading(B, C) as stage:
        stage.log.lease_lost = lambda: lost.append(trio.current_time())
        await trio.sleep(1)
        assert stage.log.has_lease
        for node in stage.nodes.values():
            node.away = True
        stage.submit("x")
        await trio.sleep(15)
        assert stage.acknowledged() == []
        assert len(lost) == 1
        assert not await stage.log.leased(5.0)
        stage.nodes[C].away = False
        assert await stage.log.leased(10.0)
        await trio.sleep(1)
        assert stage.acknowledged() == ["x"]


async def test_a_new_voter_that_has_not_answered_yet_alarms_nobody(
    autojump_clock: object,
) -> None:
    lost: list[float] = []
    async with leading() as stage:
        stage.log.lease_lost = lambda: lost.append(trio.current_time())
        stage.nodes[B] = Node(answers_after_seconds=2.0)
        stage.log.follow_voters(frozenset({A, B}))
        await trio.sleep(1.0)
        assert not stage.log.has_lease
        await trio.sleep(1.5)
        assert stage.log.has_lease
        assert lost == []


async def end_of_reign(provoke: Callable[[Stage], Awaitable[None]]) -> Epoch:
    """Submit something after a provocation, and return which epoch ended the reign."""
    acknowledged: list[str] = []
    try:
        async with leading(B, C) as stage:
            await provoke(stage)
            stage.submit("x")
            await trio.sleep(60)
            acknowledged = stage.acknowledged()
    except BaseExceptionGroup as group:
        ended = only(group)
        assert isinstance(ended, Deposed)
        return ended.newest
    raise AssertionError(f"the reign goes on and acknowledges {acknowledged}")


async def test_nothing_counts_once_somebody_else_was_promised_a_newer_epoch(
    autojump_clock: object,
) -> None:
    assert await end_of_reign(lambda stage: stage.pledge(5)) == 5


async def test_a_voter_with_a_newer_epoch_ends_the_reign(autojump_clock: object) -> None:
    async def promise(stage: Stage) -> None:
        await trio.lowlevel.checkpoint()
        stage.nodes[B].replica = evolve(stage.nodes[B].replica, promised=Epoch(7))

    assert await end_of_reign(promise) == 7


async def test_a_voter_with_another_past_gets_a_snapshot(autojump_clock: object) -> None:
    async with leading(B, C, mismatching=True) as stage:
        for node in stage.nodes.values():
            assert isinstance(
                await node.append_records(
                    "config", ONE, Position(Index(7), ORIGIN.checksum), (), Index(0)
                ),
                Mismatch,
            )
        stage.submit("x")
        await trio.sleep(1)
        assert stage.acknowledged() == ["x"]


async def test_the_second_voter_may_be_missed_and_comes_back(autojump_clock: object) -> None:
    async with leading(B) as stage:
        env = memory_environment("a", stage.files)
        await trio.sleep(1)
        stage.nodes[B].away = True
        stage.submit("x")
        await trio.sleep(5)
        assert stage.acknowledged() == []
        await trio.sleep(10)
        assert stage.acknowledged() == ["x"]
        assert await stage.files.exists(env.paths.data / "solo-config.json")
        stage.nodes[B].away = False
        await trio.sleep(10)
        assert stage.nodes[B].replica.end.index == 1
        assert not await stage.files.exists(env.paths.data / "solo-config.json")


async def test_who_may_not_go_on_alone_asks_again(autojump_clock: object) -> None:
    may = False

    async def may_go_alone() -> bool:
        await trio.lowlevel.checkpoint()
        return may

    async with leading(B) as stage:
        note = memory_environment("a", stage.files).paths.data / "solo-config.json"
        stage.log.may_go_alone = may_go_alone
        stage.nodes[B].away = True
        stage.submit("x")
        await trio.sleep(60)
        assert stage.acknowledged() == []
        assert stage.log.alone_since is None
        assert not await stage.files.exists(note)
        may = True
        await trio.sleep(10)
        assert stage.acknowledged() == ["x"]
        assert await stage.files.exists(note)


async def test_a_restart_remembers_that_it_was_alone(autojump_clock: object) -> None:
    async with leading(B) as stage:
        stage.nodes[B].away = True
        stage.submit("x")
        await trio.sleep(15)
        assert stage.log.alone_since == 1
    async with leading(B, files=stage.files) as again:
        assert again.log.alone_since == 1
        assert not again.log.has_lease  # who else leads is asked first
        assert await again.log.alone_otherwise(Index(1)) is None
        env = memory_environment("a", again.files)
        await trio.testing.wait_all_tasks_blocked()
        assert not await again.files.exists(env.paths.data / "solo-config.json")


async def test_being_alone_in_an_earlier_reign_is_forgotten(autojump_clock: object) -> None:
    files = MemoryFiles()
    env = memory_environment("a", files)
    files.put(env.paths.data / "solo-config.json", b'{"epoch": 0, "since": 7}')
    async with leading(B, files=files) as stage:
        assert stage.log.alone_since is None
        assert not await files.exists(env.paths.data / "solo-config.json")


async def test_a_set_that_was_found_is_settled_when_a_majority_has_it(
    autojump_clock: object,
) -> None:
    async with leading(B, C) as stage:
        stage.submit("x")
        await trio.sleep(1)
    async with leading(B, C, files=stage.files) as again:
        assert again.log.settled_voters is None
        await trio.sleep(1)
        assert again.log.settled_voters == {A, B, C}


async def test_who_is_alone_is_settled_at_once_and_says_so(autojump_clock: object) -> None:
    told: list[frozenset[NodeUuid] | None] = []
    async with leading(before=lambda log: note(log, told)) as stage:
        await trio.testing.wait_all_tasks_blocked()
        assert told == [stage.log.settled_voters] == [frozenset({A})]


def note(log: ReplicatedLog, told: list[frozenset[NodeUuid] | None]) -> None:
    log.set_changed = lambda: told.append(log.settled_voters)


async def test_a_change_of_the_voters_that_can_not_be_written_is_over(
    autojump_clock: object,
) -> None:
    async with leading(B, C) as stage:
        await trio.sleep(1)
        stage.files.fault = lambda *_: OSError(errno.ENOSPC, "No space left on device")
        told: list[frozenset[NodeUuid] | None] = []
        stage.log.set_changed = lambda: told.append(stage.log.settled_voters)
        stage.log.submit(["without c"], lambda _: None, frozenset({A, B}))
        await trio.sleep(1)
        assert told == [None, frozenset({A, B, C})]


async def test_the_voters_change_one_at_a_time(autojump_clock: object) -> None:
    async with leading(B, C) as stage:
        done: list[Durable | Failed] = []
        stage.nodes[C].away = True
        stage.log.submit(["without c"], done.append, frozenset({A, B}))
        assert stage.log.settled_voters is None
        await trio.sleep(5)
        assert stage.log.settled_voters == {A, B}
        assert [type(outcome) for outcome in done] == [Durable]
        assert set(stage.log.leader.peers) == {B}


async def test_figures(autojump_clock: object) -> None:
    async with leading(B, C) as stage:
        stage.nodes[C].away = True
        for text in ("x", "y", "z"):
            stage.submit(text)
        await trio.sleep(4)
        figures = figures_of(stage.log)
        assert (figures.index, figures.committed, figures.records_appended) == (3, 3, 3)
        assert (figures.flushes, figures.batch_records_max) == (1, 3)
        assert figures.has_lease
        assert figures.lease_age_seconds is not None
        assert figures.lease_age_seconds < 4
        assert [(each.voter, each.lag) for each in figures.voters] == [(B, 0), (C, None)]
    async with leading() as alone:
        assert figures_of(alone.log).lease_age_seconds == 0
