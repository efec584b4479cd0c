"""Nodes forget the keys of jobs that have ended, many at a time; one that is away is told later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import pytest
import trio
from attrs import define, field
from tests.unit.core.config.small_cluster import sample_state

from gantry.core.query.view import View
from gantry.core.queue.ended import ended_on_nodes
from gantry.daemons.luxid import forgetting as module
from gantry.daemons.luxid.forgetting import AGAIN_SECONDS, BEHIND_SECONDS, Forgetting
from gantry.daemons.luxid.mirror import Mirror
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import Attempt, JobId, NodeUuid
from gantry.protocols.jobproc import Ended, EventNumber
from gantry.protocols.noded import NodeD
from gantry.protocols.objects.node import Node
from gantry.protocols.queue_records import JobReported
from gantry.runtime.node_links import NodeLinks

T = TypeVar("T")

ONE, TWO = sorted(sample_state().configuration.nodes)[:2]
GONE = NodeUuid("a0000000-0000-4000-8000-00000000dead")


@define
class Ways:
    """The way to nodes that note what they are told."""

    told: list[tuple[NodeUuid, tuple[JobId, ...]]] = field(factory=list)
    away: set[NodeUuid] = field(factory=set)

    async def ask_at(
        self, node: Node, question: Callable[[NodeD], Awaitable[T]], deadline_seconds: float
    ) -> T:
        await trio.lowlevel.checkpoint()
        if node.uuid in self.away:
            raise ConnectionLost("no answer")
        return await question(cast(NodeD, _Told(self, node.uuid)))


@define
class _Told:
    ways: Ways
    node: NodeUuid

    async def forget_keys(self, jobs: tuple[JobId, ...]) -> None:
        await trio.lowlevel.checkpoint()
        self.ways.told.append((self.node, jobs))


@define
class Shown:
    view: View


@pytest.fixture
def ways() -> Ways:
    return Ways()


@pytest.fixture
def forgetting(ways: Ways) -> Forgetting:
    mirror = cast(Mirror, Shown(View(sample_state().configuration)))
    return Forgetting(mirror, cast(NodeLinks, ways))


def ended(job: int, *nodes: NodeUuid) -> JobReported:
    event = Ended(nodes)
    return JobReported(JobId(job), Attempt(1), EventNumber(9), (event,))


async def test_jobs_are_gathered_and_told_once(
    forgetting: Forgetting, ways: Ways, autojump_clock: object
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forgetting.run)
        forgetting.follow(ended_on_nodes([ended(3, ONE, TWO), ended(4)]))
        await trio.sleep(BEHIND_SECONDS / 2)
        forgetting.follow(ended_on_nodes([ended(5, ONE), ended(5, ONE), ended(6, GONE)]))
        await trio.sleep(AGAIN_SECONDS * 3)
        nursery.cancel_scope.cancel()
    assert sorted(ways.told) == [(ONE, (3, 5)), (TWO, (3,))]


async def test_a_node_that_is_away_is_told_when_it_is_back(
    forgetting: Forgetting, ways: Ways, autojump_clock: object
) -> None:
    ways.away.add(TWO)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forgetting.run)
        forgetting.follow(ended_on_nodes([ended(3, ONE, TWO)]))
        await trio.sleep(AGAIN_SECONDS * 3)
        assert ways.told == [(ONE, (3,))]
        ways.away.clear()
        await trio.sleep(AGAIN_SECONDS + 2 * BEHIND_SECONDS)
        nursery.cancel_scope.cancel()
    assert ways.told == [(ONE, (3,)), (TWO, (3,))]


async def test_of_too_many_jobs_the_newest_are_kept(
    forgetting: Forgetting, ways: Ways, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    monkeypatch.setattr(module, "JOBS_MAX", 3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forgetting.run)
        forgetting.follow(ended_on_nodes([ended(job, ONE) for job in (7, 5, 8, 6)]))
        await trio.sleep(BEHIND_SECONDS * 2)
        nursery.cancel_scope.cancel()
    assert ways.told == [(ONE, (7, 8))]
