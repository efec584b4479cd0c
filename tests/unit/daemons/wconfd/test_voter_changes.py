"""The voters change one at a time, and not before the queue's stream has followed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define, evolve
from tests.unit.core.config.small_cluster import NODE2, NODE3, ticket
from tests.unit.daemons.wconfd.running_wconfd import config_store, master_files, on_master
from tests.unit.runtime.memory_replicas import Node, asking

from gantry.core.config.reservations import Reservations
from gantry.core.config.voter_history import SetChanged
from gantry.core.replication.leader import VoterChange
from gantry.core.replication.quorum import voters_of
from gantry.daemons.luxid.voting import Voting
from gantry.daemons.wconfd.config_store import ConfigStore
from gantry.daemons.wconfd.voter_changes import QUEUE_ALONE
from gantry.protocols.changes import Change, UpdateCluster, UpdateNode
from gantry.protocols.identity import NodeUuid
from gantry.protocols.records import Index
from gantry.protocols.wconfd import Committed, Refused
from gantry.runtime.newest_configuration import read_newest
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.testing.files import MemoryFiles


@define
class Stage:
    store: ConfigStore
    files: MemoryFiles
    nodes: dict[NodeUuid, Node]
    steps: int = 0

    def demotion(self, uuid: NodeUuid, *, candidate: bool = False) -> UpdateNode:
        node = self.store.head.configuration.nodes[uuid]
        return UpdateNode(evolve(node, master_candidate=candidate))

    async def commit(self, change: Change) -> Committed | Refused:
        self.steps += 1
        return await self.store.commit(ticket(change, step=self.steps), change, Reservations())

    @property
    def voters(self) -> frozenset[NodeUuid]:
        return voters_of(self.store.durable.configuration)


@asynccontextmanager
async def stage(
    files: MemoryFiles | None = None, nodes: dict[NodeUuid, Node] | None = None
) -> AsyncIterator[Stage]:
    """A master with two other candidates; nobody has said anything about the queue."""
    files = files or master_files()
    async with config_store(files) as store, open_plain_nursery() as nursery:
        nodes = nodes or {NODE2: Node(), NODE3: Node()}
        log = store.replicate(asking(nodes))
        await nursery.start(log.run)
        await trio.sleep(1)  # all have answered
        yield Stage(store, files, nodes)
        nursery.cancel_scope.cancel()


async def test_a_change_waits_for_the_queue(autojump_clock: object) -> None:
    async with stage() as world:
        before = world.voters
        refused = await world.commit(world.demotion(NODE3))
        assert isinstance(refused, Refused)
        assert "the job queue has not followed" in refused.invariant.text

        world.store.voter_changes.follow(before)
        assert isinstance(await world.commit(world.demotion(NODE3)), Committed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.commit, world.demotion(NODE2))
            await trio.sleep(5)
            assert world.voters == before - {NODE3}
            world.store.voter_changes.follow(world.voters)
        assert world.voters == before - {NODE3, NODE2}


async def test_what_changes_no_voter_does_not_wait(autojump_clock: object) -> None:
    async with stage() as world:
        cluster = world.store.head.configuration.cluster
        change = UpdateCluster(evolve(cluster, mac_prefix="aa:00:01"))
        assert isinstance(await world.commit(change), Committed)


async def test_an_uncommitted_change_holds_up_the_next(autojump_clock: object) -> None:
    async with stage() as world:
        world.store.voter_changes.follow(world.voters)
        world.nodes[NODE2].away = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.commit, world.demotion(NODE3))
            await trio.sleep(1)
            assert world.store.log is not None
            assert world.store.log.settled_voters is None
            world.nodes[NODE2].away = False
        assert world.store.log.settled_voters == world.voters


async def test_an_uncommitted_removal_does_not_let_the_master_go_on_alone_after_a_restart(
    autojump_clock: object,
) -> None:
    files = master_files()
    env = on_master(files)
    async with stage(files) as world:
        before, nodes = world.voters, world.nodes
        world.store.voter_changes.follow(before)
        for node in nodes.values():
            node.away = True
        with trio.move_on_after(1):
            await world.commit(world.demotion(NODE3))
    newest = await read_newest(env)
    assert newest.change == SetChanged(Index(1), before)
    assert voters_of(newest.configuration) == before - {NODE3}
    voting = await Voting.begin(env)
    assert voting is not None
    assert voting.voters == before - {NODE3}
    assert voting.change == VoterChange(None, before)

    async with stage(files, nodes) as again:
        log = again.store.log
        assert log is not None
        await trio.sleep(60)
        assert not log.has_lease
        assert log.alone_since is None
        assert again.voters == before
        nodes[NODE3].away = False  # of three two, but of the new set's two one
        await trio.sleep(30)
        assert again.voters == before
        nodes[NODE2].away = False
        await trio.sleep(15)
        assert again.voters == log.settled_voters == before - {NODE3}


async def test_nobody_is_added_while_the_master_is_alone_with_the_queue(
    autojump_clock: object,
) -> None:
    async with stage() as world:
        files = world.files
        note = on_master(files).paths.data / "solo-queue.json"
        world.store.voter_changes.follow(world.voters)
        assert isinstance(await world.commit(world.demotion(NODE3)), Committed)
        world.store.voter_changes.follow(world.voters)
        files.put(note, b'{"epoch": 1, "since": 7}')
        refused = await world.commit(world.demotion(NODE3, candidate=True))
        assert refused == QUEUE_ALONE
        assert isinstance(await world.commit(world.demotion(NODE2)), Committed)
        world.store.voter_changes.follow(world.voters)
        await on_master(files).files.remove(note)
        back = world.demotion(NODE3, candidate=True)
        assert isinstance(await world.commit(back), Committed)


async def test_a_voter_that_is_added_as_the_queue_goes_on_alone_does_not_count_yet(
    autojump_clock: object,
) -> None:
    async with stage() as world:
        note = on_master(world.files).paths.data / "solo-queue.json"
        log = world.store.log
        assert log is not None
        world.store.voter_changes.follow(world.voters)
        assert isinstance(await world.commit(world.demotion(NODE3)), Committed)
        world.store.voter_changes.follow(world.voters)
        before, looks = world.voters, log.may_add_voter

        async def noted_meanwhile() -> bool:
            log.may_add_voter = looks
            world.files.put(note, b'{"epoch": 1, "since": 7}')
            return await looks()

        log.may_add_voter = noted_meanwhile
        with trio.move_on_after(60):
            await world.commit(world.demotion(NODE3, candidate=True))
        assert world.voters == before
        await on_master(world.files).files.remove(note)
        await trio.sleep(10)
        assert world.voters == before | {NODE3}


async def test_nor_does_it_after_a_restart(autojump_clock: object) -> None:
    files = master_files()
    note = on_master(files).paths.data / "solo-queue.json"
    async with stage(files) as world:
        nodes = world.nodes
        world.store.voter_changes.follow(world.voters)
        assert isinstance(await world.commit(world.demotion(NODE3)), Committed)
        world.store.voter_changes.follow(world.voters)
        before = world.voters
        await world.store.saver.save()
        for node in nodes.values():
            node.away = True
        with trio.move_on_after(1):  # it is flushed, and has gone to nobody yet
            await world.commit(world.demotion(NODE3, candidate=True))
    for node in nodes.values():
        node.away = False
    files.put(note, b'{"epoch": 1, "since": 7}')
    async with stage(files, nodes) as again:
        await trio.sleep(60)
        assert again.voters == before
        assert again.store.log is not None
        assert again.store.log.has_lease
        assert again.store.log.settled_voters is None
        await on_master(files).files.remove(note)
        await trio.sleep(10)
        assert again.voters == again.store.log.settled_voters == before | {NODE3}


async def test_the_queue_does_not_go_on_alone_when_a_voter_is_being_added(
    autojump_clock: object,
) -> None:
    files = master_files()
    env = on_master(files)
    async with stage(files) as world:
        log = world.store.log
        assert log is not None
        world.store.voter_changes.follow(world.voters)
        assert isinstance(await world.commit(world.demotion(NODE3)), Committed)
        world.store.voter_changes.follow(world.voters)
        voting = await Voting.begin(env)
        assert voting is not None
        assert await voting.may_go_alone(env, log)
        of_two = log.leader  # as the queue's stream has it, which has not heard
        assert isinstance(await world.commit(world.demotion(NODE3, candidate=True)), Committed)
        log.leader, of_three = of_two, log.leader
        assert not await voting.may_go_alone(env, log)
        log.leader = of_three
        assert await voting.may_go_alone(env, log)
